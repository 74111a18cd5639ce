"""How hard the properties of the decisions are tried: enough to find slips, in seconds."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
