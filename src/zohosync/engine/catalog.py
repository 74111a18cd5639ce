"""The remote behind the kept lists: what is named and no row of ours is answered from a copy."""

import contextlib
import logging
from contextlib import aclosing
from dataclasses import dataclass

from zohosync.core.catalog import (
    Copy,
    Need,
    is_running_out,
    kept_of,
    matching,
    near,
    need_of,
)
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.records import UPKEEP, Claim, Payload
from zohosync.core.replies import Accepted, Closed, Found, Reply
from zohosync.core.sections import Caches
from zohosync.core.steps import Create, Find, Purpose, Transition, Update
from zohosync.errors import DatabaseError
from zohosync.events import Listener, Noted
from zohosync.store.catalog import OrgData
from zohosync.zoho.client import GateClosedError, Remote
from zohosync.zoho.wire import WIRES

LEASE_S = 180.0
"""How long one process alone may take to read a page of a list, waiting for leave included."""

BUSY_S = 1.0
"""When a question is asked again that waits for another process to read the list."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The steps of records through the remote; those that only find something, through the copies.

    A list is read page by page through the gate, in the lane of whoever asks: by one process at a
    time, while the others are served what is there.
    """

    remote: Remote
    kept: OrgData
    caches: Caches
    tell: Listener

    async def perform(
        self, step: Create | Update | Transition | Find, claim: Claim, lane: int
    ) -> Reply:
        """As Remote.perform; what may be Zoho's own costs a call only where no copy answers.

        What we write into a list stands in its copy at once.
        """
        kind = KINDS[claim.ref.kind]
        if kind.listed and isinstance(step, Find) and step.purpose is Purpose.LINK:
            try:
                return await self._look(kind, step, claim, lane)
            except GateClosedError as closed:
                return Closed(closed.reason, closed.retry_in_s)
        reply = await self.remote.perform(step, claim, lane)
        if kind.listed and isinstance(reply, Accepted) and reply.zoho_id:
            await self._amend(kind, step, reply)
        return reply

    async def refresh(self) -> str | None:
        """Read anew what is in use and runs out soon; says what, None for nothing.

        A closed organisation is left alone: the copies serve until it is open.
        """
        done = []
        for name, copy in (await self.kept.ages()).items():
            kind = KINDS.get(name)
            if kind is None or not is_running_out(copy, self.caches.org_data_ttl_s):
                continue
            epoch = await self.kept.lease(kind.name, LEASE_S)
            if epoch is None:
                continue
            try:
                reply = await self._read(kind, epoch, None, UPKEEP)
            except GateClosedError:
                break
            if isinstance(reply, Copy):
                done.append(f"{len(reply.rows)} {kind.name}")
        return f"Zoho's lists were read anew: {', '.join(done)}" if done else None

    async def _look(self, kind: Kind, step: Find, claim: Claim, lane: int) -> Reply:
        copy = await self.kept.read(kind.name)
        need = need_of(
            copy, found=bool(matching(copy, step.expected)),
            ttl_s=self.caches.org_data_ttl_s, misses_ttl_s=self.caches.misses_ttl_s,
        )  # fmt: skip
        spared = 1
        if need is not Need.NONE:
            epoch = await self.kept.lease(kind.name, LEASE_S)
            read: Copy | Reply = Closed(f"its list of {kind.name} is being read", BUSY_S)
            if epoch is not None:
                read = await self._served(kind, epoch, claim, lane, stale=need is Need.SOON)
            if isinstance(read, Copy):
                copy, spared = read, 0
            elif need is Need.NOW:
                return read
        found = matching(copy, step.expected)
        if found:
            return Found(found, spared=spared)
        keys = [] if kind.internal else await self.kept.keys_of(kind.name)
        here = [key for key in keys if key != claim.ref.key]
        return Found((), spared=spared, near=near(claim.ref.key, copy, kind.identity[0], here))

    async def _served(
        self, kind: Kind, epoch: int, claim: Claim, lane: int, *, stale: bool
    ) -> Copy | Reply:
        """The list read anew; where a `stale` copy serves, a closed gate is only an answer."""
        try:
            return await self._read(kind, epoch, claim, lane)
        except GateClosedError as closed:
            if not stale:
                raise
            return Closed(closed.reason, closed.retry_in_s)

    async def _read(self, kind: Kind, epoch: int, claim: Claim | None, lane: int) -> Copy | Reply:
        """The list to its end, and kept; a reply of another type where it could not be read.

        Raises GateClosedError. Whatever happens, the lease is given up.
        """
        rows: dict[str, Payload] = {}
        saved = whole = torn = False
        try:
            query = WIRES[kind.name].verify.fixed
            pages = self.remote.pages(kind.name, query, lane=lane, claim=claim)
            async with aclosing(pages) as listing:
                async for page in listing:
                    if not isinstance(page, Found):
                        return page
                    torn = torn or any(row.zoho_id in rows for row in page.candidates)
                    rows |= {row.zoho_id: kept_of(kind, row.fields) for row in page.candidates}
                    whole = page.complete
                    if not whole and not await self.kept.extend(kind.name, epoch, LEASE_S):
                        return Closed(f"its list of {kind.name} is read by another", BUSY_S)
            if torn or not whole:  # rows moved between its pages: one may be missing
                return Found((), complete=False)
            names = [str(fields.get(kind.identity[0])) for fields in rows.values()]
            saved = await self.kept.save(kind.name, epoch, rows, names)
            if not saved:
                return Closed(f"its list of {kind.name} changed meanwhile", BUSY_S)
            return Copy(rows, 0.0)
        finally:
            if not saved:
                with contextlib.suppress(DatabaseError):
                    await self.kept.release(kind.name, epoch)

    async def _amend(
        self, kind: Kind, step: Create | Update | Transition | Find, reply: Accepted
    ) -> None:
        """Nothing of the write hangs on it: a copy that lacks something is read anew."""
        fields = dict(reply.fields)
        if isinstance(step, Transition):
            fields["status"] = step.state
        elif not isinstance(step, Find):
            fields = {**step.wanted, **fields}
        try:
            await self.kept.amend(kind.name, reply.zoho_id, kept_of(kind, fields))
        except DatabaseError as error:
            self.tell(Noted(f"the kept list of {kind.name}: {error}", logging.WARNING))
