"""Rows of the records' queries as the nouns of the core, and links that pass to a renamed row."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zohosync.core.records import Claim, Intent, ParentView, Payload, Ref, Status
from zohosync.core.renames import Namesake
from zohosync.core.settlement import Settlement, linked_elsewhere
from zohosync.store.connection import exact_json
from zohosync.store.database import Database, Transaction

HANDING_OVER_S = 5.0
"""How soon a link is asked for again whose holder was being worked on."""


def claim_of(org_id: str, row: Mapping[str, Any]) -> Claim:
    """A row of claim_records or read_known as a claim."""
    intent = None
    if row["intent_id"] is not None and row["intent_operation"] is not None:
        intent = Intent(
            call_id=row["intent_id"],
            operation=row["intent_operation"].partition(".")[2],
            payload=row["intent"] or {},
            deadline=row["intent_deadline"],
            total=row["intent_total"],
            absent_at=row["absent_at"],
            duplicate=row["intent_state"] == "duplicate",
        )
    return Claim(
        org_id=org_id,
        ref=Ref(row["kind"], row["key"]),
        version=row["version"],
        epoch=row["lease_epoch"],
        priority=row["priority"],
        claimed_at=row["claimed_at"],
        status=Status(row["status"]),
        attempts=row["attempts"],
        looks=row["looks"],
        zoho_id=row["zoho_id"],
        payload=row["payload"],
        remote_state=row["remote_state"],
        intent=intent,
        gone_identity=row["identity"] if row["gone"] else None,
        check=row["to_check"],
        hints=row["hints"] or {},
        rivals=tuple(row["rivals"]),
        excluded=frozenset(row["excluded"]),
        identity=row["identity"],
    )


def parent_of(row: Mapping[str, Any]) -> ParentView:
    """A row of read_parents or look_at_parent as what a child's plan sees."""
    return ParentView(
        ref=Ref(row["kind"], row["key"]),
        zoho_id=row["zoho_id"],
        remote_state=row["remote_state"],
        status=Status(row["status"]),
        hints=row["hints"] or {},
        missing=row["missing"],
        unlisted=row["unlisted"],
        looked_s=row["looked_s"],
        looks=row["looks"],
    )


async def namesakes(
    database: Database, org_id: str, ref: Ref, identity: Payload
) -> dict[Ref, Namesake]:
    """The records that say the same of themselves, whether their rows are there or not."""
    rows = await database.fetch(
        "namesakes", org_id=org_id, kind=ref.kind, key=ref.key, identity=exact_json(identity)
    )
    return {Ref(ref.kind, row["key"]): _namesake(ref.kind, row) for row in rows}


async def hand_over(
    transaction: Transaction, org_id: str, claim: Claim, settlement: Settlement
) -> Settlement:
    """Take the link from its vanished holder; the settlement when it cannot be had is another."""
    giver = settlement.heir_of
    assert giver is not None
    assert settlement.zoho_id is not None
    found = await transaction.fetch_one(
        "hand_over", org_id=org_id, kind=giver.kind, key=giver.key, zoho_id=settlement.zoho_id
    )
    if found is not None:
        return settlement
    row = await transaction.fetch_one(
        "read_owner", org_id=org_id, kind=giver.kind, zoho_id=settlement.zoho_id
    )
    other = Ref(giver.kind, row["key"]) if row else None
    failed = linked_elsewhere(claim, settlement.zoho_id, other, "inherit")
    if other not in (giver, None):
        return failed
    return replace(
        failed, status=Status.RETRYING, result="retrying", due_in_s=HANDING_OVER_S,
        attempts=claim.attempts,
    )  # fmt: skip


def _namesake(kind: str, row: Mapping[str, Any]) -> Namesake:
    return Namesake(
        Ref(kind, row["key"]),
        row["zoho_id"],
        row["payload"],
        row["remote_state"],
        row["hints"] or {},
        row["busy"],
        row["gone"],
        row["forgotten"],
    )
