"""Lists that are about to be read: one read serves all records that look for their own then."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from zohosync.core.replies import Found, Reply

Left = Callable[[], None]
"""To be called when the first call of a list leaves: who comes later needs a later list."""

Name = tuple[str, tuple[tuple[str, str], ...], int]


@dataclass(slots=True)
class Lists:
    """The lists of one process that wait for leave to be read, by kind, query and lane."""

    _open: dict[Name, asyncio.Future[Reply | None]] = field(default_factory=dict)

    async def read(
        self,
        kind: str,
        query: Mapping[str, str],
        lane: int,
        read: Callable[[Left], Awaitable[Reply]],
    ) -> Reply:
        """What `read` brings, for everybody who asked before its first call left.

        So a list is never older than the look-up that uses it. Those who did not read themselves
        are told of one read `spared`. Raises what `read` raises, to the reader alone: the next of
        the others reads then.
        """
        name = (kind, tuple(sorted(query.items())), lane)
        while (joined := self._open.get(name)) is not None:
            reply = await asyncio.shield(joined)
            if reply is not None:
                return replace(reply, spared=1) if isinstance(reply, Found) else reply
        shared: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._open[name] = shared

        def left() -> None:
            if self._open.get(name) is shared:
                del self._open[name]

        reply = None
        try:
            reply = await read(left)
            return reply
        finally:
            left()
            shared.set_result(reply)
