"""The sections of a project's settings as values, and the options of upkeep."""

from dataclasses import dataclass, field

from zohosync.core.options import (
    Option,
    Secret,
    listening,
    names,
    number,
    secret_text,
    time_of_day,
)


@dataclass(frozen=True, slots=True)
class Organization:
    """The Zoho organisation that the project keeps in step."""

    id: str | None
    data_center: str
    mode: str
    time_zone: str
    currency: str | None
    marker_field: str | None


@dataclass(frozen=True, slots=True)
class Zoho:
    """How Zoho is reached; addresses are None where the data centre's own hold."""

    client_id: str | None
    client_secret: Secret
    refresh_token: Secret
    secret_key: Secret
    api_url: str | None
    accounts_url: str | None


@dataclass(frozen=True, slots=True)
class Work:
    """How a worker works; times in seconds."""

    slots: int
    lease_s: float
    heartbeat_s: float
    poll_s: float
    debounce_s: float
    send_within_s: float
    time_limit_s: float
    max_retries: int
    retry_base_s: float
    http: str | None = None
    """Where /healthz, /readyz and /metrics are served, as HOST:PORT; None: nowhere."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """A `[[watch]]`: a table whose changes mark records of a kind."""

    table: str
    kind: str
    key: str | None = None
    keys: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How often the leading worker does what; seconds. The numbers are the guide's."""

    metrics_every_s: float = 86_400.0
    health_every_s: float = 3_600.0
    alerts_every_s: float = 1_800.0


REDACT = (
    "display_name", "customer_name", "first_name", "last_name", "salutation", "company_name",
    "email", "email_ids", "phone", "mobile", "fax", "website", "department", "designation", "notes",
    "billing_address", "shipping_address", "vat_reg_no", "tax_reg_no", "gst_no", "contact_persons",
)  # fmt: skip
"""The fields that tell of a person."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days what is kept; `redact` are fields whose values no log keeps.

    Where no days are said of logs and journal, `database.keep_days` holds.
    """

    logs_days: int | None = None
    journal_days: int | None = None
    audit_days: int = 3_650
    comparisons_days: int = 90
    usage_days: int = 1_095
    redact: tuple[str, ...] = REDACT


@dataclass(frozen=True, slots=True)
class Caches:
    """How long a copy serves; seconds. The numbers are the guide's.

    An access token is renewed after `token_ttl_s` even where Zoho lets it live longer.
    """

    org_data_ttl_s: float = 86_400.0
    sync_status_ttl_s: float = 30.0
    misses_ttl_s: float = 60.0
    token_ttl_s: float = 3_600.0


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told of trouble, and when not.

    `channels` are notification URLs, one a line or parted by commas: secret, since they carry
    passwords; none means the log. In the quiet hours only grave ones are sent.
    `threshold` is from how many records on a cause that is not grave is told.
    """

    channels: Secret = field(default_factory=lambda: Secret(""))
    quiet_from: str | None = None
    quiet_to: str | None = None
    threshold: int = 1
    heartbeat_url: Secret = field(default_factory=lambda: Secret(""))
    heartbeat_every_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Targets:
    """What the figures are held against: the guide's key figures."""

    success_rate: float = 98.0
    average_sync_time_ms: float = 5_000.0
    failed_per_day: int = 5
    rate_limit_hits_per_week: int = 0
    average_attempts: float = 1.2
    stale_per_week: int = 0


_SPELL = number(1, 31_536_000, whole=False)
_DAYS = number(8, 36_500, whole=True)
_COUNT = number(0, 1_000_000, whole=True)
OPTIONS = (
    Option("worker.http", listening),
    Option("upkeep.metrics_every_s", _SPELL, 86_400.0),
    Option("upkeep.health_every_s", _SPELL, 3_600.0),
    Option("upkeep.alerts_every_s", _SPELL, 1_800.0),
    Option("retention.logs_days", _DAYS),
    Option("retention.journal_days", _DAYS),
    Option("retention.audit_days", _DAYS, 3_650),
    Option("retention.comparisons_days", _DAYS, 90),
    Option("retention.usage_days", _DAYS, 1_095),
    Option("retention.redact", names, REDACT),
    Option("cache.org_data_ttl_s", _SPELL, 86_400.0),
    Option("cache.sync_status_ttl_s", _SPELL, 30.0),
    Option("cache.misses_ttl_s", _SPELL, 60.0),
    Option("cache.token_ttl_s", number(600, 86_400, whole=False), 3_600.0),
    Option("alerts.channels", secret_text, Secret(""), secret=True, in_file=False),
    Option("alerts.quiet_from", time_of_day),
    Option("alerts.quiet_to", time_of_day),
    Option("alerts.threshold", _COUNT, 1),
    Option("alerts.heartbeat_url", secret_text, Secret(""), secret=True, in_file=False),
    Option("alerts.heartbeat_every_s", _SPELL, 300.0),
    Option("targets.success_rate", number(0, 100, whole=False), 98.0),
    Option("targets.average_sync_time_ms", number(1, 86_400_000, whole=False), 5_000.0),
    Option("targets.failed_per_day", _COUNT, 5),
    Option("targets.rate_limit_hits_per_week", _COUNT, 0),
    Option("targets.average_attempts", number(1, 100, whole=False), 1.2),
    Option("targets.stale_per_week", _COUNT, 0),
)
"""What there is to say of upkeep, caches, alerts and targets."""
