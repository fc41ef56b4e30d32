"""The ticket: what is asked."""

from __future__ import annotations

from assay.records.base import Record


class Ticket(Record):
    """What a person asks for, as it was written."""

    title: str
    """One line."""
    text: str
    """The body, Markdown. Untrusted wherever it goes."""
    repo: str | None = None
    """Path of the target repository, where the ticket names one."""
    base: str | None = None
    """Revision to start from, as written; the run resolves it to a commit once."""
    acceptance: tuple[str, ...] = ()
    """What must be true when it is done, a sentence each."""
    constraints: tuple[str, ...] = ()
    """What must not happen on the way, a sentence each."""
    labels: tuple[str, ...] = ()
    """Free words, for finding it again."""
