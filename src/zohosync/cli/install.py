"""The verb migrate (schema, triggers, which installation this is), and a new key for the token."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import HERE, OK, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.clock import Chance
    from zohosync.settings import Settings
    from zohosync.store.database import Database


def migrate(  # noqa: PLR0917 - options are not positional on a command line
    project: ProjectDir = HERE,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="This database replaces the one it was moved from."),
    ] = False,
    copied: Annotated[
        bool,
        typer.Option("--copied", help="This database is a copy, and the original goes on."),
    ] = False,
    print_role: Annotated[
        bool,
        typer.Option("--print-role", help="Only print SQL: a role with a worker's least rights."),
    ] = False,
    role: Annotated[str, typer.Option(help="What --print-role calls it.")] = "zohosync_worker",
    json: AsJson = False,
) -> int:
    """Bring our schema and the triggers on the watched tables up to date.

    A worker refuses a database that was moved or copied until --moved (same installation, links
    kept) or --copied (a new one: no links, everything paused) says which it is. --print-role
    changes nothing: its SQL is for the owner of the tables, `zohosync run` is then for that role.
    """
    from zohosync.errors import SettingsError

    if print_role and (moved or copied):
        raise SettingsError(
            "--print-role changes nothing, --moved and --copied do",
            next_step="run one after the other",
        )
    if moved and copied:
        raise SettingsError(
            "--moved and --copied say the opposite of each other",
            next_step="--moved where the original is gone, --copied where it goes on",
        )
    if print_role and not (role.isprintable() and role):  # a line break would end a comment
        raise SettingsError(f"--role is {role!r}, which is no name", next_step="say a plain one")
    if print_role:
        return asyncio.run(_print_role(Screen(json), settings_of(project), role))
    told = "moved" if moved else "copied" if copied else None
    return asyncio.run(_migrate(Screen(json), settings_of(project), told))


async def _migrate(screen: Screen, settings: "Settings", told: str | None) -> int:
    from zohosync.bootstrap import open_database, register
    from zohosync.clock import Chance, SystemClock
    from zohosync.store.capture import install_watches
    from zohosync.store.health import offer_sync_health
    from zohosync.store.migrate import migrate as apply
    from zohosync.wiring import watches_of

    async with open_database(settings, check_schema=False) as database:
        screen.line(f"database {database.place}")
        applied = await apply(database)
        screen.line(f"schema: {', '.join(applied) or 'up to date'}")
        offered = await offer_sync_health(database)
        if offered != "there":
            style = None if offered == "made" else "yellow"
            screen.line(f"public.get_zoho_sync_health(): {offered}", style=style)
        done = await install_watches(database, watches_of(settings), clock=SystemClock())
        for each in done:
            screen.line(each)
        if not done:
            screen.line(f"watches: {len(watches_of(settings))} in place, nothing to do")
        found = await _said(screen, database, told)
        org_id = settings.organization.id
        if org_id is not None and told != "copied":
            _, organization = await register(settings, database, Chance())
            screen.line(f"organisation {org_id} ({settings.mode}) is known here")
            if not organization.active:
                screen.line(
                    "another organisation is the active one until Zoho has confirmed this one: "
                    "the next zohosync run asks",
                    style="yellow",
                )
    if told == "copied":
        screen.next_step("name an organisation of its own in zohosync.toml, then zohosync migrate")
    elif org_id is None:
        screen.next_step("zohosync login (or zohosync sandbox, to try), then zohosync migrate")
    else:
        screen.next_step("zohosync backfill --dry-run")
    screen.result({"applied": applied, "watches": done, "organization": org_id, **found})
    return OK


async def _print_role(screen: Screen, settings: "Settings", role: str) -> int:
    """The script alone on standard output, fit to be piped into psql."""
    from zohosync.bootstrap import open_database
    from zohosync.store.rights import worker_role
    from zohosync.wiring import texts_of, write_back_of

    async with open_database(settings) as database:
        script = await worker_role(database, role, texts_of(settings), write_back_of(settings))
    screen.line(script.rstrip())
    screen.result({"role": role, "sql": script})
    return OK


async def _said(screen: Screen, database: "Database", told: str | None) -> dict[str, Any]:
    """Take note that the database was moved or copied. Raises SchemaError where it was not."""
    from zohosync.clock import Chance
    from zohosync.store.organizations import copy_installation, installation_name, move_installation

    if told == "moved":
        row = await move_installation(database)
        screen.line(
            f"installation {row['installation']} goes on here (it was {row['database_name']!r}, "
            f"now {row['here_name']!r}): see that no worker runs on the old one"
        )
        return {"moved": {"from": row["database_name"], "to": row["here_name"]}}
    if told == "copied":
        name = installation_name(Chance())
        row = await copy_installation(database, name)
        screen.line(
            f"this is a copy of installation {row['installation']}, and installation {name} from "
            f"now on: {row['links']:,} links and {row['intents']:,} open intents of the original "
            "are forgotten here, its organisations rest"
        )
        return {"copied": {"from": row["installation"], "as": name, "links": row["links"]}}
    return {}


KEY = "zoho.secret_key"


def rotate_key(screen: Screen, settings: "Settings", chance: "Chance | None" = None) -> int:
    """Make a new key, seal the token with it, write it into the protected file; the exit code.

    Spends no call. Until they are started again, workers go on with the key that they started
    with: each key has a token of its own in the cache, so neither reads the other's. Raises
    SettingsError where the key does not come from the file, DatabaseError before anything is
    changed.
    """
    from zohosync.clock import Chance

    return asyncio.run(_rotate(screen, settings, chance or Chance()))


async def _rotate(screen: Screen, settings: "Settings", chance: "Chance") -> int:
    from zohosync.bootstrap import open_database
    from zohosync.protected import write_protected
    from zohosync.store.tokens import TokenCache
    from zohosync.wiring import credentials_of, secret_of
    from zohosync.zoho.sealing import KEY_BYTES, cipher_of, key_text, resealed
    from zohosync.zoho.tokens import Secret

    _see_that_the_file_decides(settings)
    credentials = credentials_of(settings)
    old = secret_of(settings.zoho.secret_key) if settings.zoho.secret_key else None
    new = Secret(key_text(chance.secret(KEY_BYTES)))
    async with open_database(settings) as database:
        cache, kept = TokenCache(database), False
        row = await cache.read(credentials.token_key(old))
        if row is not None and row["access_token"] and row["good_for_s"] > 0:
            ciphers = cipher_of(credentials, old), cipher_of(credentials, new)
            token = resealed(row["access_token"], *ciphers)
            if token is not None:
                kept = True
                await cache.save(
                    credentials.token_key(new), "", access_token=token,
                    api_domain=row["api_domain"], good_for_s=row["good_for_s"],
                )  # fmt: skip
        file = write_protected(settings.project, {KEY: new.reveal()})
        await cache.rotate(credentials.token_key(old))
    screen.line(f"wrote a new key into {file} (only you can read it)")
    screen.line(
        "the access token is sealed with it: no new one has to be asked for"
        if kept
        else "there was no access token to keep: the next call asks for one"
    )
    screen.next_step(
        "copy that file to every machine that has a worker, and start the workers again; until "
        "then each goes on with the key that it has"
    )
    screen.result({"rotated": True, "file": str(file), "token_kept": kept})
    return OK


def _see_that_the_file_decides(settings: "Settings") -> None:
    """Raise SettingsError where a key in the file would be overridden by another one."""
    from zohosync.errors import SettingsError
    from zohosync.settings import SECRETS_FILE

    source = next(origin.source for origin in settings.origins if origin.name == KEY)
    if source in ("default", SECRETS_FILE):
        return
    raise SettingsError(
        f"The key comes from the {source}, which beats the protected file: nothing was changed",
        next_step="set it to a new value there for every worker (`openssl rand -base64 32` makes "
        "one), and start the workers again; a token sealed with the old key is then not read any "
        "more, and one new one is asked for",
    )
