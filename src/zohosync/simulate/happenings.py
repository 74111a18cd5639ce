"""The events of a simulation: what strikes processes, Postgres and Zoho, and what people do."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from zohosync.core.governor import Limits
from zohosync.core.kinds import MAPPED
from zohosync.sandbox import Fault, Faults, Request
from zohosync.sandbox.limits import RefusalError
from zohosync.simulate.keeping import forgotten
from zohosync.simulate.operators import (
    compared,
    imported,
    look_at_brakes,
    make_by_hand,
    mass_ending,
    open_kinds,
    pause,
    resume,
    settle,
    sweep,
)
from zohosync.simulate.oracles import Violation
from zohosync.simulate.world import World
from zohosync.store.history import History
from zohosync.store.organizations import change_limits

Happening = Callable[[World], Awaitable[object]]


async def _outage(world: World) -> None:
    """Zoho answers nothing but errors for a while."""
    world.sandbox.set_faults(Faults([Fault("error_before_commit", rate=1.0)]))
    await world.clock.sleep(60 + 1_800 * world.chance.random())
    if world.troubles.active:
        world.sandbox.set_faults(world.troubles.remote())


async def _tokens_expired(world: World) -> None:
    """Another program of the same client evicts our access tokens."""
    world.sandbox.tokens.expire()


async def _token_revoked(world: World) -> None:
    """A person revokes the connection, and somebody logs in again later."""
    world.sandbox.tokens.revoke()
    await world.clock.sleep(300 + 1_800 * world.chance.random())
    await log_in(world)


async def log_in(world: World) -> None:
    """An operator runs `login`, starts the workers anew and opens the organisation again."""
    world.names["logins"] += 1
    status, told = world.sandbox.tokens.exchange(
        {
            "client_id": world.sandbox.client_id,
            "client_secret": world.sandbox.client_secret,
            "grant_type": "authorization_code",
            "code": f"again-{world.names['logins'] - 1}",
        },
        "http://sandbox.invalid",
    )
    world.note(f"login: {status}")
    world.refresh_token = told["refresh_token"]
    world.restart_all()
    await world.clock.sleep(150)
    await resume(world)


async def _foreign_use(world: World) -> None:
    """Another integration of the same organisation calls Zoho, and nobody tells us."""
    for _ in range(world.chance.integer(20, 70)):
        at_s = world.clock.monotonic()
        call = Request(
            world.clock.now(), at_s, "GET /customers", "GET", "/customers", {}, 200,
            left_s=at_s, agent="another/1",
        )  # fmt: skip
        world.sandbox.ledger.requests.append(call)
        try:
            world.foreign_calls += 1
            world.sandbox.limiter.arrive()
        except RefusalError as refusal:
            call.status, call.code = refusal.status, refusal.code
        finally:
            world.sandbox.limiter.leave()
        await world.clock.sleep(world.chance.random() * 3)


async def _postgres_restart(world: World) -> None:
    """Every connection breaks, and for a while there are no new ones."""
    await _refuse(world, "the database system is starting up", 3 + 40 * world.chance.random())


async def _pool_exhausted(world: World) -> None:
    """No connection is free for a while; those that are open stay so."""
    await _refuse(world, "sorry, too many clients already", 5 + 60 * world.chance.random())


async def _refuse(world: World, words: str, seconds: float) -> None:
    world.troubles.refusal = words
    await world.clock.sleep(seconds)
    world.troubles.refusal = None


async def _disk_full(world: World) -> None:
    """No statement succeeds for a while."""
    world.troubles.disk_full = True
    await world.clock.sleep(5 + 120 * world.chance.random())
    world.troubles.disk_full = False


async def _worker_killed(world: World) -> None:
    """Kill -9."""
    async with world.ground.turn:
        if world.current:
            world.chance_of(world.current).kill()


async def _worker_frozen(world: World) -> None:
    """SIGSTOP past the lease, and SIGCONT: a zombie wakes."""
    if world.current:
        process = world.chance_of(world.current)
        world.note(f"{process.name} freezes")
        await process.freeze(5 + 400 * world.chance.random() ** 2)


async def _worker_stopped(world: World) -> None:
    """SIGTERM, and a new one a little later."""
    if world.current:
        process = world.chance_of(world.current)
        world.retire(process)
        await world.clock.sleep(20 * world.chance.random())
        if world.troubles.active:
            world.start()


async def _clock_jump(world: World) -> None:
    """A machine's clock is set."""
    if world.current:
        world.chance_of(world.current).skew_s += world.chance.integer(-7_200, 7_200)


