"""What an answer means: every status, code and body ends as one reply, and none of them raises."""

from datetime import UTC, datetime
from typing import Any

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.replies import (
    Accepted,
    Found,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unusable,
)
from zohosync.zoho.answers import (
    mint_of,
    moved,
    opened,
    page_of,
    read_one,
    read_page,
    retry_after_s,
    written,
)
from zohosync.zoho.door import Answer
from zohosync.zoho.wire import PER_PAGE, WIRES

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
CUSTOMERS = WIRES["customers"]


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else simplejson.dumps(body).encode()
    return Answer(status, named, content)


def created(status: int, body: Any = b"", **headers: str) -> Reply:
    return written(CUSTOMERS, None, answer(status, body, **headers), NOW).reply


def changed(status: int, body: Any = b"") -> Reply:
    return written(CUSTOMERS, "7", answer(status, body), NOW).reply


def record(zoho_id: Any = "7", **fields: Any) -> dict[str, Any]:
    return {"code": 0, "message": "ok", "customer": {"customer_id": zoho_id, **fields}}


def test_a_success_with_an_id_is_accepted() -> None:
    assert created(201, record(email="a@x.example")) == Accepted(
        "7", {"customer_id": "7", "email": "a@x.example"}
    )
    assert isinstance(changed(200, record()), Accepted)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"code": 0, "customer": {"customer_id": "7"',
        b"\xff\xfe{}",
        {"code": 0, "message": "ok"},
        {"code": 0, "customer": None},
        {"code": 0, "customer": []},
        record(""),
        record(None),
        {"customer": {"customer_id": "7"}},
        b"[" * 100_000,
        b'{"code": 0, "customer": {"customer_id": "7", "outstanding": 1e99999999}}',
        b'{"code": 0, "customer": {"customer_id": "7", "outstanding": NaN}}',
    ],
)
def test_a_success_that_does_not_say_its_id_is_unusable(body: Any) -> None:
    assert isinstance(created(201, body), Unusable | Unavailable)
    assert isinstance(changed(200, body), Unusable | Unavailable)


def test_a_reply_over_another_record_is_unusable() -> None:
    assert isinstance(changed(200, record("8")), Unusable)


def test_a_reply_that_was_cut_off_for_its_length_is_unusable() -> None:
    long = Answer(201, {}, b"", whole=False)
    assert isinstance(written(CUSTOMERS, None, long, NOW).reply, Unusable)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, 1001),
        (201, 3062),
        (400, 15),
        (403, 120),
        (404, 1002),
        (405, 7),
        (409, 15),
        (422, 15),
    ],
)
def test_a_code_other_than_0_is_a_refusal_whatever_the_status(status: int, code: int) -> None:
    refused = created(status, {"code": code, "message": "no\x00 \ud800"})
    assert refused == Rejected(status, str(code), "no ?")


def test_a_message_is_kept_in_part_when_it_is_long() -> None:
    refused = created(400, {"code": 15, "message": "x" * 10_000})
    assert isinstance(refused, Rejected)
    assert len(refused.message) == 500


@pytest.mark.parametrize("status", [200, 201, 400, 404, 413, 500, 502, 503])
def test_a_page_that_is_not_the_apis_says_nothing_of_the_record(status: int) -> None:
    page = b"<html><body>Bad Gateway</body></html>"
    assert isinstance(created(status, page, content_type="text/html"), Unavailable)


@pytest.mark.parametrize("status", [301, 302, 408, 500, 502, 504])
def test_a_server_in_trouble_or_a_detour_is_unavailable(status: int) -> None:
    assert isinstance(created(status, {"code": 1000, "message": "internal"}), Unavailable)


@pytest.mark.parametrize(
    ("body", "headers", "throttled"),
    [
        ({"code": 44, "message": "no"}, {"retry_after": "1800"}, Throttled("44", 1800.0, "no")),
        ({"code": 45, "message": "rate"}, {}, Throttled("45", None, "rate")),
        ({"code": 1070, "message": "x"}, {"retry_after": "junk"}, Throttled("1070", None, "x")),
        (b"<html>", {"retry_after": "5"}, None),
    ],
)  # fmt: skip
def test_429_is_the_organisations_and_44_when_it_does_not_say(
    body: Any, headers: dict[str, str], throttled: Throttled | None
) -> None:
    reply = created(429, body, **headers)
    if throttled is not None:
        assert reply == throttled
    else:
        assert isinstance(reply, Throttled)
        assert (reply.code, reply.retry_after_s) == ("44", 5.0)


@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_block_is_known_by_its_words_without_its_status(status: int) -> None:
    words = "For security reasons you have been blocked for some time"
    assert isinstance(created(status, {"code": 43, "message": words}), Throttled)
    assert isinstance(created(status, {"code": 43, "message": "another meaning"}), Rejected)


_SKEWED = "Fri, 01 May 2026 15:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
        ({"retry-after": "Fri, 01 May 2026 12:10:00 GMT"}, 600.0),
        ({"retry-after": "Fri, 01 May 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 01 May 2026 15:10:00 GMT", "date": _SKEWED}, 600.0),
        ({"retry-after": "soon"}, None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "code"), [(401, 14), (401, 57), (400, 57), (403, 6041), (400, 9)]
)
def test_credentials_that_do_not_open_the_door(status: int, code: int) -> None:
    reply = created(status, {"code": code, "message": "no"})
    assert reply == Unauthorized(str(code), "no")


def read(status: int, body: Any) -> Reply:
    return read_one(CUSTOMERS, "7", answer(status, body), NOW).reply


def test_a_record_that_is_not_there_is_an_answer() -> None:
    assert read(404, {"code": 1002, "message": "gone"}) == Found(())
    assert read(400, {"code": 1002, "message": "gone"}) == Found(())
    assert read(404, {"message": "gone"}) == Found(())


