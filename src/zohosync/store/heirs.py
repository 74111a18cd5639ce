"""Links that go from a record whose row vanished to the one that is its row under a new key."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zohosync.core.records import Claim, Payload, Ref, Status
from zohosync.core.renames import Namesake
from zohosync.core.settlement import Settlement, linked_elsewhere
from zohosync.store.connection import exact_json
from zohosync.store.database import Database, Transaction

HANDING_OVER_S = 5.0
"""How soon a link is asked for again whose holder was being worked on."""


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
