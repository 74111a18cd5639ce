"""What operators and others do in a simulation, as the commands do it; they tell the truth."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from zohosync.bootstrap import House
from zohosync.clock import Clock
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.linkfile import NEW
from zohosync.core.plan import Policy
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.core.survey import Survey
from zohosync.engine.settling import Bench
from zohosync.errors import LeaseLostError, SettingsError
from zohosync.simulate import errands
from zohosync.simulate.acts import end_many, found_people
from zohosync.simulate.agreement import markers_of
from zohosync.simulate.oracles import Violation
from zohosync.simulate.picture import Person
from zohosync.simulate.process import Errand
from zohosync.simulate.promises import CUSTOMERS
from zohosync.simulate.world import World
from zohosync.store.database import Database
from zohosync.store.history import History
from zohosync.store.organizations import pause_kinds, read_organization
from zohosync.store.records import Records
from zohosync.store.settling import Settling
from zohosync.store.source import Source

MOST = 50
"""How many records an operator looks at in one sitting."""

TRIES = 4
"""How often a command is given that came to nothing."""


# -------------------------------------------------------------------------------- settle, as told


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
    word, zoho_id = _word(world, row)
    if word is None:
        return
    if zoho_id is not None:
        await _link(world, ref, zoho_id)
        return
    try:
        spoken = await bench.consider(ref, word)
        await bench.write(spoken, "simulated")
    except (SettingsError, LeaseLostError) as refused:  # as the command says it: not now
        world.note(f"operator: {ref} --{word}: {refused.what}")
        return
    world.note(f"operator: {ref} --{word}")
    if word is Word.NEW and spoken.standing.claim.zoho_id is not None:
        world.company.anew.add(ref.key)
    for other in spoken.verdict.excluded - spoken.standing.claim.excluded:
        world.touched[ref.kind, other] = "set aside by settle"


async def _link(world: World, ref: Ref, zoho_id: str) -> None:
    world.note(f"operator: {ref} --link {zoho_id}")
    world.diary.words[ref.kind, ref.key] = zoho_id
    await world.command(errands.settle(ref, Word.LINK, zoho_id))


def _word(world: World, row: Any) -> tuple[Word | None, str | None]:
    """What an honest operator would say: of a write in doubt, what Zoho's own books show."""
    if row["intent_operation"] is not None:
        return (Word.ABSENT if _never_landed(world, row) else None), None
    if row["rivals"] and not row["zoho_id"]:
        said = truth(world, row["kind"], row["key"], row["rivals"])
        return (Word.NEW, None) if said == NEW else (Word.LINK, said)
    match row["error_code"]:
        case "re-used":
            return (Word.NEW if world.chance.random() < 0.7 else Word.SAME), None
        case "renamed":
            return Word.NEW, None
        case _:
            return None, None


def truth(world: World, kind: str, key: str, candidates: Sequence[str]) -> str:
    """Which of these in Zoho that row is: one that we made for it, one of its own, or `new`."""
    marker, id_field = f"zs:{world.installation()}:{key}", KINDS[kind].id_field
    there = {str(row[id_field]): row for row in world.sandbox.ledger.records(kind)}
    named = [each for each in candidates if each in there]
    ours = [each for each in named if marker in markers_of(kind, there[each])]
    right = [each for each in named if world.diary.is_right(kind, each, key)]
    return (ours or right or [NEW])[0]


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


# --------------------------------------------------------------------------- pause, resume, sweep


async def pause(world: World, kinds: Sequence[str]) -> None:
    """An operator pauses these kinds."""
    database = await world.connected()
    try:
        await pause_kinds(
            database, world.sandbox.organization_id, kinds, pause=True, why="simulated"
        )
    finally:
        await database.close()


async def open_kinds(world: World, kinds: Sequence[str] = MAPPED) -> None:
    """An operator resumes these kinds; of those that the brake stopped he looks at the list.

    While what was there before is being compared, all stay shut, and only calls may leave again.
    """
    kinds = () if world.comparing else kinds
    org_id = world.sandbox.organization_id
    database = await world.connected()
    try:
        organization = await read_organization(database, org_id) or {}
        braked = [kind for kind in kinds if kind in organization.get("brakes", {})]
        rest = [kind for kind in kinds if kind not in braked]
        await pause_kinds(database, org_id, rest, pause=False, why="simulated")
        await History(database, org_id).wake(rest)
    finally:
        await database.close()
    for kind in braked:
        await _again(world, errands.let_through([kind], partial(_agreed, world)))
    world.wake()


