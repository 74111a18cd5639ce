"""A client for the sandbox's tests: signed in, with a clock that moves when the test says so."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import httpx2
import simplejson

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits

START = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


@dataclass
class TestClock:
    """Stands still until `advance`; with `hurried`, a sleep moves it on at once."""

    __test__ = False

    moment_s: float = 0.0
    hurried: bool = True
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.moment_s)

    def monotonic(self) -> float:
        return self.moment_s

    async def sleep(self, seconds: float) -> None:
        if self.hurried:
            self.moment_s += max(0.0, seconds)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.moment_s + seconds, next(self._numbers), woken))
        await woken

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(None)

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in order, each with time to act."""
        until = self.moment_s + seconds
        await settled()
        while self._sleepers and self._sleepers[0][0] <= until:
            self.moment_s, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settled()
        self.moment_s = until


async def settled() -> None:
    """Let every task that can run do so."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@dataclass
class Talk:
    """A sandbox, its clock, and a client that is signed in."""

    sandbox: Sandbox
    clock: TestClock
    client: httpx2.AsyncClient

    async def sign_in(self) -> str:
        """Fetch an access token and use it from here on."""
        reply = await self.refresh()
        token = str(reply.json()["access_token"])
        self.client.headers["authorization"] = f"Zoho-oauthtoken {token}"
        return token

    async def refresh(self, **changes: str) -> httpx2.Response:
        """Ask the accounts server for a token."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "refresh_token": self.sandbox.refresh_token,
        }
        return await self.client.post("/oauth/v2/token", data=form | changes)

    async def send(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        **query: str,
    ) -> tuple[int, Any]:
        """("POST /customers", {…}): the status and the body, money as Decimal."""
        method, path = operation.split(" ")
        content = None if body is None else simplejson.dumps(body, use_decimal=True)
        reply = await self.client.request(
            method, f"/billing/v1{path}", content=content, params=query or None
        )
        return reply.status_code, simplejson.loads(reply.text, use_decimal=True)

    async def done(
        self, operation: str, body: Mapping[str, Any] | None = None, **query: str
    ) -> Any:
        """The body of a request that must succeed."""
        status, told = await self.send(operation, body, **query)
        assert status < 300, told
        assert told["code"] == 0, told
        return told

    async def refused(
        self, operation: str, body: Mapping[str, Any] | None = None, **query: str
    ) -> tuple[int, int]:
        """Status and code of a request that must be refused."""
        status, told = await self.send(operation, body, **query)
        assert told["code"] != 0, told
        assert told["message"]
        return status, int(told["code"])

    async def customer(self, name: str = "Ann", **more: Any) -> str:
        """A new customer's id."""
        body: dict[str, Any] = {
            "display_name": name,
            "email": f"{name.lower()}@example.com",
            **more,
        }
        return str((await self.done("POST /customers", body))["customer"]["customer_id"])

    async def tax(self, name: str = "VAT 15") -> str:
        """The id of a tax."""
        taxes = (await self.done("GET /settings/taxes"))["taxes"]
        return str(next(tax["tax_id"] for tax in taxes if tax["tax_name"] == name))

    async def item(self, name: str = "Work", rate: str = "100", **more: Any) -> str:
        """A new item's id."""
        body: dict[str, Any] = {"name": name, "rate": Decimal(rate), **more}
        return str((await self.done("POST /items", body))["item"]["item_id"])

    async def plan(self, code: str = "fibre", price: str = "499", **more: Any) -> str:
        """A new plan's code, under a product of its own."""
        product = (await self.done("POST /products", {"name": f"Internet {code}"}))["product"]
        body: dict[str, Any] = {
            "plan_code": code,
            "name": code.title(),
            "recurring_price": Decimal(price),
        }
        body |= {"interval": 1, "product_id": product["product_id"], **more}
        return str((await self.done("POST /plans", body))["plan"]["plan_code"])

    async def invoice(self, customer: str, number: str, price: str = "100", **more: Any) -> Any:
        """A new draft of one line under our number."""
        item = more.pop("item", None) or await self.item(f"Item of {number}")
        line = {"product_id": item, "quantity": 1, "price": price}
        body: dict[str, Any] = {
            "customer_id": customer,
            "date": "2026-03-01",
            "invoice_number": number,
        }
        body |= {"invoice_items": [line], **more}
        told = await self.done("POST /invoices", body, ignore_auto_number_generation="true")
        return told["invoice"]

    async def open_invoice(self, customer: str, number: str, price: str = "100") -> str:
        """The id of a new open invoice."""
        invoice_id = (await self.invoice(customer, number, price))["invoice_id"]
        await self.done(f"POST /invoices/{invoice_id}/converttoopen")
        return str(invoice_id)

    async def pay(self, customer: str, amount: str, *parts: tuple[str, str]) -> Any:
        """Status and body of a payment applied to those invoices."""
        body: dict[str, Any] = {"customer_id": customer, "payment_mode": "banktransfer"}
        body |= {"amount": Decimal(amount), "reference_number": "P1", "date": "2026-03-05"}
        body["invoices"] = [
            {"invoice_id": invoice_id, "amount_applied": Decimal(part)}
            for invoice_id, part in parts
        ]
        return await self.send("POST /payments", body)


@asynccontextmanager
async def talking(*, signed_in: bool = True, **settings: Any) -> AsyncIterator[Talk]:
    """A sandbox spoken to in process; limits are lifted unless set."""
    clock = settings.pop("clock", None) or TestClock()
    settings.setdefault("limits", SandboxLimits.lifted())
    sandbox = Sandbox(clock=clock, chance=Chance(7), keep_bodies=True, **settings)
    headers = {"X-com-zoho-subscriptions-organizationid": sandbox.organization_id}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(sandbox.app),
        base_url="http://zoho.test",
        headers=headers,
    ) as client:
        talk = Talk(sandbox, clock, client)
        if signed_in:
            await talk.sign_in()
        yield talk
