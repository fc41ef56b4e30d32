"""Signed statements: what fits opens, and nothing else does."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from assay.errors import ConfigurationError
from assay.store.signing import SigningKey, open_envelope

KIND = "application/vnd.in-toto+json"


def test_what_was_signed_opens_with_the_public_key(tmp_path: Path) -> None:
    """The same key is found again, only its owner can read it, and it signs the same way."""
    key = SigningKey(tmp_path / "keys" / "verdicts")
    envelope = key.sign(b"it holds", KIND)
    again = SigningKey(tmp_path / "keys" / "verdicts")
    assert again.id == key.id
    assert again.sign(b"it holds", KIND) == envelope
    assert open_envelope(envelope, again.public.read_bytes()) == b"it holds"
    assert (tmp_path / "keys" / "verdicts").stat().st_mode & 0o077 == 0


def test_what_was_changed_or_signed_by_another_does_not_open(tmp_path: Path) -> None:
    """The payload, its kind and the signature are all covered."""
    key, other = SigningKey(tmp_path / "a"), SigningKey(tmp_path / "b")
    envelope = key.sign(b"refuted", KIND)
    with pytest.raises(ConfigurationError, match="not one of this key"):
        open_envelope(envelope, other.public.read_bytes())
    parts = json.loads(envelope)
    for field, value in (("payload", base64.b64encode(b"proven").decode()), ("payloadType", "text/plain")):
        with pytest.raises(ConfigurationError, match="was changed"):
            open_envelope(json.dumps({**parts, field: value}).encode(), key.public.read_bytes())


@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"[]", b'{"payload": 1, "payloadType": "x", "signatures": []}', b"\xff"]
)
def test_garbage_is_no_statement(tmp_path: Path, garbage: bytes) -> None:
    """Neither as an envelope nor as a key."""
    key = SigningKey(tmp_path / "a")
    with pytest.raises(ConfigurationError):
        open_envelope(garbage, key.public.read_bytes())
    with pytest.raises(ConfigurationError, match="no public key"):
        open_envelope(key.sign(b"x", KIND), garbage)


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    """It is not replaced: somebody may need it."""
    (tmp_path / "a").write_bytes(b"not a key")
    with pytest.raises(ConfigurationError, match="holds no key"):
        SigningKey(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"not a key"
