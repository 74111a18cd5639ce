"""What of people no log keeps: by field, in lists and addresses, and in what Zoho says."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.privacy import REDACTED, evidence, hushed, redacted
from zohosync.core.records import Claim, Intent, Ref
from zohosync.core.replies import Accepted, Found, Rejected
from zohosync.core.sections import REDACT
from zohosync.core.steps import Create, Find, Nothing, Purpose

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = {
    "display_name": "Ann Archer", "email": "ann@example.com", "phone": "", "is_taxable": True,
    "currency_code": "ZAR", "billing_address": {"city": "Cape Town", "street": "1 Long St"},
    "custom_fields": [{"label": "Id number", "value": "8001015009087"},
                      {"label": "Tier", "value": "gold"}],
}  # fmt: skip


def claim(**known: Any) -> Claim:
    return Claim("1", Ref("customers", "7"), 1, 1, 5, NOON, **known)


def test_fields_that_tell_of_a_person_are_not_kept_and_what_is_empty_stays_empty() -> None:
    kept = redacted(ANN, (*REDACT, "id number"))
    assert kept == {
        "display_name": REDACTED, "email": REDACTED, "phone": "", "is_taxable": True,
        "currency_code": "ZAR", "billing_address": REDACTED,
        "custom_fields": [{"label": "Id number", "value": REDACTED},
                          {"label": "Tier", "value": "gold"}],
    }  # fmt: skip


def test_a_part_of_an_address_can_be_named_alone() -> None:
    kept = redacted(ANN, ["Billing_Address.Street"])
    assert kept["billing_address"] == {"city": "Cape Town", "street": REDACTED}
    assert kept["email"] == "ann@example.com"


def test_nothing_is_redacted_where_nothing_is_named() -> None:
    assert redacted(ANN, ()) == ANN


def test_what_zoho_says_of_a_value_is_kept_without_it() -> None:
    create = Create(ANN, ANN, None, more=False)
    refused = Rejected(400, "1001", "The e-mail ann@example.com of Ann Archer is taken.")
    kept = evidence(create, refused, claim(), REDACT)
    said = f"The e-mail {REDACTED} of {REDACTED} is taken."
    assert kept.response == {"status": 400, "code": "1001", "message": said}
    assert hushed(refused.message, kept.values) == said
    assert kept.request is not None
    assert kept.request["email"] == REDACTED


def test_of_a_reply_that_is_kept_which_was_sent_and_how_the_record_stands() -> None:
    bill = {"invoice_number": "A-1", "notes": "for Ann"}
    reply = Accepted("z1", {**bill, "total": Decimal(115), "status": "draft", "secret": "x"})
    kept = evidence(Create(bill, bill, None, more=False), reply, claim(), REDACT)
    assert kept.response == {
        "zoho_id": "z1", "invoice_number": "A-1", "notes": REDACTED, "total": Decimal(115),
        "status": "draft",
    }  # fmt: skip
    assert evidence(Nothing(), None, claim(), REDACT).request is None


def test_the_write_that_was_in_doubt_is_kept_redacted_once_it_is_settled() -> None:
    intent = Intent(4, "create", dict(ANN), NOON)
    look = Find(Purpose.VERIFY, dict(ANN))
    kept = evidence(look, Found(()), claim(intent=intent), REDACT)
    assert kept.closed is not None
    assert (kept.closed["email"], kept.closed["currency_code"]) == (REDACTED, "ZAR")
    assert intent.payload == ANN


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["email", "name", "notes", "label", "value"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_the_payload_no_named_value_is_left_and_the_shape_stays(payload: Any) -> None:
    kept = redacted({"top": payload}, ["email", "notes"])

    def look(before: Any, after: Any) -> None:
        match before:
            case dict():
                assert before.keys() == after.keys()
                for name, inner in before.items():
                    if name in ("email", "notes"):
                        assert after[name] == (
                            REDACTED if inner not in (None, "", [], {}) else inner
                        )
                    else:
                        look(inner, after[name])
            case list():
                assert len(before) == len(after)
                for one, other in zip(before, after, strict=True):
                    look(one, other)
            case _:
                assert after in (before, REDACTED)

    look({"top": payload}, kept)