def _agreed(world: World, found: Survey) -> bool:
    """He has seen the list, and lets it happen."""
    ids = frozenset(each.zoho_id for each in found.endings)
    world.note(f"operator: lets {len(ids)} {found.kind} be ended: {found.words}")
    world.diary.agreed.append((world.clock.monotonic(), found.kind, ids))
    return True


async def resume(world: World) -> None:
    """An operator opens everything again and has what failed tried once more."""
    await open_kinds(world)
    database = await world.connected()
    try:
        history = History(database, world.sandbox.organization_id)
        for kind in KINDS:
            await history.retry(kind, None)
    finally:
        await database.close()
    world.interrupted("resumed")
    world.wake()


async def sweep(world: World) -> None:
    """An operator runs `backfill`: the whole of each mapping is marked."""
    database = await world.connected()
    try:
        source = await Source.open(
            database, world.mapping, installation=world.installation(), marker_field=None,
            time_zone=world.zone,
        )  # fmt: skip
        for kind in MAPPED:
            await source.mark_all(kind, priority=1)
    finally:
        await database.close()
    world.wake()


async def look_at_brakes(world: World) -> None:
    """An operator sees which kinds the brake holds, and opens them when he has looked."""
    (row,) = world.overseer.rows("select array(select jsonb_object_keys(brakes)) as kinds "
                                 "from zohosync.organizations")  # fmt: skip
    if row["kinds"]:
        await open_kinds(world, row["kinds"])


# ------------------------------------------------------------------------- compare, on real books


async def _again(world: World, errand: Errand) -> bool:
    """A command is given until it comes to its end, a few times."""
    for tries in range(1, TRIES + 1):
        if await world.command(errand):
            return True
        await world.clock.sleep(60.0 * tries)
    return False


async def compared(world: World, kinds: Sequence[str] = MAPPED) -> bool:
    """An operator runs `compare --link` beside the workers; whether it came to its end."""
    began_s = world.clock.monotonic()

    def linked(kind: str, pairs: Any) -> None:
        world.note(f"operator: links {kind} {sorted(pairs.items())}")
        world.diary.link(kind, pairs, began_s)

    ended = await _again(world, errands.compare(*kinds, linked=linked, left=world.diary.unlink))
    if ended and CUSTOMERS in kinds and world.apart.random() < 0.7:
        await _by_file(world)
    return ended


async def _by_file(world: World) -> None:
    """He fills links.csv in; of some he does not know."""

    def choose(kind: str, key: str, candidates: Sequence[str]) -> str | None:
        if world.apart.random() < 0.2:
            return None
        said = truth(world, kind, key, candidates)
        world.note(f"operator: links.csv says that {kind} {key} is {said}")
        if said != NEW:
            world.diary.words[kind, key] = said
        return said

    await _again(world, errands.fill_in(CUSTOMERS, choose))


def make_by_hand(world: World, kind: str, name: str, told: dict[str, Any]) -> str:
    """Somebody makes a record in Zoho; `name` is what its own row is known by. Returns its id."""
    made = world.sandbox.by_hand("POST", f"/{kind}", told)[KINDS[kind].singular]
    zoho_id = str(made[KINDS[kind].id_field])
    world.touched[kind, zoho_id] = "made by hand"
    world.diary.twins[kind, zoho_id] = name
    return zoho_id


def _twins_of(world: World, person: Person, *, how: int) -> None:
    """Somebody is in Zoho already: as here, nearly so, twice, only by name, or not at all."""
    email = str(person.email)
    told = {"display_name": person.name, "email": email, "phone": person.phone or "12"}
    if how == 1:
        told |= {"email": email.upper()}
    if how == 2:
        told |= {"phone": "+27 82 555 0000", "display_name": f"{person.name} (old)"}
    if how == 4:
        told |= {"email": f"old.{email}"}
    if how < 5:
        make_by_hand(world, CUSTOMERS, email, told)
    if how == 3:
        make_by_hand(world, CUSTOMERS, email, told)


