"""Trouble on purpose: what each fault does to the reply and to the books, in process and out."""

import asyncio
from typing import Any

import httpx2
import pytest

from contract.talk import Talk, TestClock, settled, talking
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits, serving

BODY = {"display_name": "Ann", "email": "ann@example.com"}


async def post(talk: Talk) -> httpx2.Response:
    return await talk.client.post("/billing/v1/customers", json=BODY)


def count(talk: Talk, kind: str = "customers") -> int:
    return len(talk.sandbox.ledger.records(kind))


def struck(what: str, **more: Any) -> Faults:
    return Faults([Fault(what, "POST /customers", **more)])


@pytest.mark.parametrize(
    ("fault", "status", "code", "made"),
    [
        pytest.param(Fault("rate_limit", code=45), 429, 45, 0, id="day"),
        pytest.param(Fault("rate_limit", code=1070), 429, 1070, 0, id="in flight"),
        pytest.param(Fault("unauthorized"), 401, 14, 0, id="token"),
        pytest.param(Fault("error_before_commit", status=503), 503, 5, 0, id="before"),
        pytest.param(Fault("error_after_commit"), 500, 5, 1, id="after"),
        pytest.param(Fault("refused_200", code=6), 200, 6, 0, id="refused"),
        pytest.param(Fault("without_id"), 201, 0, 1, id="no id"),
    ],
)
async def test_replies_that_are_json_but_not_the_hoped_for(
    fault: Fault, status: int, code: int, made: int
) -> None:
    async with talking(faults=Faults([fault])) as talk:
        reply = await post(talk)
        assert (reply.status_code, reply.json()["code"]) == (status, code)
        assert "customer" not in reply.json()
        assert count(talk) == made
        assert (await post(talk)).status_code == 201  # it struck once
        assert talk.sandbox.ledger.summary()["faults"][fault.what] >= 1


async def test_a_made_429_of_the_minute_blocks_like_a_real_one() -> None:
    async with talking() as talk:
        talk.sandbox.set_faults(struck("rate_limit", code=43, seconds=900))
        reply = await post(talk)
        assert (reply.json()["code"], reply.headers["Retry-After"]) == (43, "900")
        blocked = await talk.client.get("/billing/v1/customers")
        assert (blocked.status_code, blocked.json()["code"]) == (429, 44)
        await talk.clock.sleep(900)
        assert (await post(talk)).status_code == 201
        assert talk.sandbox.ledger.blocks == 1


async def test_pages_of_html_and_half_a_reply() -> None:
    async with talking() as talk:
        talk.sandbox.set_faults(struck("html"))
        reply = await post(talk)
        assert (reply.status_code, reply.headers["content-type"]) == (502, "text/html")
        assert count(talk) == 0
        talk.sandbox.set_faults(struck("truncated"))
        reply = await post(talk)
        assert (reply.status_code, count(talk)) == (201, 1)
        with pytest.raises(ValueError, match=r".+"):
            reply.json()


@pytest.mark.parametrize(("what", "made"), [("lost_reply", 1), ("reset", 0)])
async def test_in_process_a_dead_connection_is_a_connection_reset_error(
    what: str, made: int
) -> None:
    async with talking() as talk:
        talk.sandbox.set_faults(struck(what))
        with pytest.raises(ConnectionResetError):
            await post(talk)
        assert count(talk) == made
        last = talk.sandbox.ledger.requests[-1]
        assert (last.status, last.fault) == (0, what)
        assert talk.sandbox.limiter.in_flight == 0


async def test_a_late_commit_happens_after_its_client_has_gone() -> None:
    async with talking() as talk:
        talk.sandbox.set_faults(struck("late_commit", seconds=120))
        with pytest.raises(ConnectionResetError):
            await post(talk)
        await talk.clock.sleep(119)
        assert count(talk) == 0
        assert (await talk.done("GET /customers"))["customers"] == []
        await talk.clock.sleep(1)
        assert len((await talk.done("GET /customers"))["customers"]) == 1


async def test_a_late_commit_may_keep_its_client_waiting_or_lose_it() -> None:
    clock = TestClock()
    async with talking(clock=clock) as talk:
        clock.hurried = False
        talk.sandbox.set_faults(struck("late_commit", seconds=120, drop=False, times=2))
        async with asyncio.TaskGroup() as group:
            patient, hasty = group.create_task(post(talk)), group.create_task(post(talk))
            await settled()
            await clock.advance(60)
            hasty.cancel()
            await clock.advance(59)
            assert count(talk) == 0
            await clock.advance(1)
        assert patient.result().status_code == 504
        assert count(talk) == 2
        assert talk.sandbox.limiter.in_flight == 0


async def test_slow_means_done_at_once_and_answered_later() -> None:
    clock = TestClock()
    async with talking(clock=clock) as talk:
        clock.hurried = False
        talk.sandbox.set_faults(struck("slow", seconds=45))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(post(talk))
            await clock.advance(44)
            assert (waiting.done(), count(talk)) == (False, 1)
            await clock.advance(1)
        assert waiting.result().status_code == 201


