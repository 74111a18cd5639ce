"""What a person is shown of a record that waits for their word: the matter and its evidence."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of
from zohosync.core.plan import BY_HAND, REUSED, Policy
from zohosync.core.records import Desired, Payload, Ref
from zohosync.core.renames import RENAMED
from zohosync.core.settlement import TAKEN

MATTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    REUSED: ("key re-used", ("same", "new", "link")),
    BY_HAND: ("mended by hand?", ("done",)),
    TAKEN: ("linked to another record", ("link",)),
    RENAMED: ("a renamed key?", ("link", "new")),
    "missing": ("no longer in Zoho", ("link",)),
    "rivals": ("may be one of several in Zoho", ("link", "new")),
    "intent": ("uncertain", ("link", "absent")),
    "change": ("uncertain change", ("absent",)),
    "undecided": ("several in Zoho fit", ("link",)),
}
"""What each matter is called, and the words that decide it."""


def matter_of(row: Mapping[str, Any]) -> str:
    """Which matter a row of `read_doubts` is: an open intent comes before everything else."""
    if row["intent_operation"] is not None:
        return "change" if row["zoho_id"] else "intent"
    if row["status"] == "failed" and row["error_code"] in (REUSED, BY_HAND, TAKEN, RENAMED):
        return str(row["error_code"])
    if row["rivals"] and not row["zoho_id"]:
        return "rivals"
    if row["status"] == "failed" and row["error_class"] == "not_found":
        return "missing"
    return "undecided"


def told(row: Mapping[str, Any], desired: Desired | None, policy: Policy) -> dict[str, Any]:
    """A row of `read_doubts` as plain values, fit to be shown: what it carried is cut short."""
    matter = matter_of(row)
    what, words = MATTERS[matter]
    kind, ref = KINDS[row["kind"]], Ref(row["kind"], row["key"])
    reused = matter == REUSED
    return {
        "kind": ref.kind,
        "key": ref.key,
        "matter": what,
        "status": row["status"],
        "zoho_id": row["zoho_id"],
        "reason": row["compared"] or row["error_message"] or "it was not looked up yet",
        "intent": _intent(kind, row, policy),
        "looks": list(row["looks"]),
        "calls": list(row["calls"]),
        "before": shown(kind, row["identity"] or {}) if reused else None,
        "here": shown(kind, identity_of(desired)) if reused and desired else None,
        "rivals": list(row["rivals"]),
        "excluded": list(row["excluded"]),
        "next_look": row["due_at"] if row["status"] != "failed" else None,
        "commands": _commands(ref, words, row["rivals"]),
    }


def _commands(ref: Ref, words: Sequence[str], rivals: Sequence[str]) -> list[str]:
    commands = []
    for word in words:
        if word != "link":
            commands.append(f"zohosync settle {ref.arguments} --{word}")
        else:
            told = f"zohosync settle {ref.arguments} --link"
            commands += [f"{told} {zoho_id}" for zoho_id in rivals or ["ID"]]
    return commands


def _intent(kind: Kind, row: Mapping[str, Any], policy: Policy) -> dict[str, Any] | None:
    if row["intent_operation"] is None:
        return None
    return {
        "operation": row["intent_operation"].partition(".")[2],
        "carried": shown(kind, {**(row["intent"] or {}), "total": row["intent_total"]}),
        "request": f"{row['method']} {row['path']}",
        "sent_at": row["intent_at"],
        "deadline": row["intent_deadline"],
        "may_land_until": row["intent_deadline"] + timedelta(seconds=policy.first_absent_s),
        "outcome": row["outcome"],
        "status": row["reply_status"],
        "code": row["reply_code"],
        "duplicate": row["intent_state"] == "duplicate",
        "absent_at": row["absent_at"],
    }


def shown(kind: Kind, payload: Payload) -> dict[str, Any]:
    """What tells a record from others, in full; of the rest, only that it is there.

    Of an e-mail, enough to know it again.
    """
    somebody = [name for group in kind.somebody for name in group]
    telling = {
        *kind.identity, *kind.near_identity, *kind.dates, *kind.money, *kind.namesake, *somebody,
        kind.marker, "customer_key", "total",
    }  # fmt: skip
    plain = {
        name: _cut(value)
        for name, value in payload.items()
        if name in telling and value not in (None, "") and not isinstance(value, Mapping | list)
    }
    rest = sorted(name for name, value in payload.items() if name not in plain and value)
    return plain | ({"and": " ".join(rest)} if rest else {})


def _cut(value: Any) -> str:
    text = str(value)
    name, at, host = text.partition("@")
    if at and name and " " not in text:
        return f"{name[:1]}…@{host}"
    return text if len(text) <= 120 else f"{text[:119]}…"
