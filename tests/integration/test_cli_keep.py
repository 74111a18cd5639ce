"""`zohosync upkeep` and `forget` at the command line: lists, acts, clear refusals."""

import pytest

from integration.test_cli_trouble import (
    REAL,
    Run,
    clear,
    execute,
    shop,  # noqa: F401 - a fixture
    zohosync,  # noqa: F401 - a fixture
)

KNOWN = """
insert into zohosync.records (org_id, kind, key, version, synced_version, status, zoho_id, payload,
  identity, gone)
values ('10234', 'customers', '1', 2, 2, 'synced', 'z1', '{"display_name": "Ada"}', null, false),
       ('10234', 'customers', '77', 2, 2, 'skipped', 'z77', '{"display_name": "Eve"}', null, true);
insert into zohosync.audit (org_id, act, target, before)
values ('10234', 'settle --new', 'customers 77', '{"payload": {"display_name": "Eve"}}')
"""


@pytest.fixture
def keeping(zohosync: Run, shop: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """A project with a record whose row is there, and one whose row is gone."""
    environment = {**shop, **REAL}
    assert zohosync("migrate", **environment).code == 0
    for text in KNOWN.split(";"):
        execute(shop["ZOHOSYNC_DATABASE_URL"], text)
    return environment


def test_upkeep_lists_its_jobs_runs_what_is_due_and_then_nothing(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    before = zohosync("upkeep", "--json", **keeping)
    assert before.code == 0, before
    assert before.last["leader"] is None
    jobs = {job["job"]: job for job in before.last["jobs"]}
    assert jobs["retention"]["state"] == "new"
    ran = zohosync("upkeep", "--once", "--json", **keeping)
    done = {job["job"] for job in ran.last["ran"]}
    assert {"retention", "forgetting"} <= done <= set(jobs)  # a daily one waits for its time
    assert all(job["done"] for job in ran.last["ran"])
    assert "Nothing is due." in zohosync("upkeep", "--once", **keeping).output
    assert len(zohosync("upkeep", "--all", "--json", **keeping).last["ran"]) == len(jobs)
    after = zohosync("upkeep", **keeping)
    assert "retention" in after.output
    assert "every 10 minutes" in after.output
    assert "Nobody leads" in after.output


def test_a_job_that_only_workers_do_is_listed_as_it_went(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    assert zohosync("upkeep", "--once", **keeping).code == 0
    execute(
        keeping["ZOHOSYNC_DATABASE_URL"],
        "insert into zohosync.jobs (org_id, job, state, runs, started_at, told) "
        "values ('10234', 'doubts', 'done', 3, now(), 'compared payments anew')",
    )
    jobs = zohosync("upkeep", "--json", **keeping).last["jobs"]
    (doubts,) = [job for job in jobs if job["job"] == "doubts"]
    assert (doubts["every_s"], doubts["runs"], doubts["next_at"]) == (None, 3, None)
    told = zohosync("upkeep", **keeping).output
    assert "by a worker" in told
    assert "compared payments anew" in told
    assert "zohosync upkeep --once" not in told, "nothing that it does is due"


def test_a_cron_hears_that_its_organisation_is_not_known_here(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    done = zohosync("upkeep", "--once", "--json", **{**keeping, "ZOHOSYNC_ORGANIZATION_ID": "99"})
    assert (done.code, done.last) == (1, {"organization": "99", "known": False}), done


def test_a_mistaken_organisation_is_not_made_known_by_forgetting(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    elsewhere = {**keeping, "ZOHOSYNC_ORGANIZATION_ID": "99"}
    clear(zohosync("forget", "customers", "77", "--yes", **elsewhere), 2, "99 is not known")
    assert "99 is not known" in zohosync("health", **elsewhere).output


def test_a_role_whose_name_would_end_a_comment_is_refused(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    done = zohosync("migrate", "--print-role", "--role", "a\ndrop table x; --", **keeping)
    clear(done, 2, "is no name")
    assert "drop" not in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("customer", "1"), ("'customer'", "did you mean customers?")),
        (("customers", "4711", "--yes"), ("Nothing here tells of customers 4711",)),
        (("customers", "1", "--yes"), ("is in your table", "take the row out first")),
        (("customers", "77"), ("Nobody is there to be asked", "--yes")),
    ],
)
def test_what_cannot_be_forgotten_is_one_clear_line_and_changes_nothing(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    clear(zohosync("forget", *arguments, **keeping), 2, *words)
    assert (
        zohosync("why", "customers", "77", "--json", **keeping).last["record"]["zoho_id"] == "z77"
    )


def test_upkeep_does_one_act_at_a_time(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    clear(zohosync("upkeep", "--once", "--rotate-key", **keeping), 2, "One act at a time")
    cleared = zohosync("upkeep", "--clear-cache", "--json", **keeping)
    assert (cleared.code, cleared.last["cleared"]) == (0, [])


def test_forget_says_what_went_and_what_stays_and_says_it_again(
    zohosync: Run,  # noqa: F811
    keeping: dict[str, str],
) -> None:
    done = zohosync("forget", "customers", "77", "--yes", "--why", "asked", **keeping)
    assert done.code == 0, done
    assert "Its subscriptions, invoices, payments are records of their own" in done.output
    assert "In Zoho it is still z77" in done.output
    again = zohosync("forget", "customers", "77", "--yes", "--json", **keeping)
    assert (again.code, again.last["forgotten"], again.last["pending"]) == (0, True, False)
