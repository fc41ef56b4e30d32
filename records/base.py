"""What every record is: frozen, closed, and with one canonical form whose digest names it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """A value that does not change, holds nothing that it does not declare, and equals its copy.

    Records are revalidated wherever they are put into another one, so that a value which a store
    rebuilt without validation is refused at the next door and not carried on.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        revalidate_instances="always",
        use_attribute_docstrings=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Return the record in a JSON text.

        Bytes of a path that are not UTF-8 are halves of surrogate pairs (PEP 383). pydantic's own parser
        refuses those where Python's does not.
        """
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            if error.errors(include_url=False)[0]["type"] != "json_invalid":
                raise
            try:
                plain = json.loads(json_data)
            except ValueError:
                raise error from None
            return cls.model_validate(plain, **options)


def canonical_json(value: Record | dict[str, Any] | list[Any]) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and no white space: equal values, equal bytes."""
    plain = value.model_dump(mode="json") if isinstance(value, Record) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest_of(value: Record | dict[str, Any] | list[Any]) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the canonical JSON of `value`."""
    return digest_of_bytes(canonical_json(value))


def digest_of_bytes(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
