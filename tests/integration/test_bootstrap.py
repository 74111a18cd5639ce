"""Before a real organisation is worked on, it is seen to be the one that was asserted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from zohosync.bootstrap import House, open_project, open_service, open_trial
from zohosync.clock import Chance, SystemClock
from zohosync.errors import RemoteError, SettingsError
from zohosync.sandbox import Sandbox
from zohosync.settings import Settings, load
from zohosync.store.database import Database

Made = Callable[..., Settings]


@pytest.fixture
def made(database_url: str, tmp_path: Path) -> Made:
    """Settings of a real organisation; what it answers is a sandbox in this process."""

    def make(sandbox: Sandbox, **flags: str) -> Settings:
        (tmp_path / "zohosync.toml").write_text("", encoding="utf-8")
        return load(
            tmp_path,
            flags={
                "database.url": database_url,
                "organization.id": sandbox.organization_id,
                "zoho.client_id": sandbox.client_id,
                "zoho.client_secret": sandbox.client_secret,
                "zoho.refresh_token": sandbox.refresh_token,
                **{name.replace("__", "."): value for name, value in flags.items()},
            },
        )

    return make


def pretend(**other: Any) -> Sandbox:
    return Sandbox(clock=SystemClock(), chance=Chance(1), **other)


async def opened(sandbox: Sandbox, settings: Settings) -> House:
    transport = httpx2.ASGITransport(app=sandbox.app)
    async with open_service(
        settings, clock=SystemClock(), chance=Chance(1), tell=lambda event: None,
        transport=transport,
    ) as house:  # fmt: skip
        return house


async def test_the_asserted_organisation_opens_with_every_kind_paused(made: Made) -> None:
    sandbox = pretend(mode="test")
    house = await opened(sandbox, made(sandbox))
    assert house.project.organization.mode == "test"
    assert set(house.project.organization.paused_kinds) >= {"customers", "invoices", "payments"}
    assert [request.operation for request in sandbox.ledger.requests][-1] == "GET /organizations"


async def test_a_live_organisation_where_test_was_asserted_is_refused(made: Made) -> None:
    sandbox = pretend(mode="live")
    with pytest.raises(SettingsError, match="is live in Zoho, but test was asserted"):
        await opened(sandbox, made(sandbox))


async def test_a_wrong_organisation_lists_the_ones_there_are(made: Made) -> None:
    sandbox = pretend(name="Shop")
    with pytest.raises(SettingsError, match="open no organisation 4711") as caught:
        await opened(sandbox, made(sandbox, organization__id="4711"))
    assert "10001 Shop (test)" in caught.value.place


async def test_an_organisation_keeps_the_mode_it_was_registered_with(made: Made) -> None:
    sandbox = pretend(mode="test")
    await opened(sandbox, made(sandbox))
    with pytest.raises(SettingsError, match="is registered here as test, not live"):
        await opened(sandbox, made(sandbox, organization__mode="live"))


async def test_every_process_of_an_installation_has_its_one_name(made: Made) -> None:
    sandbox = pretend(mode="test")
    houses = await asyncio.gather(*(opened(sandbox, made(sandbox)) for _ in range(3)))
    names = {house.project.installation for house in houses}
    assert len(names) == 1
    assert len(names.pop()) == 8


async def touched(made: Made, sandbox: Sandbox, text: str) -> None:
    """Change the organisation's row by hand."""
    database = await Database.open(made(sandbox).database.url.reveal())
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
    await database.close()


async def test_a_worker_can_start_while_zoho_is_down_or_nobody_would_see_it_up_again(
    made: Made,
) -> None:
    sandbox = pretend(mode="test")
    await opened(sandbox, made(sandbox))
    await touched(made, sandbox, "update zohosync.organizations set overloads = 7")
    house = await opened(sandbox, made(sandbox))
    assert (await house.project.records.next_due()).overloads == 0


async def test_a_start_spends_no_call_on_a_paused_or_a_closed_organisation(made: Made) -> None:
    sandbox = pretend(mode="test")
    await opened(sandbox, made(sandbox))
    for stop, word in (
        ("paused = 'refused'", "refused"),
        ("paused = null, closed_until = now() + interval '1 hour', closed_reason = 'full'", "full"),
    ):
        await touched(made, sandbox, f"update zohosync.organizations set {stop}")
        asked = len(sandbox.ledger.requests)
        with pytest.raises(RemoteError, match=f"Zoho was not asked: {word}"):
            await opened(sandbox, made(sandbox))
        assert len(sandbox.ledger.requests) == asked


async def organizations(settings: Settings) -> dict[str, tuple[str, bool]]:
    """Mode of each organisation that is known, and whether it is the active one."""
    database = await Database.open(settings.database.url.reveal(), connections=1)
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select org_id, mode, active from zohosync.organizations"
        )
    await database.close()
    return {row["org_id"]: (row["mode"], row["active"]) for row in rows}


async def test_a_wrong_mode_switches_no_organisation(made: Made) -> None:
    test, live = pretend(mode="test"), pretend(mode="live", organization_id="20002")
    await opened(test, made(test))
    with pytest.raises(SettingsError, match="is live in Zoho, but test was asserted"):
        await opened(live, made(live))
    settings = made(live, organization__mode="live")
    assert (await organizations(settings))["10001"] == ("test", True)
    await opened(live, settings)
    assert await organizations(settings) == {"10001": ("test", False), "20002": ("live", True)}


async def test_credentials_that_do_not_open_the_other_organisation_switch_nothing(
    made: Made,
) -> None:
    test, stranger = pretend(mode="test"), pretend(organization_id="20002")
    await opened(test, made(test))
    with pytest.raises(SettingsError, match="open no organisation 4711"):
        await opened(stranger, made(stranger, organization__id="4711"))
    found = await organizations(made(test))
    assert (found["10001"][1], found["4711"][1]) == (True, False)


async def test_a_mode_asserted_wrongly_at_the_first_start_can_be_corrected(made: Made) -> None:
    live = pretend(mode="live")
    with pytest.raises(SettingsError, match="is live in Zoho"):
        await opened(live, made(live))
    house = await opened(live, made(live, organization__mode="live"))
    assert house.project.organization.mode == "live"


async def test_looking_at_another_organisation_switches_nothing(made: Made) -> None:
    test, live = pretend(mode="test"), pretend(mode="live", organization_id="20002")
    await opened(test, made(test))
    settings = made(live, organization__mode="live")
    async with open_project(settings, chance=Chance(1)) as project:
        assert not project.organization.active
    async with open_trial(settings, chance=Chance(1)):
        pass
    assert await organizations(settings) == {"10001": ("test", True), "20002": ("live", False)}


async def test_the_sandbox_needs_nobody_to_confirm_it(made: Made) -> None:
    test, sandbox = pretend(mode="test"), pretend(organization_id="30003")
    await opened(test, made(test))
    local = {"zoho__api_url": "http://127.0.0.1:1", "zoho__accounts_url": "http://127.0.0.1:1"}
    settings = made(sandbox, **local)
    await opened(sandbox, settings)
    assert await organizations(settings) == {"10001": ("test", False), "30003": ("sandbox", True)}
