"""The way out of a sandbox whose profile grants one, and who is told of what goes through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from assay.records.egress import EgressEvent
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.channel import Channel
from assay.sandboxes.egress.addresses import HostResolver, Resolve
from assay.sandboxes.egress.proxy import EgressProxy
from assay.sandboxes.egress.tunnel import Tunnel

Recorder = Callable[[SandboxOwner, str, EgressEvent], Awaitable[None]]
"""Is told whose sandbox asked, the sandbox's id, and what happened. What it raises keeps the request from happening."""


class WayOut:
    """The way out of one sandbox: its connections, and the resolver that serves nobody else."""

    def __init__(self, tunnel: Tunnel, resolver: HostResolver) -> None:
        self._tunnel = tunnel
        self._resolver = resolver

    async def close(self) -> None:
        """End both, once the sandbox is gone."""
        try:
            await self._tunnel.close()
        finally:
            self._resolver.close()


class WaysOut:
    """Opens ways out of sandboxes.

    Args:
        record: told of every request; there is no way out that nobody is told of.
        resolve: from name to addresses, on this host; by its own resolver where nothing else is given.
    """

    def __init__(self, record: Recorder, *, resolve: Resolve | None = None) -> None:
        self._record = record
        self._resolve = resolve

    async def open(self, channel: Channel, profile: SandboxProfile, owner: SandboxOwner, sandbox: str) -> WayOut:
        """Return the way out that a profile grants, open; raises SandboxLost and SandboxRefused."""

        async def record(event: EgressEvent) -> None:
            await self._record(owner, sandbox, event)

        resolver = HostResolver()
        proxy = EgressProxy(profile.egress, record, resolve=self._resolve or resolver)
        tunnel = Tunnel(channel, proxy.serve, connections=profile.egress.connections)
        way_out = WayOut(tunnel, resolver)
        try:
            await tunnel.start()
        except BaseException:
            await way_out.close()
            raise
        return way_out
