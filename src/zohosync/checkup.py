"""How all stands, judged from what the database knows; and, when asked to, by one call to Zoho."""

import asyncio
from importlib.metadata import version

from zohosync.clock import Chance, Clock
from zohosync.core.health import (
    Check,
    Health,
    State,
    Verdict,
    judge_health,
    judge_reply,
    stopped_at,
)
from zohosync.engine.gate import Gate
from zohosync.errors import DatabaseError, SettingsError
from zohosync.settings import Settings
from zohosync.store.database import Database
from zohosync.store.health import Vitals
from zohosync.store.journal import Journal
from zohosync.store.tokens import TokenCache
from zohosync.wiring import credentials_of, secret_of
from zohosync.zoho import tokens as oauth
from zohosync.zoho.client import Remote


async def health_of(settings: Settings, database: Database, org_id: str) -> Health:
    """How all stands: one round trip to a database whose schema is current, no call."""
    lacking, token_key = None, ""
    try:
        key = secret_of(settings.zoho.secret_key) if settings.zoho.secret_key else None
        token_key = credentials_of(settings).token_key(key)
    except SettingsError as error:
        lacking = error.what
    facts = await Vitals(database, org_id).facts(
        version=version("zohosync"),
        mapped=tuple(settings.kinds),
        token_key=token_key,
        lacking=lacking,
        failed_allowed=settings.targets.failed_per_day,
    )
    if facts is None:
        words = f"organisation {org_id} is not known in this database yet"
        return stopped_at("organisation", words, "zohosync migrate")
    return judge_health(facts)


async def probe_zoho(
    settings: Settings, database: Database, org_id: str, *, clock: Clock, chance: Chance
) -> Check:
    """Ask Zoho for its organisations now, through the gate; one call, two where a token is needed.

    What it answers is a check; raises DatabaseError only.
    """
    try:
        credentials = credentials_of(settings)
    except SettingsError as error:
        return Check("api", Verdict.FAIL, error.what, error.next_step)
    key = secret_of(settings.zoho.secret_key) if settings.zoho.secret_key else None
    who, limit_s = chance.token("health"), settings.worker.time_limit_s
    journal = Journal(
        database, org_id=org_id, worker=who, time_limit_s=limit_s,
        mint_key=credentials.token_key(), brake=settings.brake,
    )  # fmt: skip
    gate = Gate(
        journal, clock=clock, limits=settings.limits, time_limit_s=limit_s,
        send_within_s=settings.worker.send_within_s, tell=lambda _: None,
        pauses=False,  # the credentials of whoever looks need not be those of the workers
    )  # fmt: skip
    tokens = oauth.Tokens(
        credentials, cache=TokenCache(database), gate=gate, clock=clock, owner=who,
        accounts_url=settings.zoho.accounts_url, secret_key=key,
    )  # fmt: skip
    remote = Remote(
        gate=gate, tokens=tokens, clock=clock, organization_id=org_id,
        api_url=settings.zoho.api_url, time_limit_s=limit_s,
    )  # fmt: skip
    failed: list[DatabaseError] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(gate.run())
            try:
                return judge_reply(await remote.probe())
            except DatabaseError as error:  # raised outside, where no group wraps it
                failed.append(error)
            finally:
                running.cancel()
    finally:
        await remote.aclose()
        await tokens.aclose()
    raise failed[0]


async def note_health(settings: Settings, database: Database, org_id: str) -> str | None:
    """Judge how all stands and keep it; what there is to tell when it changed."""
    found = await health_of(settings, database, org_id)
    before, _ = await Vitals(database, org_id).note(found)
    if before == found.state or (before is None and found.state is State.HEALTHY):
        return None
    why = "; ".join(f"{each.name}: {each.words}" for each in found.troubles)
    return f"health: {found.state}, it was {before or 'not judged yet'}{why and f' ({why})'}"


async def mend_counts(database: Database, org_id: str) -> str | None:
    """Hold the counts against a full count; what there is to tell when they had to be mended."""
    mended = await Vitals(database, org_id).mend()
    words = (f"{r['kind']} {r['status']} {r['kept']} -> {r['counted']}" for r in mended)
    return f"counts were wrong, and are mended: {', '.join(words)}" if mended else None
