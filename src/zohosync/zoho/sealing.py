"""What keeps our secrets to ourselves: the token sealed in the database, replies that tell none."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from zohosync.zoho.tokens import Credentials, Secret

KEY_BYTES = 32

SECRET_MIN = 8
"""Characters of what can be a secret: anything shorter stands in many a word."""


def cipher_of(credentials: "Credentials", secret_key: "Secret | None") -> Fernet:
    """What encrypts the token in the cache: the given key, else one derived from the credentials.

    A key that is not 32 bytes of URL-safe base64 is taken as a passphrase.
    """
    material = f"{credentials.client_secret.reveal()}\0{credentials.refresh_token.reveal()}"
    if secret_key:
        try:
            return Fernet(secret_key.reveal().encode())
        except ValueError:
            material = secret_key.reveal()
    derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"zohosync token cache")
    return Fernet(base64.urlsafe_b64encode(derived.derive(material.encode())))


def key_text(drawn: bytes) -> str:
    """KEY_BYTES drawn by chance, as a key is written down."""
    return base64.urlsafe_b64encode(drawn).decode()


def resealed(sealed: str, old: Fernet, new: Fernet) -> str | None:
    """A token that `old` sealed, sealed by `new`; None where `old` cannot open it."""
    try:
        return new.encrypt(old.decrypt(sealed.encode())).decode()
    except (InvalidToken, UnicodeError):
        return None


def without(
    secrets: Iterable[str], body: bytes, headers: Mapping[str, str]
) -> tuple[bytes, dict[str, str]]:
    """A reply with none of these in it: some servers and proxies say back what they were told.

    What Zoho says is kept, logged and shown, and must never hold what we sent to be let in.
    """
    spelled = {
        spelling
        for text in secrets
        if len(text) >= SECRET_MIN
        for spelling in (text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1])
    }
    kept = dict(headers)
    for each in sorted(spelled, key=len, reverse=True):
        body = body.replace(each.encode(), b"***")
        kept = {name: value.replace(each, "***") for name, value in kept.items()}
    return body, kept
