"""Why a record stands where it does, in words, and whether somebody who waits for it may go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from zohosync.core.figures import span_words
from zohosync.core.records import Ref, Status

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """A record with what it waits for, its newest attempts and its newest calls, as rows."""

    record: Row
    chain: Sequence[Row]
    attempts: Sequence[Row]
    calls: Sequence[Row]

    def lines(self) -> list[str]:
        """What is to be said of it: how it stands, then why, down to the root cause."""
        return [_standing(self.record), *_details(self.record), *_causes(self.chain)]

    def next_step(self) -> str:
        """What to do now."""
        return _advice(self.record, self.chain)

    def as_values(self) -> dict[str, Any]:
        """All of it for programs; no payload, and not who the record is."""
        known = {name: value for name, value in self.record.items() if name not in _PRIVATE}
        return {
            "record": known, "chain": list(self.chain), "attempts": list(self.attempts),
            "calls": list(self.calls),
        }  # fmt: skip


_PRIVATE = ("payload", "identity")


class Ending(StrEnum):
    """How the waiting for a record ends."""

    IN_STEP = "in step"
    FAILED = "failed"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    SKIPPED = "skipped"


def ended(record: Row, chain: Sequence[Row], since: int, left_s: float) -> Ending | None:
    """How it ended for who marked it when it had version `since`; None: it still moves.

    A parent or a look-up that may come to its end within `left_s` seconds is waited for.
    """
    if record["marked"] or record["version"] <= since:
        return None
    root = chain[-1] if chain else record
    match Status(record["status"]):
        case Status.SYNCED if record["synced_version"] >= record["version"]:
            return Ending.IN_STEP
        case Status.FAILED:
            return Ending.FAILED
        case Status.SKIPPED:
            return Ending.SKIPPED
        case Status.WAITING if len(chain) > 1:
            rests = (Status.FAILED, Status.SKIPPED, Status.UNCERTAIN, Status.WAITING)
            return Ending.WAITING if root["status"] in rests else None
        case Status.WAITING | Status.UNCERTAIN as status:
            due_in_s = record["due_in_s"]
            return None if due_in_s is not None and due_in_s < left_s else Ending(str(status))
        case _:
            return None


def _standing(record: Mapping[str, Any]) -> str:
    linked = f"Zoho {record['zoho_id']}" if record["zoho_id"] else "not in Zoho"
    state = f", {record['remote_state']} there" if record["remote_state"] else ""
    return f"{record['kind']} {record['key']}: {record['status']} ({linked}{state})"


def _details(record: Mapping[str, Any]) -> list[str]:
    """What is to be said of the record itself."""
    behind = record["version"] - record["synced_version"]
    texts = [
        f"version {record['version']}, " + (f"{behind} changes behind" if behind else "in step")
    ]
    if record["marked"]:
        texts.append("a change of it is not folded yet")
    if record["attempts"]:
        texts.append(f"{record['attempts']} failed attempts")
    if record["due_in_s"] is not None and record["status"] not in ("synced", "skipped", "failed"):
        due_s = record["due_in_s"]
        texts.append("due now" if due_s <= 0 else f"due in {span_words(due_s)}")
    if record["lease_worker"]:
        texts.append(f"under way at {record['lease_worker']}")
    if record["error_message"]:
        where = f" [{record['error_field']}]" if record["error_field"] else ""
        code = f" (code {record['error_code']})" if record["error_code"] else ""
        texts.append(f"{record['error_class']}{where}: {record['error_message']}{code}")
    if record["intent_operation"]:
        texts.append(
            f"open intent: {record['intent_operation']} sent at "
            f"{record['intent_at']:%Y-%m-%d %H:%M:%S}, "
            f"ended {record['intent_outcome'] or 'unknown'}; it is looked for in Zoho before "
            "anything else is done"
        )
    if record["kind_paused"] or record["paused"]:
        texts.append(f"paused: {record['paused'] or 'its kind'}")
    if record["closed_for_s"] is not None and record["closed_for_s"] > 0:
        texts.append(f"Zoho is closed for {span_words(record['closed_for_s'])}")
    return texts


def _causes(chain: Sequence[Mapping[str, Any]]) -> list[str]:
    """What it waits for, link by link, down to the root cause."""
    texts = []
    for child, parent in pairwise(chain):
        needs = " or ".join(child["waiting_needs"] or [])
        why = f": {parent['error_message']}" if parent["error_message"] else ""
        there = f"{parent['kind']} {parent['key']}"
        to_be = f" to be {needs}" if needs else ""
        texts.append(f"waits for {there}{to_be}, which is {parent['status']}{why}")
    last = chain[-1] if chain else None
    if last is not None and last["waiting_kind"] and last["status"] == "waiting":
        texts.append(f"waits for {last['waiting_kind']} {last['waiting_key']}, which is not known")
    return texts


def _advice(record: Mapping[str, Any], chain: Sequence[Mapping[str, Any]]) -> str:
    root = chain[-1] if chain else record
    if len(chain) > 1 and root["status"] in ("failed", "skipped", "uncertain"):
        ref = Ref(root["kind"], root["key"])
        return f"mend {ref}: zohosync why {ref.arguments}"
    if record["kind_paused"]:
        return f"zohosync resume {record['kind']}"
    if record["paused"]:
        return "mend what it is paused for (zohosync login), then zohosync resume"
    match record["status"]:
        case "failed":
            return (
                "mend the row or the mapping (a change of the row wakes it), or "
                f"zohosync retry {Ref(record['kind'], record['key']).arguments}"
            )
        case "synced" | "skipped":
            return "nothing: it rests until its row changes"
        case "uncertain":
            return "wait: it is looked for in Zoho, at the latest 30 minutes after the call"
        case _:
            return "wait, with `zohosync run` running"
