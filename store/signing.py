"""Signed statements: DSSE envelopes under a key of this installation, which no sandbox can reach.

Format: Dead Simple Signing Envelope 1.0 (secure-systems-lab/dsse), signed with ed25519.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from assay.errors import ConfigurationError
from assay.store.files import write_whole


class SigningKey:
    """An ed25519 key in a file that only its owner reads; its public half lies beside it, as `NAME.pub`.

    Args:
        path: of the private key, PEM (PKCS 8). Made where there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _make(path)
        try:
            self._signer = CryptoSigner(load_pem_private_key(path.read_bytes(), password=None))
        except ValueError as error:
            raise ConfigurationError(
                f"{path} holds no key that can sign: {error}", next_step="move it away, and another one is made"
            ) from error
        self.public = path.with_name(f"{path.name}.pub")
        """Path of the public key, as securesystemslib writes it in JSON."""
        key = self._signer.public_key
        shown = json.dumps({"keyid": key.keyid, **key.to_dict()}, sort_keys=True).encode()
        if not self.public.exists() or self.public.read_bytes() != shown:
            write_whole(self.public, shown, mode=0o600)

    @property
    def id(self) -> str:
        """Digest of the public key."""
        return str(self._signer.public_key.keyid)

    def sign(self, payload: bytes, kind: str) -> bytes:
        """Return an envelope around a payload of a media type."""
        envelope = Envelope(payload, kind, {})
        envelope.sign(self._signer)
        return json.dumps(envelope.to_dict(), sort_keys=True).encode()


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write_whole(fresh, CryptoSigner.generate_ed25519().private_bytes, mode=0o600)
    with suppress(FileExistsError):  # another process was first: then it is that one's key
        os.link(fresh, path)
    fresh.unlink()


def open_envelope(envelope: bytes, public: bytes) -> bytes:
    """Return the payload of an envelope; raises ConfigurationError where it is none, or another key signed it."""
    try:
        given: dict[str, Any] = json.loads(public)
        key = SSlibKey.from_dict(given.pop("keyid"), given)
        opened = Envelope.from_dict(json.loads(envelope))
        opened.verify([key], 1)
    except VerificationError as error:
        raise ConfigurationError(
            "the signature is not one of this key, or what is signed was changed",
            next_step="ask for the public key of the installation that signed it",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"this is no signed statement, or no public key: {error!r}") from error
    return bytes(opened.payload)
