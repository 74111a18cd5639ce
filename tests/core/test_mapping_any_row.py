"""Whatever a row holds, it never raises: it is a payload that can be sent, or a named fault."""

from datetime import UTC
from typing import Any

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st

from core.builders import ROWS, marker_of
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.mapping import column_names, desired_of, identity_of
from zohosync.core.records import fingerprint

ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\ud800",
        "zs:x:2",
        "NaN",
        "١٢",
        "1e400",
        "👩‍👩‍👧",
        "\u202e",
        "-1",
        "x" * 6_000,
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=20)
    | ODD_TEXTS
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.timedeltas()
    | st.uuids()
    | st.binary(max_size=5)
)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=5,
)
ALIASES = (
    "custom_fields.Tier",
    "billing_address.city",
    "plan.quantity",
    "plan.price.deep",
    "notes.x",
)


@st.composite
def rows(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """The sound row of a kind with some columns that hold anything."""
    names = sorted({*column_names(KINDS[kind]), *ALIASES})
    chosen = draw(st.lists(st.sampled_from(names), max_size=5, unique=True))
    row = {**ROWS[kind], **{name: draw(ANY) for name in chosen}}
    for within in ("invoice_items", "invoices"):
        if within in chosen and draw(st.booleans()):
            item = st.dictionaries(
                st.sampled_from(["tax", "sku", "invoice_key", "price", "name"]), ANY, max_size=3
            )
            row[within] = draw(st.lists(item, max_size=2))
    return row


@pytest.mark.parametrize("kind", MAPPED)
@given(data=st.data())
def test_any_row_gives_a_payload_that_can_be_sent_or_a_named_fault(
    kind: str, data: st.DataObject
) -> None:
    row = data.draw(rows(kind))
    desired = desired_of(KINDS[kind], row, marker=marker_of("1"), marker_field=None)
    body = simplejson.dumps(desired.payload, use_decimal=True, allow_nan=False)
    body.encode()
    assert "\x00" not in simplejson.dumps(desired.payload, use_decimal=True, ensure_ascii=False)
    assert fingerprint(desired.payload) == fingerprint(desired.payload)
    identity_of(desired)
    for fault in desired.faults:
        assert fault.message
        assert len(fault.message) < 1_000
    if not desired.faults:
        assert all(slot.parent.key for slot in desired.slots)
