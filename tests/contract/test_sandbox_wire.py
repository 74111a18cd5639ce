"""Signing in, the organisation, paging, envelopes, and the side doors."""

from decimal import Decimal
from typing import Any

import pytest
import simplejson

from contract.talk import Talk, talking
from zohosync.sandbox import GrantCode, SandboxLimits


async def test_a_refresh_gives_a_token_for_an_hour_and_the_address_of_the_api() -> None:
    async with talking(signed_in=False) as talk:
        told = (await talk.refresh()).json()
        assert told["expires_in"] == 3600
        assert told["api_domain"] == "http://zoho.test"
        assert told["token_type"] == "Bearer"
        assert talk.sandbox.ledger.token_mints == 1
        in_query = {"grant_type": "refresh_token", "refresh_token": talk.sandbox.refresh_token}
        in_query |= {"client_id": "1000.CLIENT", "client_secret": "secret"}
        reply = await talk.client.post("/oauth/v2/token", params=in_query)
        assert "access_token" in reply.json()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"refresh_token": "1000.revoked"}, "invalid_code"),
    ],
)
async def test_what_is_wrong_with_a_refresh_comes_with_status_200(
    changes: dict[str, str], error: str
) -> None:
    async with talking(signed_in=False) as talk:
        reply = await talk.refresh(**changes)
        assert (reply.status_code, reply.json()) == (200, {"error": error})
        assert talk.sandbox.ledger.token_mints == 0


@pytest.mark.parametrize("throttle_status", [400, 200])
async def test_the_eleventh_token_in_ten_minutes_is_denied(throttle_status: int) -> None:
    limits = SandboxLimits(mints_per_10_min=10)
    async with talking(signed_in=False, throttle_status=throttle_status, limits=limits) as talk:
        for _ in range(10):
            assert "access_token" in (await talk.refresh()).json()
        denied = await talk.refresh()
        assert denied.status_code == throttle_status
        assert denied.json()["error"] == "Access Denied"
        assert "too many requests continuously" in denied.json()["error_description"]
        await talk.clock.sleep(600)
        assert "access_token" in (await talk.refresh()).json()
        assert talk.sandbox.ledger.token_mints == 11


async def test_a_self_client_code_is_good_once_and_for_its_minutes() -> None:
    grants = (GrantCode("fresh", ("ZohoSubscriptions.customers.READ",)), GrantCode("stale"))
    async with talking(signed_in=False, grants=grants) as talk:
        told = (await talk.refresh(grant_type="authorization_code", code="fresh")).json()
        assert told["scope"] == "ZohoSubscriptions.customers.READ"
        again = await talk.refresh(grant_type="authorization_code", code="fresh")
        assert again.json() == {"error": "invalid_code"}
        await talk.clock.sleep(601)
        late = await talk.refresh(grant_type="authorization_code", code="stale")
        assert late.json() == {"error": "invalid_code"}
        talk.sandbox.refresh_token = told["refresh_token"]
        await talk.sign_in()
        await talk.done("GET /customers")
        assert await talk.refused("GET /invoices") == (401, 57)


async def test_tokens_expire_are_evicted_and_revoked() -> None:
    async with talking(active_tokens=2) as talk:
        await talk.done("GET /customers")
        await talk.clock.sleep(3600)
        assert await talk.refused("GET /customers") == (401, 14)
        await talk.sign_in()
        await talk.refresh()
        await talk.done("GET /customers")
        await talk.refresh()  # the third living token of a refresh token kills the oldest
        assert await talk.refused("GET /customers") == (401, 14)
        await talk.sign_in()
        await talk.client.post("/_sandbox/tokens/expire")
        assert await talk.refused("GET /customers") == (401, 14)
        await talk.client.post("/_sandbox/tokens/revoke")
        assert (await talk.refresh()).json() == {"error": "invalid_code"}


async def test_without_a_token_nothing_is_told() -> None:
    async with talking(signed_in=False) as talk:
        assert await talk.refused("GET /customers") == (401, 14)
        talk.client.headers["authorization"] = "Zoho-oauthtoken nonsense"
        assert await talk.refused("POST /customers", {"display_name": "A"}) == (401, 14)
        assert talk.sandbox.ledger.records("customers") == []


