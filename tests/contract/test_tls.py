"""A server that cannot prove who it is gets no secret: certificates are verified, always."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from remote_kit import MemoryCache, RecordingGate, credentials
from zohosync.clock import SystemClock
from zohosync.core.replies import Unreachable
from zohosync.zoho.client import OneToken, Remote
from zohosync.zoho.tokens import LoginError, NoTokenError, Secret, Tokens, exchange_code

SRC = Path(__file__).resolve().parents[2] / "src" / "zohosync"


def impostor(folder: Path) -> ssl.SSLContext:
    """The TLS of a server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=3_650))
        .not_valid_after(today + timedelta(days=3_650))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its address, and what it got to read."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10_000))
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_nothing_is_sent_to_a_server_with_a_certificate_of_its_own_making(
    tmp_path: Path,
) -> None:
    clock = SystemClock()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's own handshake
    async with serving(impostor(tmp_path)) as (url, heard):
        remote = Remote(
            gate=RecordingGate(clock), tokens=OneToken(Secret("1000.token"), url), clock=clock,
            organization_id="1", api_url=url,
        )  # fmt: skip
        reply = await remote.probe()
        assert isinstance(reply, Unreachable)
        assert not reply.sent
        assert "certificate" in reply.message.lower()
        await remote.aclose()
        tokens = Tokens(
            credentials(), cache=MemoryCache(clock), gate=RecordingGate(clock), clock=clock,
            owner="w", accounts_url=url,
        )  # fmt: skip
        with pytest.raises(NoTokenError, match=r"(?i)certificate"):
            await tokens.token()
        await tokens.aclose()
        with pytest.raises(LoginError, match=r"(?i)certificate"):
            await exchange_code(
                Secret("1000.code"), data_center="us", client_id="1", clock=clock,
                client_secret=Secret("secret"), accounts_url=url,
            )  # fmt: skip
    assert not any(heard)


def test_verifying_is_switched_off_nowhere() -> None:
    off = re.compile(r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=|_create_unverified|ssl\.SSL")
    found = [
        f"{path.relative_to(SRC)}: {match}"
        for path in SRC.rglob("*.py")
        for match in off.findall(path.read_text(encoding="utf-8"))
    ]
    assert not found
