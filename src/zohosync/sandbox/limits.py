"""Who is let in: the organisation's limits, the OAuth tokens, and the ledger of all that came."""

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.clock import Chance, Clock

Row = dict[str, Any]
FULL_ACCESS = "ZohoSubscriptions.fullaccess.all"
MINT_WINDOW_S = 600.0
INVALID_CODE = {"error": "invalid_code"}
TOKEN_LIFE_S = 3600

MINUTE_TEXT = (
    "For security reasons your organization has been blocked as it have exceeded the maximum "
    "number of requests per minute that can originate from an organization."
)
RATE_TEXTS = {
    43: "For security reasons you have been blocked for some time as you have exceeded the "
    "maximum number of requests per minute.",
    44: MINUTE_TEXT,
    45: "The API call for this organization has exceeded the maximum call rate limit of {day}.",
    1070: "You have reached the maximum number of in process requests allowed. "
    "Kindly try again after some time.",
}


class RefusalError(Exception):
    """An answer that says no: HTTP status, Zoho's numeric code, its message, extra headers."""

    def __init__(
        self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def marker(row: Row) -> str:
    """The sync marker (`zs:…`) in a record's custom fields or notes, empty without one."""
    values = [str(entry["value"]) for entry in row["custom_fields"]] + [str(row["notes"])]
    found = re.search(r"zs:\S+", "\n".join(values))
    return found.group() if found else ""


NATURAL_KEYS: dict[str, Callable[[Row], str]] = {
    "products": itemgetter("name"),
    "plans": itemgetter("plan_code"),
    "items": itemgetter("sku"),
    "customers": marker,
    "subscriptions": itemgetter("reference_id"),
    "invoices": itemgetter("invoice_number"),
    "payments": itemgetter("reference_number"),
}


@dataclass(slots=True)
class Request:
    """One line of the ledger: a call as it arrived, and how it was answered (status 0: not)."""

    at: datetime
    arrived_s: float
    operation: str
    method: str
    path: str
    query: dict[str, str]
    status: int = 0
    code: int | None = None
    zoho_id: str | None = None
    fault: str | None = None
    body: Any = None
    reply: Any = None
    left_s: float | None = None
    agent: str = "zohosync/"


@dataclass(slots=True)
class Ledger:
    """Everything ever asked and accepted: the judge of the client's promises."""

    requests: list[Request] = field(default_factory=list)
    emails: int = 0
    charges: int = 0
    refunds: int = 0
    deletions: int = 0
    rate_limit_hits: int = 0
    blocks: int = 0
    token_mints: int = 0
    largest_in_flight: int = 0
    kinds: dict[str, Callable[[], list[Row]]] = field(default_factory=dict)

    def records(self, kind: str) -> list[Row]:
        """Every record of a kind as stored, oldest first: markers, payments, status and all."""
        return self.kinds[kind]()

    def duplicates(self) -> dict[str, list[str]]:
        """Per kind the natural keys (or markers) that more than one record carries."""
        found: dict[str, list[str]] = {}
        for kind, key_of in NATURAL_KEYS.items():
            counts = Counter(key for row in self.records(kind) if (key := key_of(row)))
            found[kind] = sorted(key for key, count in counts.items() if count > 1)
        return found

    def calls(self, operation: str | None = None) -> list[Request]:
        """API requests (OAuth apart), of one operation when it is named."""
        return [
            request
            for request in self.requests
            if not request.path.startswith("/oauth")
            and (operation is None or request.operation == operation)
        ]

    def largest_window(self, seconds: float = 60.0) -> int:
        """The most API requests that arrived within any rolling span, refused ones included."""
        largest, first = 0, 0
        calls = self.calls()
        for last, request in enumerate(calls):
            while calls[first].arrived_s <= request.arrived_s - seconds:
                first += 1
            largest = max(largest, last - first + 1)
        return largest

    def summary(self) -> Row:
        """The figures, as JSON-ready values."""
        calls = self.calls()
        return {
            "calls": len(calls),
            "oauth_requests": len(self.requests) - len(calls),
            "token_mints": self.token_mints,
            "by_operation": dict(sorted(Counter(c.operation for c in calls).items())),
            "by_status": {str(k): v for k, v in sorted(Counter(c.status for c in calls).items())},
            "faults": dict(sorted(Counter(r.fault for r in self.requests if r.fault).items())),
            "records": {kind: len(rows()) for kind, rows in self.kinds.items()},
            "duplicates": self.duplicates(),
            "emails": self.emails,
            "charges": self.charges,
            "refunds": self.refunds,
            "deletions": self.deletions,
            "rate_limit_hits": self.rate_limit_hits,
            "blocks": self.blocks,
            "largest_minute": self.largest_window(),
            "largest_in_flight": self.largest_in_flight,
        }


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What the organisation may do; None lifts a limit.

    100 a minute, 10 in flight and 10 mints per 10 minutes are Zoho's published numbers; per_day
    is that of the premium plan; block_s was measured on a sister product (Retry-After: 1800).
    A page holds 200 rows at most.
    """

    per_minute: int | None = 100
    in_flight: int | None = 10
    per_day: int | None = 5000
    mints_per_10_min: int | None = 10
    block_s: float = 1800
    quota_headers: bool = False
    per_page: int = 200

    @classmethod
    def lifted(cls) -> "SandboxLimits":
        """No limit of any sort."""
        return cls(per_minute=None, in_flight=None, per_day=None, mints_per_10_min=None)


class Limiter:
    """Counts every call at its arrival, by the sandbox's own clock, and refuses what is over."""

    def __init__(
        self, limits: SandboxLimits, clock: Clock, time_zone: ZoneInfo, ledger: Ledger
    ) -> None:
        self.limits = limits
        self.in_flight = 0
        self._ledger = ledger
        self._clock = clock
        self._zone = time_zone
        self._window: deque[float] = deque()
        self._blocked_until = -math.inf
        self._day = ""
        self._used_today = 0

    def arrive(self) -> None:
        """Count one call; raises RefusalError 429 (44 minute or block, 45 day, 1070 in flight).

        Every call, refused or not, must be paired with `leave`.
        """
        moment = self._clock.monotonic()
        self.in_flight += 1
        self._ledger.largest_in_flight = max(self._ledger.largest_in_flight, self.in_flight)
        if moment < self._blocked_until:
            raise self._refusal(44, self._blocked_until - moment)
        self._count_minute(moment)
        self._count_day()
        limit = self.limits.in_flight
        if limit is not None and self.in_flight > limit:
            raise self._refusal(1070, None)

    def leave(self) -> None:
        """The call has been answered, or its connection is gone."""
        self.in_flight -= 1

    def block(self, seconds: float) -> None:
        """Close the organisation to everybody for so long."""
        self._ledger.blocks += 1
        self._blocked_until = self._clock.monotonic() + seconds

    def refusal(self, code: int, seconds: float | None) -> RefusalError:
        """The 429 of that code, as a fault script asks for; 43 and 44 block for `seconds`."""
        if code in (43, 44):
            self.block(self.limits.block_s if seconds is None else seconds)
            seconds = self.limits.block_s if seconds is None else seconds
        return self._refusal(code, seconds)

    def headers(self) -> dict[str, str]:
        """The daily quota headers that some organisations get and others do not."""
        if not self.limits.quota_headers or self.limits.per_day is None:
            return {}
        left = max(0, self.limits.per_day - self._used_today)
        return {
            "x-rate-limit-limit": str(self.limits.per_day),
            "x-rate-limit-remaining": str(left),
            "x-rate-limit-reset": str(math.ceil(self._until_midnight())),
        }

    def _count_minute(self, moment: float) -> None:
        window = self._window
        while window and window[0] <= moment - 60:
            window.popleft()
        window.append(moment)
        limit = self.limits.per_minute
        if limit is not None and len(window) > limit:
            window.clear()
            self.block(self.limits.block_s)
            raise self._refusal(44, self.limits.block_s)

    def _count_day(self) -> None:
        today = self._clock.now().astimezone(self._zone).date().isoformat()
        if today != self._day:
            self._day, self._used_today = today, 0
        limit = self.limits.per_day
        if limit is not None and self._used_today >= limit:
            raise self._refusal(45, None)
        self._used_today += 1

    def _until_midnight(self) -> float:
        here = self._clock.now().astimezone(self._zone)
        tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (tomorrow - here).total_seconds()

    def _refusal(self, code: int, retry_after_s: float | None) -> RefusalError:
        headers = self.headers()
        if retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        text = RATE_TEXTS.get(code, "Too many requests.").format(day=self.limits.per_day)
        return RefusalError(429, code, text, headers)


@dataclass(frozen=True, slots=True)
class GrantCode:
    """A Self Client code: may be exchanged once, within its minutes (from the sandbox's start)."""

    code: str
    scopes: tuple[str, ...] = (FULL_ACCESS,)
    life_s: float = 600


@dataclass(slots=True)
class _Access:
    scopes: tuple[str, ...]
    refresh_token: str
    until: float


class Tokens:
    """The accounts server: grants, refreshes, the mint limit, and what a token may do."""

    def __init__(
        self,
        *,
        client: tuple[str, str],
        refresh_tokens: Mapping[str, tuple[str, ...]],
        grants: Iterable[GrantCode],
        limits: SandboxLimits,
        ledger: Ledger,
        clock: Clock,
        chance: Chance,
        throttle_status: int,
        active_tokens: int,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._refresh = dict(refresh_tokens)
        self._grants = {grant.code: grant for grant in grants}
        self._limits = limits
        self._clock = clock
        self._chance = chance
        self._throttle_status = throttle_status
        self._active_tokens = active_tokens
        self._started = clock.monotonic()
        self._minted: dict[str, deque[float]] = {}
        self._access: dict[str, _Access] = {}

    def exchange(self, form: Mapping[str, str], api_domain: str) -> tuple[int, dict[str, Any]]:
        """Answer POST /oauth/v2/token: (HTTP status, body). Errors mostly come with 200."""
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            return 200, {"error": "invalid_client"}
        match form.get("grant_type"):
            case "refresh_token":
                return self._mint(form.get("refresh_token", ""), api_domain, {})
            case "authorization_code":
                return self._redeem(form.get("code", ""), api_domain)
            case _:
                return 400, {"error": "unsupported_grant_type"}

    def check(self, authorization: str, scope: str) -> None:
        """Raise RefusalError 401 (14 unknown or expired, 57 not within the token's scopes)."""
        scheme, _, token = authorization.partition(" ")
        access = self._access.get(token)
        if scheme not in ("Zoho-oauthtoken", "Bearer") or access is None:
            raise RefusalError(401, 14, "Invalid value passed for authtoken.")
        if self._clock.monotonic() >= access.until:
            del self._access[token]
            raise RefusalError(401, 14, "The access token has expired.")
        if FULL_ACCESS not in access.scopes and scope not in access.scopes:
            raise RefusalError(401, 57, "You are not authorized to perform this operation")

    def throttle(self) -> tuple[int, dict[str, Any]]:
        """The refusal of a token for asking too often."""
        told = "You have made too many requests continuously. Please try again after some time."
        error = {"error": "Access Denied", "error_description": told, "status": "failure"}
        return self._throttle_status, error

    def revoke(self) -> None:
        """A person revokes the connection: no refresh token works any more, nor any access."""
        self._refresh.clear()
        self._access.clear()

    def expire(self) -> None:
        """Every access token dies now, as when another program evicted them."""
        self._access.clear()

    def _redeem(self, code: str, api_domain: str) -> tuple[int, dict[str, Any]]:
        grant = self._grants.pop(code, None)
        if grant is None or self._clock.monotonic() > self._started + grant.life_s:
            return 200, INVALID_CODE
        refresh_token = self._chance.token("1000.refresh")
        self._refresh[refresh_token] = grant.scopes
        more = {"refresh_token": refresh_token, "scope": " ".join(grant.scopes)}
        return self._mint(refresh_token, api_domain, more)

    def _mint(
        self, refresh_token: str, api_domain: str, more: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        scopes = self._refresh.get(refresh_token)
        if scopes is None:
            return 200, INVALID_CODE
        moment = self._clock.monotonic()
        minted = self._minted.setdefault(refresh_token, deque())
        while minted and minted[0] <= moment - MINT_WINDOW_S:
            minted.popleft()
        limit = self._limits.mints_per_10_min
        if limit is not None and len(minted) >= limit:
            return self.throttle()
        minted.append(moment)
        self._ledger.token_mints += 1
        token = self._chance.token("1000.access")
        self._access[token] = _Access(scopes, refresh_token, moment + TOKEN_LIFE_S)
        self._evict(refresh_token)
        return 200, {
            "access_token": token,
            **more,
            "api_domain": api_domain,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S,
        }

    def _evict(self, refresh_token: str) -> None:
        mine = [t for t, access in self._access.items() if access.refresh_token == refresh_token]
        for token in mine[: -self._active_tokens]:
            del self._access[token]
