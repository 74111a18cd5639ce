"""`zohosync settle` at the command line: what waits is listed, a wrong word is one clear line."""

import json
from pathlib import Path

import pytest

from integration.test_cli_trouble import (
    REAL,
    Run,
    clear,
    execute,
    shop,  # noqa: F401 - a fixture
    zohosync,  # noqa: F401 - a fixture
)

REUSED = """
insert into zohosync.records (org_id, kind, key, version, synced_version, status, zoho_id, payload,
  identity, gone, error_class, error_code, error_message)
values ('10234', 'customers', '1', 3, 2, 'failed', 'z1', '{"display_name": "Ada"}',
  '{"display_name": "Ada", "email": "ada@example.com"}', true, 'validation', 're-used',
  'key re-used: the row under this key is somebody else now')
"""
DOUBTFUL = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, method, path,
  started_at, deadline, counts_until, sent, outcome, intent, intent_state)
select '10234', 'api', 10, 'customers', '2', 'w1', 'customers.create', 'POST', '/customers',
  n, n + interval '30 s', n, true, 'unreachable',
  '{"display_name": "Bob", "email": "bob@example.com", "phone": "+27 82 555 0000"}', 'open'
  from zohosync.current_time() n;
insert into zohosync.records (org_id, kind, key, status, intent_id)
select '10234', 'customers', '2', 'uncertain', max(call_id) from zohosync.api_calls
"""


@pytest.fixture
def settling(zohosync: Run, shop: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """A project with a key that was re-used and a create in doubt."""
    environment = {**shop, **REAL}
    assert zohosync("migrate", **environment).code == 0
    for text in (REUSED, *DOUBTFUL.split(";")):
        execute(shop["ZOHOSYNC_DATABASE_URL"], text)
    return environment


def test_what_waits_for_a_word_is_listed_with_its_evidence_and_its_commands(
    zohosync: Run,  # noqa: F811
    settling: dict[str, str],
) -> None:
    done = zohosync("settle", "--json", **settling)
    assert done.code == 0, done
    found = {doubt["key"]: doubt for doubt in done.last["doubts"]}
    assert found["1"]["matter"] == "key re-used"
    assert found["1"]["before"] == {"display_name": "Ada", "email": "a…@example.com"}
    assert found["1"]["here"] == {"display_name": "P 1", "email": "1…@example.com"}
    assert "zohosync settle customers 1 --same" in found["1"]["commands"]
    intent = found["2"]["intent"]
    assert (intent["request"], intent["operation"]) == ("POST /customers", "create")
    assert "0000" not in json.dumps(found["2"])
    assert intent["carried"]["and"] == "phone"
    plain = zohosync("settle", "customers", **settling)
    assert "it may land until" in plain.output
    assert "zohosync settle customers 2 --absent" in plain.output
    assert zohosync("settle", "customers", "--json", **settling).last["doubts"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("customers", "1"), ("A word is needed", "--same")),
        (("customers", "1", "--same", "--new"), ("only one", "--done")),
        (("--new",), ("of which record", "KIND and KEY")),
        (("customer", "1", "--new"), ("'customer'", "did you mean customers?")),
        (("customers", "77", "--new", "--yes"), ("no record of customers 77", "zohosync why")),
        (("customers", "1", "--absent", "--yes"), ("no write of it is in doubt",)),
        (("customers", "1", "--done", "--yes"), ("re-used", "--same or --new")),
        (("customers", "2", "--absent", "--yes"), ("may still land", "UTC")),
        (("customers", "2", "--new", "--yes"), ("in doubt", "--absent")),
        (("customers", "1", "--link", " "), ("--link needs the id",)),
        (("customers", "1", "--same"), ("Nobody is there to be asked", "--yes")),
    ],
)
def test_a_word_that_does_not_apply_is_one_clear_line_and_changes_nothing(
    zohosync: Run,  # noqa: F811
    settling: dict[str, str],
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    clear(zohosync("settle", *arguments, **settling), 2, *words)
    shown = zohosync("settle", "--json", **settling)
    assert len(shown.last["doubts"]) == 2


def test_a_word_is_written_down_and_the_record_waits_no_longer(
    zohosync: Run,  # noqa: F811
    settling: dict[str, str],
) -> None:
    done = zohosync("settle", "customers", "1", "--new", "--yes", "--json", **settling)
    assert done.code == 0, done
    assert done.last["settled"] is True
    assert done.last["excluded"] == ["z1"]
    assert [each["key"] for each in zohosync("settle", "--json", **settling).last["doubts"]] == [
        "2"
    ]


def test_a_folder_without_a_project_is_named(zohosync: Run, tmp_path: Path) -> None:  # noqa: F811
    assert not list(tmp_path.iterdir())
    clear(zohosync("settle"), 2, "There is no zohosync.toml here", "zohosync init")
