"""The client before closed doors: tokens, scopes, organisations, the gate, lists without end."""

from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from remote_kit import HandClock, claim, found_ids, line
from zohosync.core.records import NORMAL
from zohosync.core.replies import (
    Accepted,
    Closed,
    Found,
    Rejected,
    Unauthorized,
)
from zohosync.core.steps import Create
from zohosync.errors import LeaseLostError, RemoteError, SettingsError
from zohosync.sandbox import Fault, Faults, SandboxLimits
from zohosync.zoho.client import Call, GateClosedError, Remote, Ticket, api_base

ANN = {"display_name": "Ann", "email": "ann@x.example", "notes": "zs:t:1"}


async def test_a_token_that_died_early_costs_one_more_call_and_nothing_else() -> None:
    async with line() as on:
        await on.remote.probe()
        on.sandbox.tokens.expire()
        reply = await on.create("customers", ANN)
        assert isinstance(reply, Accepted)
        assert on.gate.operations() == [
            "token", "organizations", "customers.create", "token", "customers.create",
        ]  # fmt: skip
        assert isinstance(on.gate.ends[2].reply, Rejected)
        assert on.gate.calls[4].intent == on.gate.calls[2].intent == ANN
        assert len(on.sandbox.ledger.records("customers")) == 1


async def test_a_token_refused_twice_is_the_credentials_fault() -> None:
    async with line() as on:
        on.sandbox.set_faults(Faults([Fault("unauthorized", "POST /customers", times=2)]))
        reply = await on.create("customers", ANN)
        assert isinstance(reply, Unauthorized)
        assert reply.code == "14"
        assert on.left() == ["customers.create"] * 2


async def test_a_missing_scope_is_said_at_once() -> None:
    async with line(scopes=("ZohoSubscriptions.customers.READ",)) as on:
        reply = await on.create("customers", ANN)
        assert isinstance(reply, Unauthorized)
        assert reply.code == "57"
        assert on.left() == ["customers.create"]


async def test_a_revoked_connection_sends_nothing_of_the_record() -> None:
    async with line() as on:
        on.sandbox.tokens.revoke()
        reply = await on.create("customers", ANN)
        assert isinstance(reply, Unauthorized)
        assert reply.code == "invalid_code"
        assert on.left() == []


async def test_a_wrong_organisation_is_no_fault_of_the_record() -> None:
    async with line(remote={"organization_id": "99"}) as on:
        reply = await on.create("customers", ANN)
        assert isinstance(reply, Unauthorized)
        assert reply.code == "6041"
        assert on.left() == ["customers.create"]


async def test_the_organisations_are_listed_with_their_mode() -> None:
    async with line(remote={"organization_id": ""}) as on:
        (organization,) = await on.remote.organizations()
        assert (organization["organization_id"], organization["mode"]) == ("10001", "test")
        on.sandbox.tokens.revoke()
        on.sandbox.tokens.expire()
        with pytest.raises(RemoteError, match="invalid_code"):
            await on.remote.organizations()


async def test_a_probe_is_marked_as_one() -> None:
    async with line() as on:
        assert isinstance(await on.remote.probe(), Found)
        assert [call.probe for call in on.gate.calls] == [False, True]


async def test_what_is_left_of_the_day_reaches_the_journal() -> None:
    limits = replace(SandboxLimits.lifted(), per_day=1_000, quota_headers=True)
    async with line(limits=limits) as on:
        await on.create("customers", ANN)
        await on.create("customers", {**ANN, "notes": "zs:t:2"})
        assert [end.quota and end.quota.left for end in on.gate.ends] == [None, 999, 998]


class ShutGate:
    """Lets nothing leave."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def admit(self, call: Call) -> Ticket:
        raise self.error

    async def finish(self, ticket: Ticket, end: object) -> None:
        raise AssertionError("nothing was admitted")


async def test_a_shut_gate_is_an_answer_and_a_lost_lease_is_not() -> None:
    async with line() as on:
        await on.remote.probe()
        for error, raised in ((GateClosedError("day", 60.0), None), (LeaseLostError("x"), True)):
            remote = Remote(gate=ShutGate(error), tokens=on.tokens, clock=HandClock(),
                            organization_id="10001", api_url="http://x.test",
                            transport=httpx2.ASGITransport(on.sandbox.app))  # fmt: skip
            step = Create(ANN, ANN, None, more=False)
            if raised:
                with pytest.raises(LeaseLostError):
                    await remote.perform(step, claim("customers"), NORMAL)
            else:
                reply = await remote.perform(step, claim("customers"), NORMAL)
                assert reply == Closed("day", 60.0)
                assert await remote.probe() == Closed("day", 60.0)
                with pytest.raises(RemoteError, match="day"):
                    await remote.organizations()
            await remote.aclose()


async def test_a_full_page_that_does_not_say_whether_more_follow_is_incomplete() -> None:
    rows = [{"product_id": str(number), "name": f"p{number}"} for number in range(200)]

    async def answer(request: Request) -> JSONResponse:
        if request.url.path.endswith("token"):
            return JSONResponse({"access_token": "a", "expires_in": 3600})
        return JSONResponse({"code": 0, "message": "ok", "products": rows})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with line(transport=httpx2.ASGITransport(app)) as on:
        found = await on.find("products", {"name": "p7"})
        assert found_ids(found) == ["7"]
        assert isinstance(found, Found)
        assert not found.complete
        rows.pop()
        assert getattr(await on.find("products", {"name": "p7"}), "complete", None) is True


async def test_a_list_without_end_is_given_up() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> JSONResponse:
        if request.url.path.endswith("token"):
            return JSONResponse({"access_token": "a", "expires_in": 3600})
        page = request.query_params["page"]
        asked.append(page)
        rows = [{"product_id": page, "name": "p"}]
        context = {"has_more_page": True}
        return JSONResponse({"code": 0, "message": "", "products": rows, "page_context": context})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with line(transport=httpx2.ASGITransport(app)) as on:
        found = await on.find("products", {"name": "p"})
        assert isinstance(found, Found)
        assert (len(found.candidates), found.complete, len(asked)) == (500, False, 500)


async def test_nothing_of_ours_shows_a_secret() -> None:
    async with line() as on:
        await on.create("customers", ANN)
        token = await on.tokens.token()
        shown = repr([on.gate, token, on.tokens.__dict__, on.remote.__dict__, on.cache.row])
        for secret in (token.secret.reveal(), on.sandbox.refresh_token):
            assert secret not in shown


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8080", "http://localhost:8080/billing/v1"),
        ("https://www.zohoapis.eu/", "https://www.zohoapis.eu/billing/v1"),
        ("https://proxy.example/zoho/billing/v1/", "https://proxy.example/zoho/billing/v1"),
    ],
)
def test_the_address_may_be_a_bare_host(url: str, base: str) -> None:
    assert api_base(url) == base


@pytest.mark.parametrize("url", ["www.zohoapis.eu", "ftp://x.example", "https://", "http:///x"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        api_base(url)