async def _upgrade(world: World) -> None:
    """New workers beside the old ones for a while."""
    world.restart_all()


async def _edited_by_hand(world: World) -> None:
    """A person edits a customer in Zoho's web interface."""
    rows = world.sandbox.ledger.records("customers")
    if rows:
        row = world.chance_of(rows)
        told = {"display_name": row["display_name"], "email": row["email"]}
        field = world.chance_of(["phone", "display_name"])
        told[field] = f"by hand {world.chance.integer(1, 99)}"
        world.sandbox.by_hand("PUT", f"/customers/{row['customer_id']}", told)
        world.touched.setdefault(("customers", row["customer_id"]), "edited by hand")


async def _created_by_hand(world: World) -> None:
    """A person makes a customer in Zoho that looks like one of ours."""
    rows = world.sandbox.ledger.records("customers")
    if rows:
        row = world.chance_of(rows)
        told = {"display_name": row["display_name"], "email": row["email"]}
        make_by_hand(world, "customers", row["email"], told)


async def _merged_by_hand(world: World) -> None:
    """A person merges two customers in Zoho: all that one had is the other's, and it is gone."""
    rows = [row for row in world.sandbox.ledger.records("customers") if row["status"] == "active"]
    if len(rows) > 1:
        kept, lost = world.chance_of(rows), world.chance_of(rows)
        if kept["customer_id"] == lost["customer_id"]:
            return
        winner, loser = kept["customer_id"], lost["customer_id"]
        billing, catalog = world.sandbox.billing, world.sandbox.catalog
        shelves = {
            "invoices": billing.invoices,
            "payments": billing.payments,
            "subscriptions": catalog.subscriptions,
        }
        for kind, shelf in shelves.items():
            for row in [r for r in shelf.rows.values() if r["customer_id"] == loser]:
                shelf.change(row, {"customer_id": winner})
                world.touched.setdefault((kind, row[shelf.id_field]), "merged by hand")
        customers = world.sandbox.books.customers
        customers.drop(customers.rows[loser])
        world.touched.setdefault(("customers", winner), "merged by hand")
        world.touched.setdefault(("customers", loser), "merged by hand")


async def _paused(world: World) -> None:
    """An operator pauses some kinds, and opens them later."""
    kinds = [kind for kind in MAPPED if world.chance.random() < 0.4]
    await pause(world, kinds)
    await world.clock.sleep(120 + 1_800 * world.chance.random())
    await open_kinds(world, kinds)


async def _retried(world: World) -> None:
    """An operator has what failed tried again."""
    database = await world.connected()
    try:
        kind = world.chance_of(list(MAPPED))
        await History(database, world.sandbox.organization_id).retry(kind, None)
    finally:
        await database.close()
    world.wake()


async def _limits_changed(world: World) -> None:
    """An operator lowers the limits while all is running, and raises them again."""
    lower = replace(world.usual_limits, per_minute=20, in_flight=2)
    await _limit(world, lower)
    since = world.clock.monotonic()
    await world.clock.sleep(1_200)
    world.lowered.append((since, world.clock.monotonic(), lower))
    await _limit(world, world.usual_limits)


async def _limit(world: World, limits: Limits) -> None:
    """These limits hold from the next call on; a process that starts later brings them, too."""
    world.limits = limits
    database = await world.connected()
    try:
        await change_limits(database, world.sandbox.organization_id, limits)
    finally:
        await database.close()


