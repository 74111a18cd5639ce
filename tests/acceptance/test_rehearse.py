"""`zohosync demo --project`: what a person and a program are told of a rehearsal."""

from pathlib import Path

import pytest

from acceptance.cli_kit import PEOPLE, Shell, project, sql

pytestmark = pytest.mark.acceptance


async def test_a_rehearsal_tells_what_would_fail_and_what_to_do_next(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url)
    good = await shell("demo", "--json")
    assert (good.code, good.last["ok"], good.last["failures"]) == (0, True, [])
    assert good.last["kinds"]["customers"] == {
        "rows": 5, "created": 5, "linked": 0, "failed": 0, "skipped": 0, "waiting": 0,
        "unsettled": 0,
    }  # fmt: skip
    assert (good.last["calls"], good.last["calls_per_record"], good.last["days"]) == (5, 1.0, 1)
    assert "no compare has run" in good.error
    await sql(empty_database_url, "update people set email = 'nobody' where id > 3")
    bad = await shell("demo")
    assert bad.code == 1
    assert "2 of customers would fail: " in bad.output
    assert "(4, 5)" in bad.output
    assert bad.output.splitlines()[-1].startswith("Next: mend those rows or the mapping")
    fast = await shell("demo", "--speed", "60")
    assert (fast.code, "--speed is for the sample book" in fast.error) == (2, True)


async def test_a_mapping_that_the_database_refuses_is_named_before_anything_is_rehearsed(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path, mapping="select p.id as key, p.nome as display_name from public.people p\n")
    refused = await Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url)("demo")
    assert refused.code == 1
    assert "mapping/customers.sql" in refused.error
    assert "zohosync check" in refused.error
