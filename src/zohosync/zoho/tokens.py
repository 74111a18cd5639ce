"""Access tokens: one refresh an hour however many workers there are, kept encrypted, never shown.

Theory of operation. Zoho grants 10 access tokens per refresh token in 10 minutes and quietly
kills the oldest when too many live, so all processes share one, in the token cache. Five minutes
before it ends, one process takes a lease on the refresh; the others use the old token as long as
it lives and then wait until the new one is there. A mint is a call like any other: the gate
admits and journals it, at the door `accounts`.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import httpx2
from cryptography.fernet import InvalidToken

from zohosync.clock import Clock
from zohosync.core.governor import MINT_WINDOW_S
from zohosync.core.records import LIVE
from zohosync.core.replies import Closed, Found, Reply, Throttled, Unauthorized, Unreachable
from zohosync.errors import RemoteError
from zohosync.zoho.answers import mint_of, said
from zohosync.zoho.door import Call, Door, Gate, OpenGate, Outgoing
from zohosync.zoho.sealing import cipher_of
from zohosync.zoho.wire import DATA_CENTERS, SCOPES

EARLY_S = 300.0
"""A token is replaced this long before it ends."""

USABLE_S = 10.0
"""A token with less to live is not used any more: a call may wait at the gate."""

LEASE_S, MINT_LIMIT_S = 45.0, 20.0
"""How long the sole right to refresh lasts; how long a mint may take."""

RECHECK_S = 5.0
"""How often a process that left the refresh to another looks whether it is done."""

PATIENCE_S = 90.0
"""How long to wait for another process's refresh when there is no token that lives."""

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105 - an address


class Secret:
    """A text that is never shown: only `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Surrounding space is a slip of pasting, never part of a secret of Zoho's."""
        self._text = text.strip()

    def reveal(self) -> str:
        """The text itself; for the wire only."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a refresh needs. `data_center` is a name of wire.DATA_CENTERS."""

    data_center: str
    client_id: str
    client_secret: Secret
    refresh_token: Secret
    scopes: Sequence[str] = SCOPES

    def token_key(self, secret_key: Secret | None = None) -> str:
        """A name for the token: a digest, from which nothing can be read.

        With the key that encrypts it, since workers with another key cannot read that row.
        """
        refresh_token = self.refresh_token.reveal()
        parts = [self.data_center, self.client_id, refresh_token, *sorted(self.scopes)]
        parts += [secret_key.reveal()] if secret_key else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token in hand. Times are on clock.monotonic(); `sealed` is its text in the cache."""

    secret: Secret
    api_domain: str
    ends_at: float = float("inf")
    check_at: float = float("inf")
    sealed: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Minted:
    """What the accounts server gave: a token, and for a grant code the refresh token too."""

    secret: Secret
    api_domain: str | None
    good_for_s: float
    refresh_token: Secret | None = None
    scopes: frozenset[str] | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From a body that answers.mint_of accepted."""
        refresh, scope = document.get("refresh_token"), document.get("scope")
        return cls(
            Secret(document["access_token"]),
            document.get("api_domain"),
            document["good_for_s"],
            Secret(refresh) if isinstance(refresh, str) and refresh else None,
            frozenset(scope.replace(",", " ").split()) if isinstance(scope, str) else None,
        )


class NoTokenError(RemoteError):
    """There is no access token to be had; `reply` says why, as the engine takes it."""

    def __init__(self, reply: Reply, what: str) -> None:
        """`reply` is Closed, Unauthorized or Unreachable (nothing of the record's was sent)."""
        super().__init__(what)
        self.reply = reply


class TokenCache(Protocol):
    """Where all processes share the token; store/tokens.py is the real one."""

    async def read(self, token_key: str) -> Mapping[str, Any] | None:
        """`access_token` (as encrypted), `api_domain`, and `good_for_s` by the database's clock."""
        ...

    async def lease(self, token_key: str, by: str, *, lease_s: float, fresh_s: float) -> bool:
        """Take, or extend, the sole right to refresh.

        False when another holds it, or the token lives for more than `fresh_s` seconds.
        """
        ...

    async def save(
        self, token_key: str, by: str, *, access_token: str, api_domain: str, good_for_s: float
    ) -> None:
        """Keep a new token and end the lease."""
        ...

    async def release(self, token_key: str, by: str) -> None:
        """End the lease without a new token."""
        ...

    async def invalidate(self, token_key: str, access_token: str) -> None:
        """End the life of exactly this token (as encrypted); a newer one stays."""
        ...


