"""The machine's clock counts the time that the machine slept."""

import sys
import time

import pytest

from zohosync.clock import SystemClock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long it slept")
def test_seconds_that_the_machine_slept_are_seconds_so_a_late_leave_to_send_is_over() -> None:
    counted = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 <= SystemClock().monotonic() - counted < 5
