"""What waits for a person's word, with its evidence, and the word itself."""

from dataclasses import dataclass
from typing import Any

import simplejson

from zohosync.core.privacy import children_of, redacted
from zohosync.core.records import Ref, fingerprint
from zohosync.core.settling import CODES, Standing, Verdict
from zohosync.errors import DatabaseError, LeaseLostError
from zohosync.store.claims import claim_of
from zohosync.store.database import Database, Row
from zohosync.store.records import ONE_PER_ZOHO_ID


@dataclass(frozen=True, slots=True)
class Settling:
    """The records of one organisation that wait for a word; `redact` are fields not kept."""

    database: Database
    org_id: str
    redact: tuple[str, ...] = ()

    async def doubts(self, kind: str | None, *, limit: int) -> list[Row]:
        """The records that wait for a word, each with its evidence."""
        return await self.database.fetch(
            "read_doubts", org_id=self.org_id, kind=kind, codes=list(CODES), limit=limit
        )

    async def standing(self, ref: Ref) -> Standing | None:
        """One record as a word finds it; None when it is not known."""
        row = await self.database.fetch_one("read_standing", **self._who(ref))
        if row is None:
            return None
        return Standing(
            claim=claim_of(self.org_id, row),
            leased=row["leased"],
            rivals=tuple(row["rivals"]),
            error_class=row["error_class"],
            error_field=row["error_field"],
        )

    async def owner(self, kind: str, zoho_id: str) -> tuple[Ref, bool] | None:
        """The record that has this link, and whether anything of it is under way."""
        row = await self.database.fetch_one(
            "read_owner", org_id=self.org_id, kind=kind, zoho_id=zoho_id
        )
        return None if row is None else (Ref(kind, row["key"]), row["busy"])

    async def write(self, standing: Standing, verdict: Verdict, why: str) -> int:
        """Write the word down; returns the number of its row in the audit.

        Whatever was written with the link that this takes away looks again: it may not follow.
        Raises LeaseLostError when the record, or the one that was to hand its link over, is
        not as it was seen.
        """
        ref = standing.claim.ref
        changed = LeaseLostError(
            f"{ref} changed while it was looked at, and nothing was written",
            next_step="look again, and say it again",
        )
        async with self.database.transaction() as transaction:
            if verdict.heir_of is not None:
                giver = {**self._who(verdict.heir_of), "zoho_id": verdict.zoho_id}
                if await transaction.fetch_one("hand_over", **giver) is None:
                    raise changed
            try:
                row = await transaction.fetch_one(
                    "settle_by_word", **self._word(standing, verdict, why)
                )
            except DatabaseError as error:
                if error.constraint != ONE_PER_ZOHO_ID:
                    raise
                raise changed from error
            if row is None:
                raise changed
            before = standing.claim.zoho_id
            if before and before != verdict.zoho_id:
                await transaction.execute(
                    "mark_linked_below", org_id=self.org_id, kinds=list(children_of(ref.kind)),
                    zoho_id=before,
                )  # fmt: skip
        return int(row["audit_id"])

    def _who(self, ref: Ref) -> dict[str, Any]:
        return {"org_id": self.org_id, "kind": ref.kind, "key": ref.key}

    def _word(self, standing: Standing, verdict: Verdict, why: str) -> dict[str, Any]:
        """What settle_by_word is told."""
        claim, payload = standing.claim, verdict.payload
        intent = claim.intent
        return {
            **self._who(claim.ref),
            "epoch": claim.epoch,
            "version": claim.version,
            "linked": claim.zoho_id,
            "intent_id": intent.call_id if intent else None,
            "rivals_seen": list(standing.rivals),
            "closes": verdict.closes,
            "closed_intent": _json(redacted(intent.payload, self.redact)) if intent else None,
            "zoho_id": verdict.zoho_id,
            "payload": _json(payload),
            "fingerprint": None if payload is None else fingerprint(payload),
            "remote_state": verdict.remote_state,
            "hints": _json(dict(verdict.hints)),
            "identity": _json(verdict.identity),
            "gone": verdict.gone,
            "rivals": list(verdict.rivals),
            "excluded": sorted(verdict.excluded),
            "heir_of": str(verdict.heir_of) if verdict.heir_of else None,
            "word": str(verdict.word),
            "why": why,
        }


def _json(value: Any) -> str | None:
    return None if value is None else simplejson.dumps(value, use_decimal=True)
