"""What became of the first few rows of a backfill, row by row, and what to do next."""

from typing import TYPE_CHECKING, Any

from zohosync.cli.screen import FAILED, OK, Screen

if TYPE_CHECKING:
    from zohosync.bootstrap import Project
    from zohosync.engine.canary import Canary
    from zohosync.store.history import History

GOOD = ("synced", "skipped")


async def mark(
    screen: Screen, project: "Project", history: "History", kinds: tuple[str, ...],
    limit: int | None,
) -> tuple[dict[str, int], "Canary | None"]:  # fmt: skip
    """Mark every row of these kinds, or the first `limit` of each and the parents they need."""
    from zohosync.engine import canary
    from zohosync.engine.passes import mark_all

    with screen.progress("marked") as meter:
        if limit is None:
            told = await mark_all(project.source, kinds, lambda kind, n: meter(n, None, kind))
            return told, None
        first = await canary.choose(project.source, history, kinds, limit)
    announce(screen, first)
    return await canary.mark(history, first), first


def announce(screen: Screen, canary: "Canary") -> None:
    """Say which rows go ahead, and that their parents go with them."""
    screen.line(f"{len(canary.refs):,} rows go ahead: {', '.join(map(str, canary.refs[:20]))}")
    if canary.parents:
        named = ", ".join(map(str, canary.parents[:20]))
        screen.line(f"{len(canary.parents):,} parents that they need go with them: {named}")


async def outcome(history: "History", canary: "Canary") -> list[dict[str, Any]]:
    """How each of the rows stands now."""
    return [{**row, "reason": _reason(row)} for row in await history.standing(canary.refs)]


def tell(screen: Screen, rows: list[dict[str, Any]]) -> int:
    """Show the rows one by one and the next step; returns the exit code."""
    shown = [
        (row["kind"], row["key"], row["status"] or "marked", row["zoho_id"] or "", row["reason"])
        for row in rows
    ]
    screen.table(("kind", "key", "status", "Zoho id", "why"), shown)
    stopped = [row for row in rows if row["status"] not in GOOD]
    kinds = " ".join(dict.fromkeys(row["kind"] for row in rows))
    if not rows:
        screen.next_step("zohosync check (no row of these kinds is eligible)")
    elif not stopped:
        screen.next_step(f"look at these records in Zoho, then zohosync backfill {kinds}")
    elif paused := [row["kind"] for row in stopped if row["paused"]]:
        screen.next_step(f"zohosync resume {' '.join(dict.fromkeys(paused))}")
    else:
        first = next((row for row in stopped if row["status"] == "failed"), stopped[0])
        from zohosync.core.records import Ref

        screen.next_step(f"zohosync why {Ref(first['kind'], first['key']).arguments}")
    return FAILED if stopped else OK


def _reason(row: dict[str, Any]) -> str:
    if row["status"] in (None, "pending") and row["paused"]:
        return f"{row['kind']} are paused"
    if row["status"] == "waiting" and row["waiting_kind"]:
        return f"waits for {row['waiting_kind']} {row['waiting_key']}"
    return str(row["error_message"] or "") if row["status"] != "synced" else ""
