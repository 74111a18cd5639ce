"""Fetches the address of a dead-man's switch: no call to Zoho, and in no journal."""

import logging
from contextvars import ContextVar

import httpx2

from zohosync.clock import Clock
from zohosync.core.options import Secret

BEACON_S = 10.0
"""How long the fetch may take."""

_FETCHING = ContextVar("fetching", default=False)
logging.getLogger("httpx2").addFilter(lambda _: not _FETCHING.get())  # its lines hold the address


async def fetch(url: Secret, clock: Clock) -> str | None:
    """Fetch it once; returns why that failed, in words that do not show the address."""
    before = _FETCHING.set(True)
    try:
        async with (
            clock.timeout(BEACON_S),
            httpx2.AsyncClient(timeout=BEACON_S, follow_redirects=True) as client,
        ):
            reply = await client.get(url.reveal())
    except (TimeoutError, httpx2.TimeoutException):
        return f"it did not answer within {BEACON_S:.0f} s"
    except httpx2.InvalidURL:
        return "alerts.heartbeat_url is no address"
    except httpx2.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    finally:
        _FETCHING.reset(before)
    return None if reply.status_code < 400 else f"it answered {reply.status_code}"
