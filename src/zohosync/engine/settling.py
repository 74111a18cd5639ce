"""A person's word on one record: look at all there is to see, decide, and write it down."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of
from zohosync.core.plan import Policy, resolve
from zohosync.core.records import Candidate, Desired, ParentView, Ref
from zohosync.core.renames import Namesake, tells, vanished
from zohosync.core.replies import Found, Reply
from zohosync.core.settling import Owner, Refusal, Sight, Standing, Verdict, Word, decide
from zohosync.errors import RemoteError, SettingsError
from zohosync.store.records import Records
from zohosync.store.settling import Settling
from zohosync.store.source import Source

Read = Callable[[str, str], Awaitable[Reply]]
"""Reads one record of Zoho by kind and id: `Remote.read`."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word that applies: what is known before, and what will be known after."""

    standing: Standing
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Bench:
    """What a word is judged with; `read` is needed for a link only."""

    settling: Settling
    records: Records
    source: Source
    policy: Policy
    marker_field: str | None = None
    read: Read | None = None

    async def consider(self, ref: Ref, word: Word, zoho_id: str | None = None) -> Spoken:
        """What the word would do; nothing is written. A link costs one call.

        Raises SettingsError where the word does not apply, RemoteError where Zoho does not tell,
        DatabaseError.
        """
        standing = await self.settling.standing(ref)
        if standing is None:
            raise SettingsError(
                f"There is no record of {ref}",
                place="zohosync.records",
                next_step=f"zohosync why {ref.arguments}",
            )
        sight = await self._sight(standing, zoho_id)
        found = decide(word, standing, sight)
        if isinstance(found, Refusal):
            raise SettingsError(found.what, next_step=found.next_step)
        return Spoken(standing, found)

    async def write(self, spoken: Spoken, why: str) -> int:
        """Write it down; returns the number of its row in the audit.

        Raises LeaseLostError when anything changed since it was considered, DatabaseError.
        """
        return await self.settling.write(spoken.standing, spoken.verdict, why)

    async def _sight(self, standing: Standing, zoho_id: str | None) -> Sight:
        ref = standing.claim.ref
        desired = (await self.source.desired([ref])).get(ref)
        parents: dict[Ref, ParentView] = {}
        if desired is not None:
            parents = await self.records.parents(slot.parent for slot in desired.slots)
        found = owner = None
        if zoho_id is not None:
            found = await self._found(ref.kind, zoho_id)
            owner = await self._owner(ref, zoho_id)
        return Sight(
            desired=desired,
            wanted=resolve(desired, parents) if desired is not None else {},
            lacking=_lacking(desired, parents) if desired is not None else None,
            marker=self.source.marker(ref),
            marker_field=self.marker_field,
            policy=self.policy,
            zoho_id=zoho_id,
            found=found,
            owner=owner,
            namesakes=await self._namesakes(ref, desired) if desired is not None else (),
        )

    async def _found(self, kind: str, zoho_id: str) -> Candidate | None:
        if self.read is None:
            raise RemoteError("Nothing is linked that was not seen in Zoho, and nobody can look")
        reply = await self.read(kind, zoho_id)
        if isinstance(reply, Found):
            return reply.candidates[0] if reply.candidates else None
        words = getattr(reply, "message", "") or getattr(reply, "reason", "") or "no answer"
        raise RemoteError(
            f"{KINDS[kind].singular} {zoho_id} could not be read in Zoho: {words}",
            next_step="nothing was changed; say it again later",
        )

    async def _owner(self, ref: Ref, zoho_id: str) -> Owner | None:
        held = await self.settling.owner(ref.kind, zoho_id)
        if held is None:
            return None
        other, busy = held
        rows = await self.source.desired([other])
        return Owner(other, vanished=not busy and other in rows and rows[other] is None)

    async def _namesakes(self, ref: Ref, desired: Desired) -> tuple[Namesake, ...]:
        identity = identity_of(desired)
        if not tells(KINDS[ref.kind], identity):
            return ()
        akin = await self.records.namesakes(ref, identity)
        named = [other for other in akin if not akin[other].forgotten]
        rows = await self.source.desired(named) if named else {}
        rows |= dict.fromkeys(akin.keys() - set(named))
        return tuple(
            akin[other] for other, row in rows.items() if vanished(akin[other], identity, row)
        )


def _lacking(desired: Desired, parents: dict[Ref, ParentView]) -> Ref | None:
    """The first parent whose Zoho id the row needs and that has none."""
    found_only = desired.raised_by == "zoho" or KINDS[desired.ref.kind].link_only
    for slot in desired.slots:
        if not slot.path or (found_only and len(slot.path) > 1):
            continue
        view = parents.get(slot.parent)
        if view is None or view.zoho_id is None:
            return slot.parent
    return None
