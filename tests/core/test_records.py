"""The one form of a value, what counts as equal, and the digest that stands for a payload."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.records import (
    LIVE,
    Payload,
    canonical,
    differing,
    fingerprint,
    lane_of,
    place,
    same,
    without_nothing,
)

NUMBERS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | NUMBERS | st.text(max_size=9)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
PAYLOADS: st.SearchStrategy[Payload] = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


def respelled(value: Any) -> Any:
    """The same value written otherwise: other exponents, other order of keys."""
    match value:
        case bool() | str() | None:
            return value
        case int() | Decimal():
            number = Decimal(value)
            sign, digits, exponent = number.as_tuple()
            assert isinstance(exponent, int)
            return Decimal((sign, (*digits, 0, 0), exponent - 2))
        case dict():
            return {name: respelled(value[name]) for name in reversed(list(value))}
        case _:
            return [respelled(item) for item in value]


@given(VALUES)
def test_the_one_form_of_a_value_is_its_own_one_form(value: Any) -> None:
    once = canonical(value)
    assert repr(canonical(once)) == repr(once)


@given(PAYLOADS)
def test_a_payload_spelled_otherwise_has_the_same_fingerprint(payload: Payload) -> None:
    assert fingerprint(respelled(payload)) == fingerprint(payload)


@given(PAYLOADS, PAYLOADS)
def test_payloads_have_one_fingerprint_exactly_when_they_are_equal(
    left: Payload, right: Payload
) -> None:
    equal = repr(canonical(left)) == repr(canonical(right))
    as_text = "Decimal('" in repr(canonical([left, right]))  # 5 and "5" are both written "5"
    if equal or not as_text:
        assert (fingerprint(left) == fingerprint(right)) is equal


@given(PAYLOADS)
def test_nothing_differs_from_itself(payload: Payload) -> None:
    assert differing(payload, respelled(payload)) == {}


@pytest.mark.parametrize(
    ("number", "plain"),
    [
        ("1E+2", "100"),
        ("100.00", "100"),
        ("0.10", "0.1"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+50", "0"),
        ("0E-50", "0"),
        ("-12.50", "-12.5"),
        ("1E+27", "1" + "0" * 27),
        ("1." + "0" * 40, "1"),
        ("123456789012345678.123456789", "123456789012345678.123456789"),
    ],
)
def test_a_number_has_no_exponent_no_trailing_zeros_and_no_minus_zero(
    number: str, plain: str
) -> None:
    form = canonical(Decimal(number))
    assert isinstance(form, Decimal)
    assert f"{form:f}" == plain
    assert form.as_tuple() == Decimal(plain).as_tuple()


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+28", "9" * 29])
def test_a_number_that_zoho_cannot_hold_is_refused_by_name(number: str) -> None:
    with pytest.raises(TypeError, match=r"cannot be sent|can hold"):
        canonical(Decimal(number))


@pytest.mark.parametrize("value", ["1E+999999", "1E-999999", "1." + "1" * 60])
def test_a_number_of_absurd_size_is_refused_and_not_written_out(value: str) -> None:
    with pytest.raises(TypeError, match="over 28 digits"):
        canonical({"deep": [Decimal(value)]})


@pytest.mark.parametrize("value", [1.5, b"bytes", object(), {1, 2}, {"a": [0.1]}])
def test_a_float_or_a_thing_that_no_json_holds_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (50, "50.00"),
        (50, Decimal("50.0")),
        (Decimal("5E+1"), "50"),
        ("50.00", 50),
        (None, ""),
        ("", None),
        (True, True),
        (False, False),
        (False, "false"),
        ([{"price": Decimal("1.50")}], [{"price": Decimal("1.5")}]),
        ({"a": 1, "b": 2}, {"b": Decimal("2.0"), "a": 1}),
    ],
)
def test_what_means_the_same_in_zoho_is_the_same(left: Any, right: Any) -> None:
    assert same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (50, "50.01"),
        (50, None),
        (0, None),
        (0, ""),
        (50, "fifty"),
        (True, 1),
        (False, 0),
        (False, None),
        (True, False),
        ("1", "01"),
        ("a", "A"),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (1, [1]),
        (["a"], [1.5]),
        ([Decimal("1E+99")], [Decimal("1E+99")]),
    ],
)
def test_what_means_something_else_is_not_the_same(left: Any, right: Any) -> None:
    assert not same(left, right)


def test_only_the_fields_that_differ_are_named_and_extra_known_ones_do_not_count() -> None:
    known = {"name": "Ada", "price": Decimal("50.00"), "notes": "", "their_own": 1}
    want = {"name": "Ada", "price": 50, "notes": None, "phone": "1", "flag": False}
    assert differing(want, known) == {"phone": "1", "flag": False}
    assert differing({"name": "Ada"}, None) == {"name": "Ada"}


def test_what_is_empty_is_left_out_of_a_create_at_every_depth() -> None:
    payload = {"a": None, "b": {"c": None, "d": 0}, "e": [{"f": None, "g": ""}], "h": False}
    assert without_nothing(payload) == {"b": {"d": 0}, "e": [{"g": ""}], "h": False}


def test_a_value_is_placed_at_its_path_through_lists_and_new_objects() -> None:
    payload: Payload = {"lines": [{}, {}]}
    place(payload, ("lines", 1, "tax_id"), "t")
    place(payload, ("plan", "plan_code"), "gold")
    assert payload == {"lines": [{}, {"tax_id": "t"}], "plan": {"plan_code": "gold"}}


@pytest.mark.parametrize(
    ("priority", "lane"), [(-5, 0), (0, 0), (1, 1), (4, 1), (5, 5), (9, 5), (10, LIVE), (99, LIVE)]
)
def test_a_priority_calls_in_the_highest_lane_at_or_below_it(priority: int, lane: int) -> None:
    assert lane_of(priority) == lane