def test_a_wrong_address_is_not_a_missing_record() -> None:
    assert isinstance(read(404, {"code": 5, "message": "Invalid URL Passed"}), Rejected)
    assert isinstance(read(404, b"<html>not found</html>"), Unavailable)
    assert isinstance(read(404, b""), Unavailable)


def test_another_record_than_the_one_asked_for_is_unusable() -> None:
    assert isinstance(read(200, record("8")), Unusable)


def test_a_change_of_state_needs_no_record_in_its_reply() -> None:
    bare = answer(200, {"code": 0, "message": "marked"})
    assert moved(CUSTOMERS, "7", bare, NOW).reply == Accepted("7", {})
    refused = answer(200, {"code": 9001, "message": "no"})
    assert isinstance(moved(CUSTOMERS, "7", refused, NOW).reply, Rejected)


def listing(rows: Any, **context: Any) -> dict[str, Any]:
    body = {"code": 0, "message": "ok", "customers": rows}
    return {**body, "page_context": context} if context else body


def test_a_list_is_read_row_by_row() -> None:
    found = read_page(CUSTOMERS, answer(200, listing([{"customer_id": "1"}])), NOW).reply
    assert isinstance(found, Found)
    assert [row.zoho_id for row in found.candidates] == ["1"]
    assert found.complete


def test_a_row_without_an_id_makes_the_list_incomplete() -> None:
    found = read_page(CUSTOMERS, answer(200, listing([{"email": "x"}, None, 7])), NOW).reply
    assert found == Found((), complete=False)


@pytest.mark.parametrize("rows", [None, {}, "x"])
def test_a_list_reply_without_its_list_is_unusable(rows: Any) -> None:
    assert isinstance(read_page(CUSTOMERS, answer(200, listing(rows)), NOW).reply, Unusable)


@pytest.mark.parametrize(
    ("count", "context", "more", "whole"),
    [
        (3, {"has_more_page": False}, False, True),
        (PER_PAGE, {"has_more_page": True}, True, True),
        (0, {"has_more_page": True}, False, False),
        (PER_PAGE, {}, False, False),
        (PER_PAGE, {"page": 1}, False, False),
        (PER_PAGE, {"has_more_page": "yes"}, False, False),
        (3, {}, False, True),
        (0, {}, False, True),
    ],
)
def test_a_page_says_whether_more_follow(
    count: int, context: dict[str, Any], more: bool, whole: bool
) -> None:
    page = page_of(CUSTOMERS, listing([{"customer_id": str(n)} for n in range(count)], **context))
    assert (page.more, page.whole) == (more, whole)


def mint(status: int, body: Any, **headers: str) -> Reply:
    return mint_of(NOW, answer(status, body, **headers)).reply


@pytest.mark.parametrize(
    ("body", "good_for_s"),
    [
        ({"access_token": "1000.a", "expires_in": 3600}, 3600.0),
        ({"access_token": "1000.a", "expires_in": 3600000, "expires_in_sec": 3600}, 3600.0),
        ({"access_token": "1000.a", "expires_in": 3600000}, 3600.0),
        ({"access_token": "1000.a"}, 3600.0),
    ],
)
def test_a_token_is_judged_by_the_body(body: Any, good_for_s: float) -> None:
    heard = mint_of(NOW, answer(400, body))
    assert heard.reply == Found(())
    assert heard.document["good_for_s"] == good_for_s
    assert "1000.a" not in repr(heard)


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_refused_refresh_is_known_whatever_its_status(status: int) -> None:
    assert mint(status, {"error": "invalid_code"}) == Unauthorized("invalid_code", "invalid_code")
    assert isinstance(mint(status, {"error": "invalid_client"}), Unauthorized)


@pytest.mark.parametrize("status", [200, 400, 429])
def test_too_many_mints_close_the_token_door_for_ten_minutes(status: int) -> None:
    words = "You have made too many requests continuously. Please try again after some time."
    reply = mint(status, {"error": "Access Denied", "error_description": words})
    assert isinstance(reply, Throttled)
    assert reply.code == "token"
    assert reply.retry_after_s is not None
    assert reply.retry_after_s >= 600.0


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {"error": "invalid_code"}), (502, b"<html>"), (200, b"<html>"), (200, {}), (200, []),
     (200, {"access_token": ""}), (200, {"access_token": "a\nb"}),
     (400, {"error": "server_error"})],
)  # fmt: skip
def test_an_accounts_server_in_trouble_says_nothing_of_the_credentials(
    status: int, body: Any
) -> None:
    assert isinstance(mint(status, body), Unavailable)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    status=st.integers(100, 599),
    body=st.one_of(
        st.binary(max_size=40),
        st.fixed_dictionaries(
            {},
            optional={
                "code": json_values,
                "message": json_values,
                "customer": json_values,
                "customers": json_values,
                "page_context": json_values,
                "access_token": json_values,
                "error": json_values,
                "expires_in": json_values,
            },
        ),
    ),
    retry_after=st.text(max_size=20),
)
def test_no_answer_raises(status: int, body: Any, retry_after: str) -> None:
    content = body if isinstance(body, bytes) else simplejson.dumps(body, use_decimal=True).encode()
    heard = Answer(status, {"retry-after": retry_after, "date": retry_after}, content)
    written(CUSTOMERS, None, heard, NOW)
    moved(CUSTOMERS, "7", heard, NOW)
    read_one(CUSTOMERS, "7", heard, NOW)
    page = read_page(CUSTOMERS, heard, NOW)
    page_of(CUSTOMERS, page.document)
    opened(heard, NOW)
    mint_of(NOW, heard)
