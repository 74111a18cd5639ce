"""Rows, claims, scenes and parents for the tests of the decisions, with one instant for all."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from zohosync.core.kinds import KINDS
from zohosync.core.mapping import desired_of
from zohosync.core.outcome import judge
from zohosync.core.plan import Policy, plan, resolve
from zohosync.core.records import Candidate, Claim, Desired, Intent, ParentView, Payload, Ref
from zohosync.core.replies import Reply
from zohosync.core.settlement import IntentAfter, Scene, Settlement
from zohosync.core.steps import Step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(installation="x")
LIVE_POLICY = replace(POLICY, live=True)

ROWS: Mapping[str, dict[str, Any]] = {
    "products": {"key": "1", "name": "Hosting"},
    "plans": {
        "key": "1",
        "product_key": "1",
        "plan_code": "gold",
        "name": "Gold",
        "recurring_price": Decimal("99.90"),
        "interval": 1,
    },
    "customers": {"key": "1", "display_name": "Ada", "email": "ada@example.com", "notes": None},
    "subscriptions": {
        "key": "1",
        "customer_key": "1",
        "plan_key": "1",
        "plan.quantity": 1,
        "starts_at": "2026-01-01",
    },
    "invoices": {
        "key": "1",
        "customer_key": "1",
        "invoice_number": "INV-1",
        "date": "2026-01-01",
        "total": Decimal("115.00"),
        "invoice_items": [{"name": "Line", "price": Decimal(100), "quantity": 1, "tax": "VAT 15"}],
    },
    "payments": {
        "key": "1",
        "customer_key": "1",
        "amount": Decimal("115.00"),
        "payment_mode": "cash",
        "date": "2026-01-02",
        "reference_number": "PAY-1",
        "invoices": [{"invoice_key": "1", "amount_applied": Decimal("115.00")}],
    },
}
"""One sound row of every kind."""

PARENTS = {
    Ref(kind, key): ParentView(Ref(kind, key), f"z-{kind}-{key}", state)
    for kind, key, state in (
        ("products", "1", "active"),
        ("plans", "1", "active"),
        ("customers", "1", "active"),
        ("subscriptions", "1", "live"),
        ("invoices", "1", "open"),
        ("taxes", "VAT 15", "active"),
        ("items", "tax:VAT 15", "active"),
        ("items", "tax:", "active"),
        ("items", "sku:A1", "active"),
    )
}
"""All parents that the rows name, in Zoho already."""


def marker_of(key: str) -> str:
    return f"zs:{POLICY.installation}:{key}"


def wanted(kind: str, row: Mapping[str, Any] | None = None, /, **columns: Any) -> Desired:
    """The sound row of a kind with other columns, as what is wanted of it."""
    whole = {**(ROWS[kind] if row is None else row), **columns}
    marker = marker_of(str(whole["key"]))
    return desired_of(KINDS[kind], whole, marker=marker, marker_field=None)


def payload_of(kind: str, **columns: Any) -> Payload:
    """The sound row's payload, its parents' ids filled in: what Zoho accepted."""
    return resolve(wanted(kind, **columns), PARENTS)


def claim(kind: str, **fields: Any) -> Claim:
    """A claim on record 1 of a kind, never synced unless said otherwise."""
    plain: dict[str, Any] = {"version": 1, "epoch": 1, "priority": 5, "claimed_at": NOW}
    return Claim("10", Ref(kind, fields.pop("key", "1")), **{**plain, **fields})


def linked(kind: str, state: str | None = None, **fields: Any) -> Claim:
    """A claim on a record that is in Zoho as the sound row has it."""
    here = state or KINDS[kind].states.initial
    plain = {"zoho_id": "z1", "payload": payload_of(kind), "remote_state": here}
    return claim(kind, **{**plain, **fields})


def intent(operation: str = "create", payload: Payload | None = None, **fields: Any) -> Intent:
    """A write whose call reached its deadline just now."""
    plain: dict[str, Any] = {"call_id": 1, "operation": operation, "deadline": NOW}
    return Intent(payload=payload or {}, **{**plain, **fields})


def scene(key: str = "1", **fields: Any) -> Scene:
    return Scene(**{"now": NOW, "policy": POLICY, "marker": marker_of(key), **fields})


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def planned(desired: Desired | None, claimed: Claim, **fields: Any) -> Step:
    """The step, with all parents in Zoho and a test organisation unless said otherwise."""
    parents = fields.get("parents", PARENTS)
    return plan(desired, claimed, parents, fields.get("policy", POLICY))


def judged(step: Step, reply: Reply | None, claimed: Claim, **fields: Any) -> Settlement:
    return judge(step, reply, claimed, scene(claimed.ref.key, **fields))


def candidate(zoho_id: str, fields: Mapping[str, Any]) -> Candidate:
    return Candidate(zoho_id, dict(fields))


def settled(before: Claim, end: Settlement, opened: Intent | None, now: datetime) -> Claim:
    """The record as its next claim finds it: what settle_record and note_intent write.

    `opened` is the intent that the journal opened when the attempt's write was admitted.
    """
    left = opened or before.intent
    match end.intent:
        case IntentAfter.CLOSE:
            left = None
        case IntentAfter.ABSENT if left is not None:
            left = replace(left, absent_at=now)
        case IntentAfter.DUPLICATE if left is not None:
            left = replace(left, duplicate=True)
    return replace(
        before,
        version=before.version + 1,
        epoch=before.epoch + 1,
        claimed_at=now,
        status=end.status,
        attempts=end.attempts,
        looks=end.looks,
        zoho_id=end.zoho_id or before.zoho_id,
        payload=before.payload if end.payload is None else end.payload,
        remote_state=end.remote_state or before.remote_state,
        hints={**before.hints, **end.hints},
        check=before.check and not end.checked,
        intent=left,
    )
