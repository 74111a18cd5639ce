"""Everything that zohosync raises on purpose, each naming the thing, the place and the next step.

    ZohosyncError
    ├── SettingsError               a setting is missing, malformed or contradicts another
    ├── MappingError                a mapping/*.sql does not fit the database or the API
    ├── SchemaError                 the schema `zohosync` is not the one that this code needs
    ├── DatabaseError               the database refused or failed (`retryable`: again may help)
    │   ├── DatabaseUnavailableError    no connection: wrong URL, dead, full, refused, starting
    │   │   ├── DatabaseLoginError          it answers, but not to this user, password or name
    │   │   └── CommitUnknownError          the connection died while committing: it may have landed
    │   └── EmbeddedPostgresError       our own Postgres cannot be made or started here
    ├── UnknownKindError            there is no such kind
    ├── UnknownRecordError          nothing is known of a record of that kind and key
    ├── OrganizationClosedError     nothing of the organisation may call Zoho for a while
    ├── NoWorkerError               nobody works: what is marked is done once a worker runs
    ├── TimeLimitError              a record is not in step yet, and the wait for it is over
    ├── LeaseLostError              a claim was settled after its lease had gone to somebody else
    └── RemoteError                 a call to Zoho could not be made (answers are never raised)

Messages never hold a secret: addresses are shown without their password.
"""


class ZohosyncError(Exception):
    """What every error of ours is: one sentence on what, then where, then what to do."""

    def __init__(self, what: str, *, place: str = "", next_step: str = "") -> None:
        """`what` is a sentence without its full stop; `place` a file, row or address."""
        super().__init__(what)
        self.what = what
        self.place = place
        self.next_step = next_step

    def __str__(self) -> str:
        """The whole message, one line."""
        text = self.what + (f" ({self.place})" if self.place else "")
        return f"{text}: {self.next_step}" if self.next_step else text


class SettingsError(ZohosyncError):
    """A setting is missing, malformed or contradicts another."""


class MappingError(ZohosyncError):
    """A mapping does not fit the database or the API."""


class SchemaError(ZohosyncError):
    """The schema `zohosync` in the database is not the one that this code needs."""


class DatabaseError(ZohosyncError):
    """The database refused or failed."""

    def __init__(
        self,
        what: str,
        *,
        place: str = "",
        next_step: str = "",
        retryable: bool = False,
        sqlstate: str | None = None,
        constraint: str | None = None,
    ) -> None:
        """`retryable`: the same transaction may well succeed when run again."""
        super().__init__(what, place=place, next_step=next_step)
        self.retryable = retryable
        self.sqlstate = sqlstate
        self.constraint = constraint


class DatabaseUnavailableError(DatabaseError):
    """There is no connection to the database."""


class DatabaseLoginError(DatabaseUnavailableError):
    """The server answers, but not to this user, password or database name."""


class CommitUnknownError(DatabaseUnavailableError):
    """The connection died while a transaction was being committed: it may have landed."""


class OrganizationGoneError(DatabaseError):
    """The organisation's row is not in the database any more: nothing may be called."""

    def __init__(self, org_id: str, place: str) -> None:
        """`place` is the database's address."""
        super().__init__(
            f"The row of organisation {org_id} is gone from zohosync.organizations",
            place=place,
            next_step="start zohosync again: it registers the organisation anew",
        )


class LimitsUnreadableError(DatabaseError):
    """The limits in the organisation's row make no sense: nothing may be called."""

    def __init__(self, org_id: str, place: str, why: str) -> None:
        """`place` is the database's address, `why` says what is wrong with them."""
        super().__init__(
            f"The limits of organisation {org_id} in zohosync.organizations cannot be read: {why}",
            place=place,
            next_step="start zohosync again: it writes those of zohosync.toml",
        )


class EmbeddedPostgresError(DatabaseError):
    """Our own Postgres cannot be made or started here."""


class LeaseLostError(ZohosyncError):
    """A claim was settled after its lease had gone to somebody else."""


class RemoteError(ZohosyncError):
    """A call to Zoho could not be made at all; answers, bad ones too, are never raised."""


class UnknownKindError(ZohosyncError):
    """There is no kind of that name."""


class UnknownRecordError(ZohosyncError):
    """Nothing is known of a record of that kind and key."""


class OrganizationClosedError(ZohosyncError):
    """Nothing of the organisation, or of the kind, may call Zoho for a while."""


class NoWorkerError(ZohosyncError):
    """No worker is alive: what is marked stays marked, and is done once one runs."""


class TimeLimitError(ZohosyncError):
    """The record was not in step within the time limit; it stays marked, and goes on."""