async def test_changes_of_state_need_the_create_scope() -> None:
    scopes = ("ZohoSubscriptions.customers.CREATE", "ZohoSubscriptions.customers.READ")
    async with talking(scopes=scopes) as talk:
        ann = await talk.customer()
        await talk.done(f"POST /customers/{ann}/markasinactive")
        body = {"display_name": "B", "email": "b@example.com"}
        assert await talk.refused(f"PUT /customers/{ann}", body) == (401, 57)


async def test_another_organisation_is_refused_and_the_own_one_says_its_mode() -> None:
    async with talking(mode="live", time_zone="Africa/Johannesburg") as talk:
        (own,) = (await talk.done("GET /organizations"))["organizations"]
        assert (own["organization_id"], own["mode"]) == ("10001", "live")
        assert own["time_zone"] == "Africa/Johannesburg"
        talk.client.headers["X-com-zoho-subscriptions-organizationid"] = "20002"
        assert await talk.refused("GET /customers") == (403, 6041)
        del talk.client.headers["X-com-zoho-subscriptions-organizationid"]
        assert await talk.refused("GET /customers") == (403, 6041)
        await talk.done("GET /customers", organization_id="10001")
        await talk.done("GET /organizations")


async def test_wrong_paths_and_methods_and_bodies_are_refused() -> None:
    async with talking() as talk:
        assert (await talk.refused("GET /nothing"))[0] == 404
        assert (await talk.refused("GET /payments"))[0] == 405
        assert await talk.refused("GET /customers/4600000000000009999") == (404, 1002)
        for content in (b"{", b"[]", b'"text"', b"\xff\xfe", b'{"a":' * 50_000):
            reply = await talk.client.post("/billing/v1/customers", content=content)
            assert (reply.status_code, reply.json()["code"]) == (400, 4)


async def test_lists_come_in_pages_newest_first_to_their_end() -> None:
    async with talking() as talk:
        made = [await talk.customer(f"C{number}") for number in range(205)]
        first = await talk.done("GET /customers")
        assert first["page_context"] == {"page": 1, "per_page": 200, "has_more_page": True}
        second = await talk.done("GET /customers", page="2")
        assert not second["page_context"]["has_more_page"]
        seen = [row["customer_id"] for row in first["customers"] + second["customers"]]
        assert seen == made[::-1]
        capped = await talk.done("GET /customers", per_page="500")
        assert capped["page_context"]["per_page"] == 200
        exact = await talk.done("GET /customers", per_page="41", page="5")
        assert (len(exact["customers"]), exact["page_context"]["has_more_page"]) == (41, False)
        beyond = await talk.done("GET /customers", page="9")
        assert beyond["customers"] == []


async def test_unknown_parameters_are_ignored_and_unknown_fields_dropped() -> None:
    async with talking() as talk:
        ann = await talk.customer("Ann", zcrm="x", billing_address={"city": "Oslo", "planet": "Y"})
        await talk.customer("Bob")
        assert len((await talk.done("GET /customers", nonsense="1"))["customers"]) == 2
        assert len((await talk.done("GET /customers", filter_by="Sts.Active"))["customers"]) == 2
        shown = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert "zcrm" not in shown
        assert shown["billing_address"]["city"] == "Oslo"
        assert "planet" not in shown["billing_address"]


async def test_a_filter_may_be_without_effect() -> None:
    async with talking(ignored_filters=("email",)) as talk:
        await talk.customer("Ann")
        await talk.customer("Bob")
        found = (await talk.done("GET /customers", email="ann@example.com"))["customers"]
        assert len(found) == 2


async def test_ids_are_19_digits_in_quotes_and_times_carry_an_offset_without_colon() -> None:
    async with talking(time_zone="Asia/Kolkata") as talk:
        ann = await talk.customer()
        assert len(ann) == 19
        assert ann.isdigit()
        shown = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert shown["created_time"] == "2026-03-10T14:30:00+0530"