class Tokens:
    """The shared access token of one client's credentials."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        cache: TokenCache,
        gate: Gate,
        clock: Clock,
        owner: str,
        accounts_url: str | None = None,
        secret_key: Secret | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        ttl_s: float = 86_400.0,
    ) -> None:
        """`owner` names this process in the cache; `secret_key` None: see cipher_of.

        A token is taken to live no longer than `ttl_s`, whatever Zoho says.
        """
        self._ttl_s = ttl_s
        self._credentials = credentials
        self._cache = cache
        self._clock = clock
        self._owner = owner
        center = DATA_CENTERS[credentials.data_center]
        self._url = (accounts_url or center.accounts).rstrip("/") + TOKEN_PATH
        self._api_domain = center.api
        self._cipher = cipher_of(credentials, secret_key)
        self._door = Door(gate=gate, clock=clock, transport=transport, time_limit_s=MINT_LIMIT_S)
        self._key = credentials.token_key(secret_key)
        self._held: AccessToken | None = None
        self._turn = asyncio.Lock()

    async def token(self) -> AccessToken:
        """A token that lives, from memory most of the time.

        Raises NoTokenError when there is none to be had, GateClosedError, the cache's errors.
        """
        held = self._held
        now = self._clock.monotonic()
        if held is not None and now < held.check_at:
            return held
        if held is not None and self._turn.locked() and now < held.ends_at - USABLE_S:
            return held  # another task sees to the new one
        async with self._turn:
            held = self._held
            if held is None or self._clock.monotonic() >= held.check_at:
                held = self._held = await self._renewed()
            return held

    async def reject(self, token: AccessToken) -> None:
        """Zoho did not take this token: end it in the cache too, unless a newer one is there."""
        if self._held is not None and self._held.secret == token.secret:
            self._held = None
        await self._cache.invalidate(self._key, token.sealed)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._door.aclose()

    async def _renewed(self) -> AccessToken:
        give_up_at = self._clock.monotonic() + PATIENCE_S
        while True:
            kept = await self._kept()
            if kept is not None and kept.check_at > self._clock.monotonic():
                return kept
            if await self._cache.lease(self._key, self._owner, lease_s=LEASE_S, fresh_s=EARLY_S):
                return await self._mint()
            if kept is not None:
                return AccessToken(
                    kept.secret, kept.api_domain, kept.ends_at,
                    min(kept.ends_at - USABLE_S, self._clock.monotonic() + RECHECK_S), kept.sealed,
                )  # fmt: skip
            if self._clock.monotonic() >= give_up_at:
                words = "another process is refreshing the access token"
                raise NoTokenError(Closed(words, RECHECK_S), words)
            await self._clock.sleep(0.25)

    async def _kept(self) -> AccessToken | None:
        """The token in the cache, None where it is dead, missing or cannot be read."""
        row = await self._cache.read(self._key)
        if row is None or not row["access_token"] or row["good_for_s"] <= USABLE_S:
            return None
        sealed, good_for_s = str(row["access_token"]), float(row["good_for_s"])
        try:
            secret = Secret(self._cipher.decrypt(sealed.encode()).decode())
        except (InvalidToken, UnicodeError):
            await self._cache.invalidate(self._key, sealed)
            return None
        now = self._clock.monotonic()
        return AccessToken(secret, row["api_domain"] or self._api_domain, now + good_for_s,
                           now + good_for_s - EARLY_S, sealed)  # fmt: skip

    async def _mint(self) -> AccessToken:
        call = Call("accounts", "token", "POST", TOKEN_PATH, LIVE)
        form = {
            "grant_type": "refresh_token",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret.reveal(),
            "refresh_token": self._credentials.refresh_token.reveal(),
        }
        try:
            read = partial(mint_of, self._clock.now())
            heard = await self._door.cross(call, _form(self._url, form), read)
            if not isinstance(heard.reply, Found):
                raise _no_token(heard.reply)
            minted = Minted.of(heard.document)
            sealed = self._cipher.encrypt(minted.secret.reveal().encode()).decode()
            domain = minted.api_domain or self._api_domain
            good_for_s = min(minted.good_for_s, self._ttl_s)
            await self._cache.save(self._key, self._owner, access_token=sealed,
                                   api_domain=domain, good_for_s=good_for_s)  # fmt: skip
        except BaseException:
            await self._cache.release(self._key, self._owner)
            raise
        now = self._clock.monotonic()
        early_s = min(EARLY_S, good_for_s / 2)
        return AccessToken(minted.secret, domain, now + good_for_s, now + good_for_s - early_s,
                           sealed)  # fmt: skip


class LoginError(RemoteError):
    """The code of `login` was not exchanged for a refresh token."""


class CodeExpiredError(LoginError):
    """The code is mistyped, used or older than its minutes."""


class WrongDataCenterError(LoginError):
    """The client is not known there: another data centre, or a wrong id or secret."""


class MissingScopeError(LoginError):
    """The code was generated without a scope that we need."""


async def exchange_code(
    code: Secret,
    *,
    data_center: str,
    client_id: str,
    client_secret: Secret,
    clock: Clock,
    accounts_url: str | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Minted:
    """Exchange the code of a Self Client, once: it is spent after that.

    The result has a refresh token. Raises CodeExpiredError, WrongDataCenterError,
    MissingScopeError, else LoginError.
    """
    center = DATA_CENTERS[data_center]
    url = (accounts_url or center.accounts).rstrip("/") + TOKEN_PATH
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": client_secret.reveal(),
        "code": code.reveal(),
    }
    door = Door(gate=OpenGate(clock), clock=clock, transport=transport)
    try:
        call = Call("accounts", "token", "POST", TOKEN_PATH, LIVE)
        heard = await door.cross(call, _form(url, form), partial(mint_of, clock.now()))
    finally:
        await door.aclose()
    if not isinstance(heard.reply, Found):
        code_said = heard.reply.code if isinstance(heard.reply, Unauthorized) else ""
        error, what, step = _LOGIN_SENTENCES.get(code_said, _OTHER_LOGIN)
        raise error(f"{what} ({said(heard.reply)})", place=url, next_step=step)
    minted = Minted.of(heard.document)
    if minted.refresh_token is None:
        step = f"generate the code in the Self Client of {center.console}"
        raise LoginError("Zoho gave no refresh token for this code", place=url, next_step=step)
    given = minted.scopes
    if given is not None and not any(scope.endswith("fullaccess.all") for scope in given):
        lacking = ", ".join(scope for scope in SCOPES if scope not in given)
        if lacking:
            raise MissingScopeError(f"The code lacks {lacking}", place=url, next_step=_ALL_SCOPES)
    return minted


_ALL_SCOPES = "generate a new code with all the scopes shown"
_EXPIRED = (
    CodeExpiredError,
    "Zoho does not know this code: it was used, or its minutes are over",
    "generate a new one and paste it at once",
)
_NOT_HERE = (
    WrongDataCenterError,
    "Zoho does not know this client here: another data centre, or a wrong id or secret",
    "use the data centre where you log in to Zoho Billing",
)
_OTHER_LOGIN = (LoginError, "The code could not be exchanged", "try again in ten minutes")
_LOGIN_SENTENCES: Mapping[str, tuple[type[LoginError], str, str]] = {
    "invalid_code": _EXPIRED,
    "invalid_grant": _EXPIRED,
    "invalid_client": _NOT_HERE,
    "invalid_client_secret": _NOT_HERE,
    "invalid_scope": (MissingScopeError, "The code lacks a scope", _ALL_SCOPES),
}


def _form(url: str, fields: Mapping[str, str]) -> Outgoing:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    secrets = [
        fields[name] for name in ("client_secret", "refresh_token", "code") if name in fields
    ]
    return Outgoing(url, headers, body=urlencode(fields).encode(), secrets=secrets)


def _no_token(reply: Reply) -> NoTokenError:
    """Why there is no token, as a reply to the record's call, of which nothing was sent."""
    match reply:
        case Throttled(retry_after_s=seconds, message=message):
            closed = Closed(f"token mints: {message}", seconds or MINT_WINDOW_S)
            return NoTokenError(closed, closed.reason)
        case Unauthorized():
            return NoTokenError(reply, reply.message)
        case _:
            words = f"no access token: {said(reply)}"
            return NoTokenError(Unreachable(sent=False, message=words), words)
