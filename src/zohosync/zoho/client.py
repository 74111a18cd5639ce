"""The remote as the engine sees it: perform a step, through the gate, and say what came of it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from zohosync.clock import Clock
from zohosync.core.records import UPKEEP, Candidate, Claim, at
from zohosync.core.replies import (
    Closed,
    Found,
    Rejected,
    Reply,
    Unauthorized,
    Unusable,
)
from zohosync.core.steps import Create, Find, Purpose, Transition, Update
from zohosync.errors import RemoteError, SettingsError
from zohosync.zoho.answers import (
    is_mendable,
    moved,
    opened,
    page_of,
    read_one,
    read_page,
    rows_of,
    said,
    without_token,
    written,
)
from zohosync.zoho.door import (
    Answer,
    Call,
    CallEnd,
    Door,
    Gate,
    GateClosedError,
    Heard,
    OpenGate,
    Outgoing,
    Ticket,
)
from zohosync.zoho.lists import Left, Lists
from zohosync.zoho.tokens import AccessToken, NoTokenError, Secret
from zohosync.zoho.wire import (
    API_PATH,
    PAGES_MAX,
    READS_MAX,
    WIRES,
    LookUp,
    Request,
    Wire,
    fits,
    list_request,
    query_of,
    read_request,
    write_request,
)

__all__ = [
    "Call", "CallEnd", "Gate", "GateClosedError", "OneToken", "OpenGate", "Remote", "Ticket",
    "TokenSource",
]  # fmt: skip

ORGANIZATION_HEADER = "X-com-zoho-subscriptions-organizationid"


class TokenSource(Protocol):
    """Where access tokens come from: `tokens.Tokens`, or OneToken for `login`."""

    async def token(self) -> AccessToken:
        """A token that lives; raises NoTokenError, GateClosedError."""
        ...

    async def reject(self, token: AccessToken) -> None:
        """Zoho did not take this token: never hand it out again."""
        ...


class OneToken:
    """A token that is there already: for `login`, right after the exchange."""

    def __init__(self, secret: Secret, api_domain: str) -> None:
        """Neither kept nor refreshed."""
        self._token = AccessToken(secret, api_domain)
        self._refused = False

    async def token(self) -> AccessToken:
        """The token; raises NoTokenError once it was refused."""
        if self._refused:
            raise NoTokenError(Unauthorized("14", _REFUSED_NEW), _REFUSED_NEW)
        return self._token

    async def reject(self, token: AccessToken) -> None:
        """Zoho did not take it."""
        self._refused = token == self._token


_REFUSED_NEW = "Zoho refused the access token that it had just given"


class Remote:
    """One organisation of Zoho Billing."""

    def __init__(
        self,
        *,
        gate: Gate,
        tokens: TokenSource,
        clock: Clock,
        organization_id: str,
        api_url: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        time_limit_s: float = 30.0,
    ) -> None:
        """`api_url` None: the address that comes with the token. Raises SettingsError."""
        self._door = Door(gate=gate, clock=clock, transport=transport, time_limit_s=time_limit_s)
        self._tokens = tokens
        self._clock = clock
        self._organization_id = organization_id
        self._api_url = api_base(api_url) if api_url else None
        self._lists = Lists()

    async def perform(
        self, step: Create | Update | Transition | Find, claim: Claim, lane: int
    ) -> Reply:
        """Make the calls of a step; every answer and every failure on the way is a Reply.

        Raises only what is no answer: LeaseLostError from the gate, and the database's errors.
        """
        wire = WIRES[claim.ref.kind]
        try:
            if isinstance(step, Find):
                return await self._find(wire, step, claim, lane)
            return await self._write(wire, step, claim, lane)
        except GateClosedError as closed:
            return Closed(closed.reason, closed.retry_in_s)

    async def probe(self) -> Reply:
        """The one reading call that finds out whether a down organisation is up again."""
        try:
            return (await self._organizations()).reply
        except GateClosedError as closed:
            return Closed(closed.reason, closed.retry_in_s)

    async def organizations(self) -> list[dict[str, Any]]:
        """The organisations that the credentials open, as Zoho describes them (`mode` included).

        A probe, too: a worker may start while Zoho is down. Raises RemoteError.
        """
        try:
            heard = await self._organizations()
        except GateClosedError as closed:
            raise RemoteError(f"Zoho was not asked: {closed.reason}") from None
        found = heard.document.get("organizations")
        if not isinstance(heard.reply, Found) or not isinstance(found, list):
            raise RemoteError("Zoho did not list the organisations", place=said(heard.reply))
        return [dict(each) for each in found if isinstance(each, Mapping)]

    async def pages(
        self,
        kind: str,
        query: Mapping[str, str] | None = None,
        *,
        lane: int = UPKEEP,
        claim: Claim | None = None,
        left: Left | None = None,
        first: int = 1,
    ) -> AsyncGenerator[Reply]:
        """The pages of a list as Found, from the `first` on; a reply of another type is the last.

        Only the last page may be `complete`: the list was then read to its end. `left` is called
        as each of them leaves. Raises GateClosedError.
        """
        wire = WIRES[kind]
        intact = True
        for number in range(first, PAGES_MAX + 1):
            request = list_request(wire, query or {}, number)
            read = partial(read_page, wire)
            heard = await self._call(request, read, lane=lane, claim=claim, left=left)
            if not isinstance(heard.reply, Found):
                yield heard.reply
                return
            page = page_of(wire, heard.document)
            intact = intact and heard.reply.complete and page.whole
            yield Found(heard.reply.candidates, complete=intact and not page.more)
            if not page.more:
                return

    async def read(self, kind: str, zoho_id: str, *, lane: int = UPKEEP) -> Reply:
        """One record by its id: Found, with no candidate where there is none. One call."""
        try:
            return await self._read(WIRES[kind], zoho_id, None, lane)
        except GateClosedError as closed:
            return Closed(closed.reason, closed.retry_in_s)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._door.aclose()

    async def _write(
        self, wire: Wire, step: Create | Update | Transition, claim: Claim, lane: int
    ) -> Reply:
        match step:
            case Create():
                read = partial(written, wire, None)
            case Update(zoho_id=zoho_id):
                read = partial(written, wire, zoho_id)
            case Transition(zoho_id=zoho_id):
                read = partial(moved, wire, zoho_id)
        request = write_request(wire, step)
        return (await self._call(request, read, lane=lane, claim=claim, writes=True)).reply

    async def _find(self, wire: Wire, step: Find, claim: Claim, lane: int) -> Reply:
        look = wire.look_up(step.purpose)
        zoho_id = step.zoho_id or (step.expected.get(look.by) if look.by else None)
        if zoho_id is not None:
            return await self._read(wire, str(zoho_id), claim, lane)
        lacking = [name for name in look.narrow if step.expected.get(name) in (None, "")]
        if look.by or lacking:
            names = ", ".join([look.by] if look.by else lacking)
            return Unusable(f"it cannot be looked up in Zoho without its {names}")
        listed = await self._listed(wire, look, step, claim, lane)
        if not isinstance(listed, Found):
            return listed
        rows = [row for row in listed.candidates if fits(look, step.expected, row.fields)]
        full = await self._filled(wire, look, rows, claim, lane)
        if not isinstance(full, Found):
            return full
        if step.hint is None or any(row.zoho_id == step.hint for row in full.candidates):
            return replace(listed, candidates=full.candidates)
        hinted = await self._read(wire, step.hint, claim, lane)  # lists may lag behind
        if not isinstance(hinted, Found):
            return hinted
        return replace(listed, candidates=(*full.candidates, *hinted.candidates))

    async def _listed(self, wire: Wire, look: LookUp, step: Find, claim: Claim, lane: int) -> Reply:
        """All rows that may be it, before narrowing."""
        expected = step.expected
        if look.through is None:
            query = query_of(look, expected)
            read = partial(self._list_to_end, wire, query, claim, lane)
            if step.purpose is Purpose.LINK:
                return await self._lists.read(wire.kind, query, lane, read)
            return await read(None)  # what became of a write is asked for each time
        outer = WIRES[look.through.kind]
        outer_id = at(expected, look.through.at)
        if not outer_id:
            return Unusable(f"it cannot be looked up in Zoho without its {outer.id_field}")
        found = await self._read(outer, str(outer_id), claim, lane)
        if not isinstance(found, Found):
            return found
        if not found.candidates:
            return Rejected(404, "404", f"its {outer.singular} {outer_id} is not in Zoho any more")
        try:
            return rows_of(wire, found.candidates[0].fields.get(look.through.within))
        except TypeError:
            return Unusable(f"{outer.singular} {outer_id} came without {look.through.within}")

    async def _list_to_end(
        self, wire: Wire, query: Mapping[str, str], claim: Claim, lane: int, left: Left | None
    ) -> Reply:
        """All rows of a list. Rows that moved between pages: read once more, then incomplete."""
        rows: dict[str, Candidate] = {}
        whole, torn = False, True
        for _ in range(2):
            rows, whole, torn = {}, False, False
            listing = self.pages(wire.kind, query, lane=lane, claim=claim, left=left)
            async with aclosing(listing) as pages:
                async for reply in pages:
                    if not isinstance(reply, Found):
                        return reply
                    torn = torn or any(row.zoho_id in rows for row in reply.candidates)
                    rows.update({row.zoho_id: row for row in reply.candidates})
                    whole = reply.complete
            if not torn:
                break
        return Found(tuple(rows.values()), complete=whole and not torn)

    async def _filled(
        self, wire: Wire, look: LookUp, rows: list[Candidate], claim: Claim, lane: int
    ) -> Reply:
        """The rows with every field that is needed; those that lack one are read by id."""
        short = [row for row in rows if any(name not in row.fields for name in look.needs)]
        if len(short) > READS_MAX:
            alike = " and ".join(look.narrow)
            return Rejected(
                200, "ambiguous",
                f"{len(short)} {wire.kind} in Zoho have the same {alike}: a person must say which "
                "is ours",
            )  # fmt: skip
        full: list[Candidate] = []
        for row in rows:
            if row not in short:
                full.append(row)
                continue
            found = await self._read(wire, row.zoho_id, claim, lane)
            if not isinstance(found, Found):
                return found
            full += found.candidates
        return Found(tuple(full))

    async def _read(self, wire: Wire, zoho_id: str, claim: Claim | None, lane: int) -> Reply:
        read = partial(read_one, wire, zoho_id)
        return (await self._call(read_request(wire, zoho_id), read, lane=lane, claim=claim)).reply

    async def _organizations(self) -> Heard:
        request = Request("organizations", "GET", "/organizations")
        return await self._call(request, opened, lane=UPKEEP, claim=None, probe=True)

    async def _call(
        self,
        request: Request,
        read: Callable[[Answer, datetime], Heard],
        *,
        lane: int,
        claim: Claim | None,
        writes: bool = False,
        probe: bool = False,
        left: Left | None = None,
    ) -> Heard:
        """One call with a token; once more with a new one when Zoho does not take the first."""
        call = Call(
            "api", request.operation, request.method, request.path, lane, claim, writes,
            request.payload if writes else None,
            str(request.total) if request.total is not None else None, probe, left,
        )  # fmt: skip
        for last in (False, True):
            try:
                token = await self._tokens.token()
            except NoTokenError as error:
                return Heard(error.reply)

            def judged(answer: Answer, last: bool = last) -> Heard:
                heard = read(answer, self._clock.now())
                return heard if last or not is_mendable(heard.reply) else without_token(heard)

            heard = await self._door.cross(call, self._outgoing(request, token), judged)
            if not heard.stale_token:
                return heard
            await self._tokens.reject(token)
        raise AssertionError("the last try is never stale")

    def _outgoing(self, request: Request, token: AccessToken) -> Outgoing:
        headers = {"authorization": f"Zoho-oauthtoken {token.secret.reveal()}"}
        if self._organization_id:
            headers[ORGANIZATION_HEADER] = self._organization_id
        if request.body is not None:
            headers["content-type"] = "application/json"
        base = self._api_url or api_base(token.api_domain)
        secrets = (token.secret.reveal(),)
        return Outgoing(base + request.path, headers, request.query, request.body, secrets)


def api_base(url: str) -> str:
    """The address that paths are appended to; a bare host gets the API's path.

    Raises SettingsError for what is no http(s) address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise SettingsError(
            "The API's address cannot be read", place=url[:100],
            next_step="write it as https://zoho.example or https://zoho.example/billing/v1",
        )  # fmt: skip
    return url.strip().rstrip("/") + (API_PATH if parts.path in ("", "/") else "")
