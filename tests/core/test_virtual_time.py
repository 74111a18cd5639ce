"""Virtual time: what falls on one instant comes in the order in which it was asked for."""

import asyncio

from zohosync.testing.virtual import VirtualClock, run


def test_of_timers_of_one_instant_the_older_goes_first_whatever_else_waits() -> None:
    async def main() -> list[int]:
        loop, went = asyncio.get_running_loop(), list[int]()
        others = [loop.call_at(1.0 + n % 7, lambda: None) for n in range(40)]
        for number in range(50):
            loop.call_at(5.0, went.append, number)
            if number % 3 == 0:
                others[number % 40].cancel()
        await VirtualClock().sleep(9.0)
        return went

    assert run(main) == list(range(50))