async def test_money_is_exact_in_the_reply() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        await talk.invoice(ann, "A-1", "0.1")
        reply = await talk.client.get("/billing/v1/invoices")
        assert '"total":0.10,' in reply.text


async def test_a_person_works_by_hand_without_a_call_or_an_email() -> None:
    async with talking() as talk:
        before = len(talk.sandbox.ledger.calls())
        made = await talk.client.post(
            "/_sandbox/records/customers",
            json={"display_name": "Hand", "email": "hand@example.com", "notes": "zs:x:1"},
        )
        hand = made.json()["customer"]["customer_id"]
        body = {"display_name": "Hand 2", "email": "hand@example.com"}
        await talk.client.put(f"/_sandbox/records/customers/{hand}", json=body)
        item = await talk.client.post("/_sandbox/records/items", json={"name": "I", "rate": 1})
        line = {"product_id": item.json()["item"]["item_id"], "quantity": 1, "price": "5"}
        invoice = {"customer_id": hand, "date": "2026-01-01", "invoice_items": [line]}
        told = talk.sandbox.by_hand("POST", "/invoices", invoice)["invoice"]
        talk.sandbox.by_hand("POST", f"/invoices/{told['invoice_id']}/email")
        talk.sandbox.by_hand("DELETE", f"/invoices/{told['invoice_id']}")
        with pytest.raises(ValueError, match="1002"):
            talk.sandbox.by_hand("GET", "/customers/1")
        records = await talk.client.get("/_sandbox/records/customers")
        (row,) = records.json()["customers"]
        assert (row["display_name"], row["notes"]) == ("Hand 2", "zs:x:1")
        ledger = talk.sandbox.ledger
        assert (len(ledger.calls()), ledger.emails, ledger.deletions) == (before, 0, 0)


async def test_the_ledger_tells_what_was_asked_and_accepted() -> None:
    async with talking() as talk:
        ann = await talk.customer("Ann", notes="met at the fair\nzs:home:7")
        await talk.customer("Bea", custom_fields=[{"label": "Key", "value": "zs:home:7"}])
        await talk.refused("POST /customers", {"display_name": "X"})
        told: dict[str, Any] = simplejson.loads((await talk.client.get("/_sandbox/ledger")).text)
        assert (told["calls"], told["oauth_requests"], told["token_mints"]) == (3, 1, 1)
        assert told["by_operation"] == {"POST /customers": 3}
        assert told["by_status"] == {"201": 2, "400": 1}
        assert told["records"]["customers"] == 2
        assert told["duplicates"]["customers"] == ["zs:home:7"]
        first, _, refused = talk.sandbox.ledger.calls("POST /customers")
        assert (refused.body, refused.code) == ({"display_name": "X"}, 6)
        assert (first.zoho_id, first.status, first.code) == (ann, 201, 0)
        assert first.at == talk.clock.now()


async def test_names_in_every_script_come_back_as_they_went() -> None:
    async with talking() as talk:
        name = "Ян 🧾 شركة النور"
        ann = await talk.customer("X", display_name=name)
        assert (await talk.done(f"GET /customers/{ann}"))["customer"]["display_name"] == name


async def test_a_text_beyond_its_length_is_refused_not_cut() -> None:
    async with talking() as talk:
        body = {"display_name": "A", "email": "a@example.com", "notes": "x" * 10_000_000}
        assert await talk.refused("POST /customers", body) == (400, 15)


async def test_numbers_that_are_none_are_refused() -> None:
    async with talking() as talk:
        item = await _rate(talk, Decimal("12.345"))
        assert item == Decimal("12.35")
        for rate in ("abc", True, [1], 10**20):
            assert await talk.refused("POST /items", {"name": "I", "rate": rate}) == (400, 4)
        reply = await talk.client.post("/billing/v1/items", content=b'{"name":"I","rate":NaN}')
        assert reply.json()["code"] == 4


async def _rate(talk: Talk, rate: Decimal) -> Decimal:
    told = await talk.done("POST /items", {"name": "I", "rate": rate})
    return Decimal(told["item"]["rate"])
