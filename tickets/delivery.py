"""What a delivered branch and its commits are called, and what they say of where they come from."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from assay.records.entries import Entry
from assay.records.plans import Unit
from assay.records.tickets import Ticket

_LONGEST_SLUG: Final = 40
_LONGEST_SUBJECT: Final = 72


def branch_name(ticket: Ticket, run: str) -> str:
    """Return the name of the branch that a run delivers: readable, and never that of another run."""
    ascii_title = unicodedata.normalize("NFKD", ticket.title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_title).strip("-")
    if len(slug) > _LONGEST_SLUG:
        slug = slug[: _LONGEST_SLUG + 1].rpartition("-")[0] or slug[:_LONGEST_SLUG]
    return f"assay/{slug or 'ticket'}-{run.rpartition('-')[2]}"


def commit_message(ticket: Ticket, *, run: str, unit: Unit, entry: Entry) -> str:
    """Return the message of a unit's commit, with trailers that lead back to the ledger.

    Args:
        ticket: what was asked.
        run: id of the run.
        unit: what the commit does.
        entry: the entry of the ledger that says so: the verdict.
    """
    subject = _one_line(unit.title) or unit.id
    if len(subject) > _LONGEST_SUBJECT:
        subject = subject[: _LONGEST_SUBJECT - 1].rstrip() + "…"
    requirements = "\n".join(f"- {requirement.id}: {_one_line(requirement.text)}" for requirement in unit.acceptance)
    trailers = {
        "Assay-Run": run,
        "Assay-Ticket": _one_line(ticket.title),
        "Assay-Unit": unit.id,
        "Assay-Ledger": entry.digest,
    }
    # Only the last paragraph holds trailers, and every text in it and above it is one line: no text
    # of an agent can pass for one.
    return "\n\n".join([subject, requirements, "\n".join(f"{name}: {value}" for name, value in trailers.items())])


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
