"""The code of a login becomes a refresh token, and each slip has its own sentence."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from contract.test_tokens import sandbox_on, tokens_on
from remote_kit import HandClock, MemoryCache, RecordingGate, credentials
from zohosync.sandbox import GrantCode, Sandbox
from zohosync.zoho.client import OneToken, Remote
from zohosync.zoho.tokens import (
    CodeExpiredError,
    LoginError,
    MissingScopeError,
    NoTokenError,
    Secret,
    WrongDataCenterError,
    exchange_code,
)
from zohosync.zoho.wire import SCOPES

ACCOUNTS = "http://accounts.test"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def exchanged(sandbox: Sandbox, clock: HandClock, **changes: Any) -> Any:
    about: dict[str, Any] = {
        "data_center": "us",
        "client_id": sandbox.client_id,
        "client_secret": Secret(sandbox.client_secret),
        "clock": clock,
        "accounts_url": ACCOUNTS,
        "transport": httpx2.ASGITransport(sandbox.app),
    }
    return await exchange_code(Secret("1000.code"), **{**about, **changes})


async def test_a_code_becomes_a_refresh_token_that_works(clock: HandClock) -> None:
    sandbox = sandbox_on(clock, grants=[GrantCode("1000.code", SCOPES)])
    grant = await exchanged(sandbox, clock)
    assert "1000" not in repr(grant)
    one = OneToken(grant.secret, grant.api_domain)
    remote = Remote(
        gate=RecordingGate(clock), tokens=one, clock=clock, organization_id="",
        api_url=ACCOUNTS, transport=httpx2.ASGITransport(sandbox.app),
    )  # fmt: skip
    assert [each["mode"] for each in await remote.organizations()] == ["test"]
    await remote.aclose()
    tokens = tokens_on(
        sandbox, MemoryCache(clock), clock,
        client=replace(credentials(), refresh_token=grant.refresh_token),
    )  # fmt: skip
    await tokens.token()
    await tokens.aclose()
    await one.reject(await one.token())
    with pytest.raises(NoTokenError):
        await one.token()


async def test_a_code_is_good_once_and_for_its_minutes(clock: HandClock) -> None:
    sandbox = sandbox_on(clock, grants=[GrantCode("1000.code", SCOPES)])
    await exchanged(sandbox, clock)
    with pytest.raises(CodeExpiredError, match="its minutes are over"):
        await exchanged(sandbox, clock)


async def test_another_data_centre_does_not_know_the_client(clock: HandClock) -> None:
    sandbox = sandbox_on(clock, grants=[GrantCode("1000.code", SCOPES)])
    with pytest.raises(WrongDataCenterError, match="data centre"):
        await exchanged(sandbox, clock, client_id="1000.ELSEWHERE")


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"error": "invalid_scope"}, MissingScopeError, "scope"),
        ({"error": "invalid_client_secret"}, WrongDataCenterError, "secret"),
        ({"error": "access_denied"}, LoginError, "could not be exchanged"),
        ({"access_token": "a", "refresh_token": "b", "scope": "x"}, MissingScopeError, "lacks"),
        ({"access_token": "a"}, LoginError, "no refresh token"),
        ({"error": "Access Denied"}, LoginError, "ten minutes"),
        ("<html>", LoginError, "not the API"),
    ],
)  # fmt: skip
async def test_each_slip_of_a_login_has_its_own_sentence(
    body: Any, error: type[LoginError], words: str
) -> None:
    async def answer(_: Request) -> Response:
        return PlainTextResponse(body) if isinstance(body, str) else JSONResponse(body)

    clock = HandClock()
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    with pytest.raises(error, match=words) as failed:
        await exchanged(sandbox_on(clock), clock, transport=httpx2.ASGITransport(app))
    assert "1000.code" not in str(failed.value)
    assert failed.value.next_step


@pytest.mark.parametrize(
    "scope", [" ".join(SCOPES), ",".join(SCOPES), "ZohoSubscriptions.fullaccess.all"]
)
async def test_enough_scopes_are_enough(scope: str) -> None:
    async def answer(_: Request) -> Response:
        return JSONResponse({"access_token": "a", "refresh_token": "b", "scope": scope})

    clock = HandClock()
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    grant = await exchanged(sandbox_on(clock), clock, transport=httpx2.ASGITransport(app))
    assert grant.refresh_token == Secret("b")
