"""What commands are told of the way out, in a sandbox that has one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PORT: Final = 3128
"""On which the supervisor listens, on the loopback interface of the sandbox."""

_PROXY: Final = f"http://127.0.0.1:{PORT}"
_VARIABLES: Final = {
    "HTTP_PROXY": _PROXY,
    "HTTPS_PROXY": _PROXY,
    "ALL_PROXY": _PROXY,
    "NO_PROXY": "localhost,127.0.0.1,::1",
}

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    _VARIABLES | {name.lower(): value for name, value in _VARIABLES.items()}
)
"""Of every command; programs read one spelling or the other."""
