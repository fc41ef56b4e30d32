"""The nouns of the way out of a sandbox: what a profile grants, and what was asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.records.base import Record


class Egress(Record):
    """`[sandboxes.NAME.egress]`: what commands may reach, through a proxy and in no other way. Empty means nothing."""

    allow: tuple[str, ...] = ()
    """`HOST:PORT`, or `*.DOMAIN:PORT` for every name below a domain. A repository cannot grant itself any."""
    networks: tuple[str, ...] = ()
    """Ranges like `10.1.0.0/16` in which an allowed host may lie although they are not public."""
    connections: Annotated[int, Field(ge=1, le=512)] = 64
    """Connections of one sandbox at a time; more wait."""
    requests: Annotated[int, Field(ge=1)] = 10_000
    """Requests of one sandbox in all, refused ones too."""
    megabytes: Annotated[int, Field(ge=1)] = 2048
    """Sent and received by one sandbox together, MiB."""
    seconds: Annotated[float, Field(gt=0)] = 900.0
    """How long one connection may last."""
    idle_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long nothing may move on it."""

    @property
    def granted(self) -> bool:
        """Whether there is a way out at all."""
        return bool(self.allow)


class EgressEvent(Record):
    """One thing that happened to one request of a sandbox for the network."""

    number: int
    """Of the request in its sandbox, from 1; what happened to it has the same number."""
    stage: Literal["refused", "allowed", "failed", "ended"]
    """`allowed` is recorded before anything is connected; `failed` or `ended` follows it."""
    method: str = ""
    """`CONNECT` for a tunnel with TLS in it, else the method of HTTP; empty for what was no request."""
    host: str = ""
    port: int = 0
    path: str = ""
    """Of plain HTTP, without its query, which may hold secrets."""
    address: str = ""
    """The address that was checked: the first that will be tried, and then the one that was connected to."""
    status: int = 0
    """Of HTTP: the proxy's own for a refusal, the server's where it could be seen."""
    reason: str = ""
    """Why it was refused, failed or ended."""
    sent: int = 0
    """Bytes to the server."""
    received: int = 0
    """Bytes from the server."""
    seconds: float = 0.0
    """Since the request's connection was accepted."""