async def test_a_new_record_may_be_missing_from_lists_for_a_while() -> None:
    async with talking() as talk:
        talk.sandbox.set_faults(struck("stale_list", seconds=30))
        ann = (await post(talk)).json()["customer"]["customer_id"]
        await talk.customer("Bob")
        await talk.done(f"GET /customers/{ann}")
        names = [row["display_name"] for row in (await talk.done("GET /customers"))["customers"]]
        assert names == ["Bob"]
        assert (await talk.done("GET /customers", email=BODY["email"]))["customers"] == []
        await talk.clock.sleep(30)
        assert len((await talk.done("GET /customers"))["customers"]) == 2
        talk.sandbox.set_faults(Faults([Fault("stale_list", "GET /customers", seconds=3600)]))
        assert (await talk.done("GET /customers"))["customers"] == []
        assert len((await talk.done("GET /customers"))["customers"]) == 2


async def test_the_order_of_a_list_may_change_between_pages() -> None:
    async with talking() as talk:
        for number in range(4):
            await talk.customer(f"C{number}")
        talk.sandbox.set_faults(Faults([Fault("reordered", "GET /customers", nth=2)]))
        seen: list[str] = []
        for page in ("1", "2"):
            told = await talk.done("GET /customers", page=page, per_page="2")
            seen += [row["display_name"] for row in told["customers"]]
        assert seen == ["C3", "C2", "C2", "C3"]


async def test_the_accounts_server_has_its_trouble_too() -> None:
    async with talking() as talk:
        token = "POST /oauth/v2/token"
        script = [Fault("error_before_commit", token, status=503), Fault("html", token, nth=2)]
        talk.sandbox.set_faults(Faults([*script, Fault("lost_reply", token, nth=3)]))
        assert (await talk.refresh()).status_code == 503
        assert "html" in (await talk.refresh()).headers["content-type"]
        with pytest.raises(ConnectionResetError):
            await talk.refresh()
        assert talk.sandbox.ledger.token_mints == 2
        talk.sandbox.set_faults(
            Faults([Fault("rate_limit", token), Fault("refused_200", token, 2)])
        )
        assert (await talk.refresh()).json()["error"] == "Access Denied"
        assert (await talk.refresh()).json()["error"] == "invalid_code"


async def test_the_script_picks_its_moments() -> None:
    async with talking() as talk:
        only = Fault("error_before_commit", "POST *", contains="Bob", nth=2, times=2)
        talk.sandbox.set_faults(Faults([only]))
        statuses = []
        for name in ("Bob", "Ann", "Bob", "Ann", "Bob", "Bob"):
            body = {"display_name": name, "email": "x@example.com"}
            statuses.append((await talk.send("POST /customers", body))[0])
        assert statuses == [201, 201, 500, 201, 500, 201]


async def test_chance_strikes_the_same_way_for_the_same_seed() -> None:
    async def told(seed: int) -> list[int]:
        async with talking() as talk:
            script = [Fault("error_before_commit", "POST *", rate=0.3)]
            talk.sandbox.set_faults(Faults(script, Chance(seed)))
            return [(await post(talk)).status_code for _ in range(40)]

    first = await told(1)
    assert first == await told(1)
    assert first != await told(2)
    assert 3 < first.count(500) < 25


async def test_the_script_can_be_set_over_http() -> None:
    async with talking() as talk:
        fault = {"what": "refused_200", "operation": "POST /customers", "code": 1002}
        reply = await talk.client.post("/_sandbox/faults", json={"seed": 3, "script": [fault]})
        assert reply.json() == {"faults": 1}
        assert (await post(talk)).json()["code"] == 1002
        for wrong in ({"what": "earthquake"}, {"what": "slow", "why": 1}, {}):
            told = await talk.client.post("/_sandbox/faults", json={"script": [wrong]})
            assert told.status_code == 400
            assert told.json()["error"]


async def test_over_a_real_socket_connections_end_without_a_byte_or_with_a_reset() -> None:
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted())
    form = {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token}
    form |= {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    async with serving(sandbox) as url, httpx2.AsyncClient(base_url=url, timeout=5) as client:
        told = (await client.post("/oauth/v2/token", data=form)).json()
        assert told["api_domain"] == url
        client.headers["authorization"] = f"Zoho-oauthtoken {told['access_token']}"
        client.headers["X-com-zoho-subscriptions-organizationid"] = "10001"
        operation = "POST /customers"
        script = [Fault("lost_reply", operation), Fault("reset", operation, nth=2)]
        script += [Fault("late_commit", operation, nth=3, seconds=0.0)]
        sandbox.set_faults(Faults(script))
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
            await client.post("/billing/v1/customers", json=BODY)
        assert len(sandbox.ledger.records("customers")) == 1
        with pytest.raises(httpx2.ReadError):
            await client.post("/billing/v1/customers", json=BODY)
        assert len(sandbox.ledger.records("customers")) == 1
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post("/billing/v1/customers", json=BODY)
        assert len(sandbox.ledger.records("customers")) == 2
        reply = await client.post("/billing/v1/customers", json=BODY)
        assert reply.status_code == 201
        assert (await client.get("/_sandbox/ledger")).json()["records"]["customers"] == 3
    assert sandbox.limiter.in_flight == 0


async def test_what_goes_wrong_while_serving_comes_out_as_it_was() -> None:
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1))
    with pytest.raises(LookupError, match="mine"):
        async with serving(sandbox):
            raise LookupError("mine")


async def test_one_address_for_each_that_serves() -> None:
    one, two = (Sandbox(clock=SystemClock(), chance=Chance(1)) for _ in range(2))
    async with serving(one) as first, serving(two) as second:
        assert first != second
        async with httpx2.AsyncClient() as client:
            for url in (first, second):
                assert (await client.get(f"{url}/_sandbox/ledger")).json()["calls"] == 0
