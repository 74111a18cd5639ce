"""What an answer of Zoho's means: refused, throttled, done, found, or not to be understood.

The HTTP status is asked first, then `code`, then the message: codes are published for sister
products only (docs/zoho.md), and an error may come with status 200.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import simplejson

from zohosync.core.governor import MINT_WINDOW_S
from zohosync.core.records import Candidate
from zohosync.core.replies import (
    Accepted,
    Closed,
    Found,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unusable,
)
from zohosync.zoho.door import Answer, Heard
from zohosync.zoho.wire import PER_PAGE, Wire, clean_text, id_of, spell

MESSAGE_MAX = 500
"""Characters of a message that we keep."""

MINUTE_CODE = "44"
"""What a 429 without a code is taken for: the minute limit, whose block is the longest."""

THROTTLE_WORDS = MappingProxyType(
    {"43": "blocked", "44": "blocked", "45": "call rate", "1070": "in process"}
)
"""Codes of the limits, with a word of their message: known even without status 429."""

GAVE_UP_WAITING = 408
"""The server was tired of waiting for the request: nothing is said of the record."""

WRONG_DOOR_CODES = frozenset({"9", "57", "6041"})
"""Codes that no new token mends: another host, a missing scope, not of this organisation."""

NOT_THERE_CODES = frozenset({"1002"})
"""Codes that say of a record read by its id that it does not exist, whatever the status."""

INVALID_URL_CODE = "5"
"""404 with this code says that the path is wrong, not that a record is missing (Books)."""

MINT_AGAIN = frozenset({"general_error", "server_error", "temporarily_unavailable"})
"""Errors of the accounts server that say nothing about the credentials."""

_UNREADABLE = (ValueError, TypeError, ArithmeticError, RecursionError)


def written(wire: Wire, zoho_id: str | None, answer: Answer, now: datetime) -> Heard:
    """What the answer to a create (`zoho_id` None) or a change of that record means."""
    heard = opened(answer, now)
    if not isinstance(heard.reply, Found):
        return heard
    record = heard.document.get(wire.singular)
    found_id = id_of(wire, record)
    if found_id is None:
        return Heard(Unusable(f"the reply carries no {wire.id_field}"))
    if zoho_id is not None and found_id != zoho_id:
        return Heard(Unusable(f"{wire.singular} {zoho_id} was changed, the reply is {found_id}"))
    try:
        return Heard(Accepted(found_id, spell(wire, record)))  # type: ignore[arg-type]
    except _UNREADABLE as error:
        return Heard(Unusable(f"the reply cannot be read: {error}"))


def moved(wire: Wire, zoho_id: str, answer: Answer, now: datetime) -> Heard:
    """What the answer to a change of state means; most carry no record (documented)."""
    heard = opened(answer, now)
    if not isinstance(heard.reply, Found):
        return heard
    record = heard.document.get(wire.singular)
    try:
        fields = spell(wire, record) if isinstance(record, Mapping) else {}
    except _UNREADABLE:
        fields = {}  # it happened; what else the reply shows does not matter
    return Heard(Accepted(zoho_id, fields))


def read_one(wire: Wire, zoho_id: str, answer: Answer, now: datetime) -> Heard:
    """What the answer to reading one record means: it, none of that id, or a failure."""
    heard = opened(answer, now)
    match heard.reply:
        case Found():
            record = heard.document.get(wire.singular)
        case Rejected(status=status, code=code) if code != INVALID_URL_CODE and (
            status == 404 or code in NOT_THERE_CODES
        ):
            return Heard(Found(()))
        case _:
            return heard
    if id_of(wire, record) != zoho_id:
        return Heard(Unusable(f"{wire.singular} {zoho_id} was asked for, another one came"))
    try:
        candidate = Candidate(zoho_id, spell(wire, record))  # type: ignore[arg-type]
    except _UNREADABLE as error:
        return Heard(Unusable(f"{wire.singular} {zoho_id} cannot be read: {error}"))
    return Heard(Found((candidate,)), heard.document)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a list stands after a page: `more` pages follow; `whole` says nothing is missing."""

    more: bool
    whole: bool


def read_page(wire: Wire, answer: Answer, now: datetime) -> Heard:
    """What the answer to reading one page of a list means: its rows, or a failure."""
    heard = opened(answer, now)
    if not isinstance(heard.reply, Found):
        return heard
    try:
        found = rows_of(wire, heard.document.get(wire.list_name))
    except _UNREADABLE as error:
        return Heard(Unusable(f"the list of {wire.kind} cannot be read: {error}"))
    return Heard(found, heard.document)


def rows_of(wire: Wire, rows: Any) -> Found:
    """The rows of a list as candidates; rows without an id make it incomplete. Raises TypeError."""
    if not isinstance(rows, list):
        raise TypeError(f"there is no list {wire.list_name}")
    candidates = tuple(
        Candidate(zoho_id, spell(wire, row))
        for row in rows
        if (zoho_id := id_of(wire, row)) is not None
    )
    return Found(candidates, complete=len(candidates) == len(rows))


def page_of(wire: Wire, document: Mapping[str, Any]) -> Page:
    """Whether pages follow. A full page that does not say is taken for incomplete."""
    rows = document.get(wire.list_name)
    count = len(rows) if isinstance(rows, list) else 0
    context = document.get("page_context")
    more = context.get("has_more_page") if isinstance(context, Mapping) else None
    if not isinstance(more, bool):
        return Page(more=False, whole=count < PER_PAGE)
    return Page(more=more and count > 0, whole=not more or count > 0)