async def _mapping_changed(world: World) -> None:
    """The mapping of customers says something more, and that changes them all.

    Many are a matter for the brake: nothing of it is in Zoho until an operator has looked. Now and
    then he takes his edit back instead.
    """
    world.names["mapping"] += 1
    word = f"M{world.names['mapping']}"
    before = world.mapping["customers"]
    world.mapping["customers"] = world.base_mapping["customers"].replace(
        "from public.people", f", '{word}' as department from public.people", 1
    )
    _edited(world, "customers")
    world.restart_all()
    await world.clock.sleep(120 + 1_500 * world.apart.random())
    (held,) = world.overseer.rows(
        "select brakes -> 'customers' ->> 'cause' as cause from zohosync.organizations"
    )
    carried = [
        row for row in world.sandbox.ledger.records("customers") if row.get("department") == word
    ]
    if held["cause"] == "mapping" and carried:
        what = f"{len(carried)} customers carry {word}, which nobody has let through"
        world.bugs.append(Violation("brake", what))
    if held["cause"] == "mapping" and world.apart.random() < 0.4:
        world.mapping["customers"] = before
        _edited(world, "customers")
        world.restart_all()
        await world.clock.sleep(1_200)
    await look_at_brakes(world)
    await sweep(world)


def _edited(world: World, kind: str) -> None:
    """Two processes with two mappings stand beside each other for a while."""
    now_s = world.clock.monotonic()
    world.diary.edits += [(now_s, kind), (now_s + 150.0, kind)]


async def _mapping_empty(world: World) -> None:
    """A mapping returns nothing for a while."""
    kind = world.chance_of(list(MAPPED))
    whole = world.mapping[kind]
    world.company.seen_away()
    since_s = world.clock.monotonic()
    world.mapping[kind] = f"select * from ({whole}) as m where false"  # noqa: S608
    world.diary.hidden.append((kind, since_s, float("inf")))
    world.restart_all()
    await world.clock.sleep(120)
    await sweep(world)
    await world.clock.sleep(900)
    world.mapping[kind] = whole
    world.restart_all()
    await world.clock.sleep(120)
    world.diary.hidden[-1] = (kind, since_s, world.clock.monotonic())
    await look_at_brakes(world)
    await sweep(world)


async def _row_security(world: World) -> None:
    """Somebody switches row-level security on for a table, and grants us nothing."""
    table = world.chance_of(["people", "bills", "services", "receipts"])
    world.overseer.run(f"alter table public.{table} enable row level security")
    await world.clock.sleep(300 + 1_200 * world.chance.random())
    world.overseer.run(f"alter table public.{table} disable row level security")
    await resume(world)


HAPPENINGS: Mapping[str, Happening] = {
    "outage": _outage,
    "tokens_expired": _tokens_expired,
    "token_revoked": _token_revoked,
    "foreign_use": _foreign_use,
    "postgres_restart": _postgres_restart,
    "pool_exhausted": _pool_exhausted,
    "disk_full_spell": _disk_full,
    "worker_killed": _worker_killed,
    "worker_frozen": _worker_frozen,
    "worker_stopped": _worker_stopped,
    "clock_jump": _clock_jump,
    "upgrade": _upgrade,
    "edited_by_hand": _edited_by_hand,
    "created_by_hand": _created_by_hand,
    "merged_by_hand": _merged_by_hand,
    "paused_and_resumed": _paused,
    "retried": _retried,
    "settled": settle,
    "limits_changed": _limits_changed,
    "mapping_changed": _mapping_changed,
    "mapping_empty": _mapping_empty,
    "row_security": _row_security,
    "compared": compared,
    "imported": imported,
    "mass_ending": mass_ending,
    "forgotten": forgotten,
}


async def set_right(world: World) -> None:
    """The trouble is over; what it left behind is put right by those whose work that is."""
    world.troubles.active = False
    world.sandbox.set_faults(Faults())
    world.note("the trouble is over")
    for act in world.company.mend(world.clock.now()):
        world.act(act)
    await world.clock.sleep(2_000)  # what is under way ends: freezes, outages, blocks
    await settle(world)
    await resume(world)
