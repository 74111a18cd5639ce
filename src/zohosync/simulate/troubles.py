"""What can go wrong in a simulation: every fault by name, how often, and in which profiles."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zohosync.clock import Chance
from zohosync.sandbox import Fault, Faults
from zohosync.store.tapped import LOST

STATEMENT, ANSWER, CALL, REMOTE, EVENT, STEP, START = (
    "statement", "answer", "call", "remote", "event", "step", "start",
)  # fmt: skip
"""Where a fault strikes: a database statement, its answer, a call on its way, in the pretend Zoho,
at moments of its own, at any step of a process, or at the start and for the whole run."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of fault: where it strikes, and how often.

    `rate` is a probability per statement, call, step or run; for events it is how many there are in
    four hours. `late`: drawn apart, so that the others of a seed come when they came before there
    was this one. `does` is the SQLSTATE of a statement, or the sandbox's fault.
    """

    where: str
    rate: float
    family: str
    does: Any = None
    alone: float = 6.0
    """How many times as often when it is the only one."""
    late: bool = False


def _remote(rate: float, what: str, operation: str = "*", **more: Any) -> Sort:
    return Sort(REMOTE, rate, "zoho", Fault(what, operation, **more))


SORTS: Mapping[str, Sort] = {
    # the network
    "refused": Sort(CALL, 0.010, "network"),
    "reset_before_read": Sort(CALL, 0.008, "network"),
    "reply_lost": Sort(CALL, 0.015, "network"),
    "slow": Sort(CALL, 0.008, "network"),
    # Zoho
    "commit_late": _remote(0.010, "late_commit", "P* *"),
    "commit_very_late": _remote(0.004, "late_commit", "P* *", seconds=290.0),
    "truncated": _remote(0.005, "truncated"),
    "html": _remote(0.006, "html"),
    "error_before_commit": _remote(0.008, "error_before_commit"),
    "error_after_commit": _remote(0.006, "error_after_commit"),
    "without_id": _remote(0.005, "without_id", "POST *"),
    "stale_list": _remote(0.03, "stale_list", "GET *", seconds=240.0),
    "not_yet_listed": _remote(0.02, "stale_list", "POST *", seconds=400.0),
    "reordered": _remote(0.03, "reordered", "GET *"),
    "code_1070": replace(_remote(0.004, "rate_limit", code=1070), family="limits"),
    "code_44": replace(_remote(0.0008, "rate_limit", code=44), family="limits", alone=4.0),
    "code_43": replace(_remote(0.0004, "rate_limit", code=43), family="limits", alone=4.0),
    "code_45": replace(_remote(0.0002, "rate_limit", code=45), family="limits", alone=8.0),
    "unauthorized": replace(_remote(0.006, "unauthorized"), family="credentials"),
    "mint_throttled": replace(
        _remote(0.15, "rate_limit", "POST /oauth*"), family="credentials", alone=3.0
    ),
    "outage": Sort(EVENT, 0.5, "zoho"),
    "tokens_expired": Sort(EVENT, 1.0, "credentials"),
    "token_revoked": Sort(EVENT, 0.3, "credentials"),
    "foreign_use": Sort(EVENT, 2.0, "limits"),
    # Postgres
    "serialization": Sort(STATEMENT, 0.0004, "database", "40001"),
    "deadlock": Sort(STATEMENT, 0.0003, "database", "40P01"),
    "lock_timeout": Sort(STATEMENT, 0.0003, "database", "55P03"),
    "disk_full": Sort(STATEMENT, 0.0002, "database", "53100"),
    "backend_killed": Sort(STATEMENT, 0.0003, "database", LOST),
    "answer_lost": Sort(ANSWER, 0.0003, "database", LOST),
    "postgres_restart": Sort(EVENT, 0.7, "database"),
    "pool_exhausted": Sort(EVENT, 0.7, "database"),
    "disk_full_spell": Sort(EVENT, 0.4, "database"),
    # processes and their clocks
    "killed_at_a_step": Sort(STEP, 0.00015, "processes"),
    "worker_killed": Sort(EVENT, 1.5, "processes"),
    "worker_frozen": Sort(EVENT, 1.5, "processes"),
    "worker_stopped": Sort(EVENT, 0.7, "processes"),
    "clock_jump": Sort(EVENT, 1.0, "processes"),
    "upgrade": Sort(EVENT, 0.5, "processes"),
    # people
    "edited_by_hand": Sort(EVENT, 0.7, "people"),
    "created_by_hand": Sort(EVENT, 0.7, "people"),
    "merged_by_hand": Sort(EVENT, 0.3, "people"),
    "paused_and_resumed": Sort(EVENT, 0.7, "people"),
    "retried": Sort(EVENT, 1.5, "people"),
    "settled": Sort(EVENT, 1.5, "people"),
    "limits_changed": Sort(EVENT, 0.4, "people"),
    "mapping_changed": Sort(EVENT, 0.25, "people"),
    "mapping_empty": Sort(EVENT, 0.2, "people"),
    "row_security": Sort(EVENT, 0.3, "people"),
    # a company's real books
    "short_pages": Sort(START, 0.25, "zoho", late=True),
    "books_before": Sort(START, 0.25, "people", late=True),
    "gone_is_ended": Sort(START, 0.25, "people", late=True),
    "compared": Sort(EVENT, 0.7, "people", late=True),
    "imported": Sort(EVENT, 0.4, "people", late=True),
    "mass_ending": Sort(EVENT, 0.4, "people", late=True),
    "forgotten": Sort(EVENT, 0.6, "people", late=True),
}

FAMILIES = tuple(dict.fromkeys(sort.family for sort in SORTS.values()))
PROFILES: tuple[str, ...] = ("all", "calm", *FAMILIES, *SORTS)
"""What `--faults` takes: everything, nothing, a family of faults, or one of them alone."""


def rates_of(profile: str) -> dict[str, float]:
    """How often each fault strikes in a profile. Raises ValueError for one that there is not."""
    if profile not in PROFILES:
        raise ValueError(f"there are no faults {profile!r}: choose one of {', '.join(PROFILES)}")
    if profile in SORTS:
        sort = SORTS[profile]
        return {profile: sort.rate * sort.alone}
    times = {"all": 1.0}.get(profile, 2.0)
    return {
        name: sort.rate * times for name, sort in SORTS.items() if profile in ("all", sort.family)
    }


class Troubles:
    """The faults of one run, drawn from one seed; `struck` counts them."""

    def __init__(self, profile: str, chance: Chance, later: Chance | None = None) -> None:
        """`later` draws what is `late`. Raises ValueError for a profile that there is not."""
        self.rates = rates_of(profile)
        self._later = later or chance
        self.struck: Counter[str] = Counter()
        self.active = True
        self.on_strike: Callable[[str], None] = lambda _name: None
        self.refusal: str | None = None
        self.disk_full = False
        self._chance = chance
        self._by_place = {
            place: [name for name in self.rates if SORTS[name].where == place]
            for place in (STATEMENT, ANSWER, CALL, STEP)
        }

    def events(self, hours: float) -> list[tuple[float, str]]:
        """When events of their own happen: (seconds from the start, name), in order."""
        found = []
        for name, rate in self.rates.items():
            if SORTS[name].where != EVENT:
                continue
            chance = self._later if SORTS[name].late else self._chance
            expected = rate * hours / 4
            count = int(expected) + (chance.random() < expected % 1)
            found += [(chance.random() * hours * 3600, name) for _ in range(count)]
        return sorted(found)

    def from_the_start(self) -> frozenset[str]:
        """What is so for the whole run; counted as having struck."""
        names = [name for name in self.rates if SORTS[name].where == START]
        drawn = frozenset(name for name in names if self._later.random() < self.rates[name])
        self.struck.update(drawn)
        return drawn

    def remote(self) -> Faults:
        """What the pretend Zoho does by itself."""
        script = [
            replace(
                SORTS[name].does,
                rate=rate,
                seconds=SORTS[name].does.seconds or self._seconds_of(SORTS[name].does.what),
            )
            for name, rate in self.rates.items()
            if SORTS[name].where == REMOTE
        ]
        return Faults(script, Chance(self._chance.integer(0, 1 << 30)))

    def _seconds_of(self, what: str) -> float | None:
        return 5.0 + self._chance.random() * 120 if what == "late_commit" else None

    def _draw(self, place: str, names: Iterable[str] | None = None) -> str | None:
        if not self.active:
            return None
        for name in self._by_place[place] if names is None else names:
            if name in self.rates and self._chance.random() < self.rates[name]:
                self.struck[name] += 1
                self.on_strike(name)
                return name
        return None

    def at_step(self) -> bool:
        """Whether a process dies at this step."""
        return self._draw(STEP) is not None

    def dial(self) -> str | None:
        """A connection is wanted."""
        return self.refusal

    def statement(self) -> str | None:
        """A statement is about to run."""
        if self.refusal is not None:
            return LOST
        if self.disk_full:
            return "53100"
        name = self._draw(STATEMENT)
        return None if name is None else str(SORTS[name].does)

    def answered(self) -> str | None:
        """A statement ran."""
        return None if self._draw(ANSWER) is None else LOST

    def connect(self) -> None:
        """A call is about to leave. Raises ConnectionRefusedError."""
        if self._draw(CALL, ("refused",)):
            raise ConnectionRefusedError("refused on purpose")

    def carry(self) -> float:
        """Seconds until a call arrives. Raises ConnectionResetError when it never does."""
        if self._draw(CALL, ("reset_before_read",)):
            raise ConnectionResetError("reset on purpose, before the request was read")
        return 0.02 + 0.1 * self._chance.random()

    def bring(self) -> float:
        """Seconds until an answer is heard. Raises ConnectionResetError when it never is."""
        if self._draw(CALL, ("reply_lost",)):
            raise ConnectionResetError("reset on purpose, after the request was done")
        if self._draw(CALL, ("slow",)):
            return 15.0 + 30.0 * self._chance.random()
        return 0.05 + 0.4 * self._chance.random()
