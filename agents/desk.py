"""What every built-in agent works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.agents.objects import GitObjects
from assay.policies.settings import Settings
from assay.sandboxes.protocol import SandboxProvider
from assay.store.protocol import Blobs, Clock, Ledger
from assay.store.redaction import Redact


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """The stores, the sandboxes and the settings of a run."""

    settings: Settings
    git: GitObjects
    ledger: Ledger
    blobs: Blobs
    sandboxes: SandboxProvider
    transcripts: Callable[[str, str], Path]
    """From run and name to the path of a transcript."""
    clock: Clock
    redact: Redact | None = None
    """Takes secrets out of whatever is written down."""