async def imported(world: World) -> None:
    """People who are in Zoho already are put into the company's tables, while customers wait."""
    await pause(world, [CUSTOMERS])
    before = set(world.company.picture.people)
    write = partial(found_people, count=world.apart.integer(4, 9))
    act = world.company.apart("imports people", write, world.clock.now(), world.apart)
    news = [each for key, each in world.company.picture.people.items() if key not in before]
    for person in news:
        _twins_of(world, person, how=world.apart.integer(0, 5))
    world.act(act)
    await world.clock.sleep(60 + 300 * world.apart.random())
    began_s = world.clock.monotonic()

    def linked(kind: str, pairs: Any) -> None:
        world.diary.link(kind, pairs, began_s)

    await _again(world, errands.compare(CUSTOMERS, linked=linked, left=world.diary.unlink))
    held = _held(world)
    await open_kinds(world, [CUSTOMERS])
    await world.clock.sleep(900)
    _still_held(world, held)
    await _by_file(world)
    await settle(world)


def _held(world: World) -> set[str]:
    """The customers for which nothing may be made before a person has spoken."""
    rows = world.overseer.rows(
        "select key from zohosync.records where kind = 'customers' and rivals <> '{}' "
        "and zoho_id is null and intent_id is null and lease_until is null"
    )
    return {row["key"] for row in rows} - set(_made(world))


def _made(world: World) -> dict[str, str]:
    """The customers in Zoho that carry a marker of ours, by key."""
    return {
        line.split(":", 2)[-1]: str(row["customer_id"])
        for row in world.sandbox.ledger.records(CUSTOMERS)
        for line in markers_of(CUSTOMERS, row)
    }


def _still_held(world: World, held: set[str]) -> None:
    """Complain of those that were made although nobody has said that they are to be."""
    rows = world.overseer.rows(
        "select split_part(target, ' ', 2) as key from zohosync.audit where act = 'settle' "
        "union select key from zohosync.records where kind = 'customers' and rivals = '{}'"
    )
    free = {row["key"] for row in rows}
    for key in sorted((held - free) & _made(world).keys()):
        world.bugs.append(Violation("links", f"customers {key} may be in Zoho, and was made"))


async def mass_ending(world: World) -> None:
    """Somebody ends many at once, by one UPDATE; an operator looks when the brake has held."""
    what = world.apart.integer(0, 2)
    act = world.company.apart(
        "ends many", partial(end_many, what=what), world.clock.now(), world.apart
    )
    if not act.statements:
        return
    world.act(act)
    await world.clock.sleep(300 + 1_500 * world.apart.random())
    if what == 0 and world.apart.random() < 0.5:
        people = [each for each in world.company.picture.people.values() if each.closed]
        undo = partial(_reopen, people=people)
        world.act(world.company.apart("undoes it", undo, world.clock.now(), world.apart))
        await world.clock.sleep(60)
    await look_at_brakes(world)


def _reopen(pen: Any, people: list[Person]) -> None:
    there = [each for each in people if not each.gone]
    if there:
        pen.change_all(there, "closed", False)


async def books_before(world: World) -> None:
    """The organisation holds most of it already when it is connected: it is compared first.

    Every kind is paused meanwhile; the workers are there already.
    """
    picture = world.company.picture
    taxes = {row["tax_name"]: each for each, row in world.sandbox.books.tax_rows.items()}
    ids = {}
    for product in picture.products.values():
        ids[product.id] = make_by_hand(world, "products", product.name, {"name": product.name})
    for plan in list(picture.plans.values())[:3]:
        told = {
            "plan_code": plan.code, "name": plan.name, "recurring_price": plan.price,
            "interval": 1, "interval_unit": "months", "product_id": ids[plan.product_id],
            "tax_id": taxes["VAT 15"],
        }  # fmt: skip
        make_by_hand(world, "plans", plan.code, told)
    for person in picture.people.values():
        _twins_of(world, person, how=world.apart.integer(0, 5))
    world.comparing = True
    await _again(world, _pause_all)


async def _pause_all(house: House, _: Clock) -> None:
    """The organisation is known by now, and all its kinds are paused."""
    project = house.project
    why = "compare comes first"
    await pause_kinds(project.database, project.org_id, MAPPED, pause=True, why=why)


async def go_live(world: World) -> None:
    """What was there before is compared and linked, and only then the kinds are opened."""
    await world.clock.sleep(60 + 600 * world.apart.random())
    while not world.over and not await compared(world):
        await world.clock.sleep(600)
    await settle(world)
    world.comparing = False
    await open_kinds(world)
