"""Asking the journal for calls as if there were no lanes."""

from datetime import datetime
from typing import NamedTuple

from zohosync.core.governor import JournalView, Limits, Verdict, admit
from zohosync.core.lanes import Books, Choice, in_line
from zohosync.store.journal import Entry, Journal


class Granted(NamedTuple):
    """What was granted to those that asked as if there were no lanes."""

    verdict: Verdict
    call_ids: dict[int, int]
    now: datetime


async def ask(journal: Journal, limits: Limits, *entries: Entry) -> Granted:
    verdicts = []

    def decide(view: JournalView, books: Books, told: Limits) -> Choice:
        del books, told
        verdicts.append(admit(view, limits, len(entries)))
        return in_line(verdicts[0])

    admission = await journal.admit(entries, decide)
    return Granted(verdicts[0], admission.call_ids, admission.now)
