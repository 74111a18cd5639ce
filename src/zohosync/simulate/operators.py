"""An operator who settles what waits for a word, as the command does, and tells the truth."""

from typing import Any

from zohosync.core.plan import Policy
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.engine.settling import Bench
from zohosync.errors import LeaseLostError, SettingsError
from zohosync.simulate.world import World
from zohosync.store.database import Database
from zohosync.store.records import Records
from zohosync.store.settling import Settling
from zohosync.store.source import Source

MOST = 50
"""How many records an operator looks at in one sitting."""


async def settle(world: World) -> None:
    """An operator goes through what waits for a word and says what can be said of each."""
    database = await world.connected()
    try:
        bench = await _bench(world, database)
        for row in await bench.settling.doubts(None, limit=MOST):
            await _one(world, bench, row)
    finally:
        await database.close()
    world.wake()


async def _bench(world: World, database: Database) -> Bench:
    org_id, installation = world.sandbox.organization_id, world.installation()
    source = await Source.open(
        database, world.mapping, installation=installation, marker_field=None,
        time_zone=world.zone,
    )  # fmt: skip
    records = Records(database, org_id=org_id, worker="operator", lease_s=60, debounce_s=300)
    return Bench(Settling(database, org_id), records, source, Policy(installation))


async def _one(world: World, bench: Bench, row: Any) -> None:
    ref = Ref(row["kind"], row["key"])
    word = _word(world, row)
    if word is None:
        return
    try:
        spoken = await bench.consider(ref, word)
        await bench.write(spoken, "simulated")
    except (SettingsError, LeaseLostError) as refused:  # as the command says it: not now
        world.note(f"operator: {ref} --{word}: {refused.what}")
        return
    world.note(f"operator: {ref} --{word}")
    for zoho_id in spoken.verdict.excluded - spoken.standing.claim.excluded:
        world.touched[ref.kind, zoho_id] = "set aside by settle"


def _word(world: World, row: Any) -> Word | None:
    """What an honest operator would say: of a write in doubt, what Zoho's own books show."""
    if row["intent_operation"] is not None:
        return Word.ABSENT if _never_landed(world, row) else None
    if row["rivals"] and not row["zoho_id"]:  # made by hand by somebody else: they are not ours
        return Word.NEW
    match row["error_code"]:
        case "re-used":
            return Word.NEW if world.chance.random() < 0.7 else Word.SAME
        case "renamed":
            return Word.NEW
        case _:
            return None


def _never_landed(world: World, row: Any) -> bool:
    """Whether nothing in Zoho carries what a create in doubt carried (once it can land no more)."""
    if row["zoho_id"] or not row["intent_operation"].endswith(".create"):
        return False
    sent = row["intent"] or {}
    telling = ("invoice_number", "reference_number", "reference_id", "plan_code", "notes", "name")
    names = [name for name in telling if sent.get(name)]
    return bool(names) and not any(
        str(there.get(name)) == str(sent[name])
        for there in world.sandbox.ledger.records(row["kind"])
        for name in names
    )
