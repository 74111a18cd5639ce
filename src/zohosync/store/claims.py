"""Rows of the records' queries as the nouns of the core: claims and parents."""

from collections.abc import Mapping
from typing import Any

from zohosync.core.records import Claim, Intent, ParentView, Ref, Status


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
