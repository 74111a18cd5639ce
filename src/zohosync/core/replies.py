"""What Zoho can answer, as values: every reply is one of these, whatever the wire said."""

from dataclasses import dataclass

from zohosync.core.records import Candidate, Payload


@dataclass(frozen=True, slots=True)
class Quota:
    """What Zoho says beside a reply: the limit of its window, and how many calls of it are left."""

    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Zoho did it; `fields` are the record as the reply shows it, in our spellings."""

    zoho_id: str
    fields: Payload


@dataclass(frozen=True, slots=True)
class Found:
    """A look-up came to its end; `complete` is False where pages could not be read to the end.

    `spared` counts the reads that it did without, since another look-up made them for both;
    `near` are names like the one looked for, where it was not there.
    """

    candidates: tuple[Candidate, ...]
    complete: bool = True
    spared: int = 0
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Zoho understood and refused: nothing was done."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: the organisation is over a limit; nothing was done."""

    code: str
    retry_after_s: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The credentials do not open this door, and a new token did not help: nothing was done."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """5xx or a page that is not the API's: a write may have happened."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No reply; `sent` is False only when not one byte of the request left."""

    sent: bool
    message: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A 2xx reply that cannot be read or carries no id: a write may have happened."""

    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The gate did not let the call leave; nothing was sent."""

    reason: str
    retry_in_s: float


Reply = (
    Accepted
    | Found
    | Rejected
    | Throttled
    | Unauthorized
    | Unavailable
    | Unreachable
    | Unusable
    | Closed
)
