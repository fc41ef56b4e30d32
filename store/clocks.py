"""Where dates come from."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The time of the machine, in UTC."""

    def now(self) -> datetime:
        """Return the time, with zone."""
        return datetime.now(UTC)