def opened(answer: Answer, now: datetime) -> Heard:
    """The envelope: Found(()) with the document when it says success, else what went wrong."""
    document = _parsed(answer)
    code, message = _said(answer, document)
    status = answer.status
    if status == 429 or _is_throttle(status, code, message):
        seconds = retry_after_s(answer.headers, now)
        return Heard(Throttled(code or MINUTE_CODE, seconds, message))
    if status == 401 or (document is not None and code in WRONG_DOOR_CODES and status >= 400):
        return Heard(Unauthorized(code or "401", message))
    if not 200 <= status < 500 or 300 <= status < 400 or status == GAVE_UP_WAITING:
        return Heard(Unavailable(status, message))
    if not answer.whole:
        return Heard(_of_success(status, "the reply is too long"))
    if document is None:
        looks_like_json = answer.body.lstrip()[:1] in (b"{", b"", b"[")
        success = status < 300 and looks_like_json
        return Heard(_of_success(status, message) if success else Unavailable(status, message))
    if status >= 400:
        return Heard(Rejected(status, code, message))
    if code == "0":
        return Heard(Found(()), document)
    if code:
        return Heard(Rejected(status, code, message))
    return Heard(Unusable("the reply has no code"))


def mint_of(now: datetime, answer: Answer) -> Heard:
    """What the accounts server's answer means: judged by its body, since errors come with 200.

    A success carries `access_token` and `good_for_s` besides what Zoho sent.
    """
    document = _parsed(answer)
    if document is None or answer.status >= 500:
        waits = answer.status == 429
        reply = _mint_throttled(answer, now, "") if waits else None
        return Heard(reply or Unavailable(answer.status, _said(answer, None)[1]))
    token = document.get("access_token")
    if isinstance(token, str) and token.isascii() and token.isprintable() and token.strip():
        return Heard(Found(()), {**document, "good_for_s": _good_for_s(document)})
    error, more = str(document.get("error", "")), str(document.get("error_description", ""))
    message = clean_text(f"{error} {more}".strip())[:MESSAGE_MAX]
    if answer.status == 429 or error == "Access Denied" or "too many requests" in more.lower():
        return Heard(_mint_throttled(answer, now, message))
    if error and error not in MINT_AGAIN:
        return Heard(Unauthorized(clean_text(error)[:40], message))
    return Heard(Unavailable(answer.status, message or "no access token in the reply"))


def _mint_throttled(answer: Answer, now: datetime, message: str) -> Throttled:
    seconds = retry_after_s(answer.headers, now) or 0.0
    return Throttled("token", max(seconds, MINT_WINDOW_S), message)


def _good_for_s(document: Mapping[str, Any]) -> float:
    """Seconds that a token lives; older servers name milliseconds `expires_in`."""
    for name in ("expires_in_sec", "expires_in"):
        value = document.get(name)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            return min(seconds / 1_000.0 if seconds > 86_400.0 else seconds, 86_400.0)
    return 3_600.0


def is_mendable(reply: Reply) -> bool:
    """Whether a new token may help."""
    return isinstance(reply, Unauthorized) and reply.code not in WRONG_DOOR_CODES


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, given as seconds or as a date; None when it does not.

    A date is counted from the reply's own `Date`, which is free of the difference of clocks.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(Decimal(text))
        return seconds if 0.0 <= seconds < 1e9 else None
    except ArithmeticError:
        until = _http_date(text)
    if until is None:
        return None
    since = _http_date(headers.get("date", "")) or now
    return max(0.0, (until - since).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _of_success(status: int, message: str) -> Reply:
    return Unusable(message) if status < 300 else Unavailable(status, message)


def _parsed(answer: Answer) -> Mapping[str, Any] | None:
    """The body when it is a JSON object."""
    try:
        document = simplejson.loads(answer.body.decode(), use_decimal=True)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _said(answer: Answer, document: Mapping[str, Any] | None) -> tuple[str, str]:
    """The code and the message of an answer, fit to keep."""
    if document is None:
        kind = answer.headers.get("content-type", "no content type").split(";")[0]
        return "", clean_text(f"not the API's reply: status {answer.status}, {kind}")
    code = document.get("code")
    known = isinstance(code, str | int | Decimal) and not isinstance(code, bool)
    message = document.get("message")
    text = message if isinstance(message, str) else f"status {answer.status} without a message"
    return clean_text(str(code))[:40] if known else "", clean_text(text)[:MESSAGE_MAX]


def _is_throttle(status: int, code: str, message: str) -> bool:
    word = THROTTLE_WORDS.get(code)
    return word is not None and status < 500 and word in message.lower()


def without_token(heard: Heard) -> Heard:
    """A 401 that a new token may mend, as the journal sees it: refused, nothing was done."""
    assert isinstance(heard.reply, Unauthorized)
    refused = Rejected(401, heard.reply.code, heard.reply.message)
    return replace(heard, reply=refused, stale_token=True)


def said(reply: Reply) -> str:
    """A reply that is no success, in a few words."""
    match reply:
        case Rejected(code=code, message=message) | Throttled(code=code, message=message):
            return f"{code}: {message}"
        case Unauthorized(code=code, message=message):
            return f"{code}: {message}"
        case Unavailable(message=message) | Unreachable(message=message):
            return message
        case Unusable(message=message) | Closed(reason=message):
            return message
        case Accepted() | Found():
            return "done"
