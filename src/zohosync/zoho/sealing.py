"""What seals the access token in the database: the key, and the change from one to another."""

import base64
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from zohosync.zoho.tokens import Credentials, Secret

KEY_BYTES = 32


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
