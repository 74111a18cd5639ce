"""What an attempt leaves behind when what it found belongs to somebody else already."""

from datetime import UTC, datetime

from zohosync.core.records import LIVE, Claim, Ref, Status
from zohosync.core.settlement import linked_elsewhere, look_again_s
from zohosync.core.steps import Purpose

OTHER = Ref("invoices", "22")
CLAIM = Claim("1", Ref("invoices", "21"), 1, 1, LIVE, datetime(2026, 11, 22, tzinfo=UTC))


def test_what_two_looked_for_at_once_is_looked_for_again_by_the_one_that_came_late() -> None:
    end = linked_elsewhere(CLAIM, "z1", OTHER, Purpose.LINK)
    assert (end.status, end.due_in_s) == (Status.RETRYING, look_again_s(0))
    assert end.zoho_id is None


def test_a_write_that_landed_on_anothers_record_fails_and_names_it() -> None:
    end = linked_elsewhere(CLAIM, "z1", OTHER, "create")
    assert (end.status, end.due_in_s) == (Status.FAILED, None)
    assert end.problem is not None
    assert end.problem.message == (
        "z1 in Zoho is linked to invoices 22 already: invoices 21 cannot have it too"
    )
