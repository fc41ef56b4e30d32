"""What is told to the provider of sandboxes ahead: how many will soon be opened, of which kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.protocol import SandboxProvider

_Kind = tuple[str, str, float]
"""What makes sandboxes of one proof different: image, the machine's name, and the share of its processors."""


class Promises:
    """Counts what was promised and not opened yet, so that nothing stays prepared when a proof ends.

    Args:
        sandboxes: whom it is told.
    """

    def __init__(self, sandboxes: SandboxProvider) -> None:
        self._sandboxes = sandboxes
        self._profiles: dict[_Kind, SandboxProfile] = {}
        self._open: dict[_Kind, int] = {}
        self._waiting: dict[_Kind, int] = {}

    def promise(self, profile: SandboxProfile, count: int) -> None:
        """Say that at least so many of a profile will be opened from now on."""
        kind = _kind(profile)
        more = count - self._open.get(kind, 0)
        if more > 0:
            self._profiles[kind] = profile
            self._open[kind] = count
            self._sandboxes.prepare(profile, more)

    @contextmanager
    def waiting(self, profile: SandboxProfile) -> Iterator[None]:
        """Say that one more of a profile is waited for, beside all others that are."""
        kind = _kind(profile)
        self._waiting[kind] = self._waiting.get(kind, 0) + 1
        self.promise(profile, self._waiting[kind])
        try:
            yield
        finally:
            self._waiting[kind] -= 1

    def keep(self, profile: SandboxProfile) -> None:
        """Note that one is opened now."""
        kind = _kind(profile)
        self._open[kind] = max(0, self._open.get(kind, 0) - 1)

    def take_back(self) -> None:
        """Say that no more will be opened."""
        for kind, count in self._open.items():
            if count:
                self._sandboxes.prepare(self._profiles[kind], -count)
        self._open.clear()


def _kind(profile: SandboxProfile) -> _Kind:
    return profile.image, profile.hostname, profile.limits.cpus
