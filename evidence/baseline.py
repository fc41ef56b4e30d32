"""The baseline: the base's own suite on the base, k times, kept between runs (S7).

Only evidence of whole runs is kept. Its key names everything that it depends on: tree, image, profile, runner.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from assay.evidence.expectations import Reading
from assay.records.base import canonical_json
from assay.records.evidence import Evidence
from assay.store.files import write_whole

_KEY: Final = "key"


class BaselineCache:
    """Evidence of baselines in a folder, one file each.

    Args:
        folder: private to the user; made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def secret(self) -> str:
        """Return what is kept beside the baselines and nobody else knows, 32 random bytes in hexadecimal."""
        path = self._folder / _KEY
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            fresh = Path(f"{path}.{os.getpid()}.{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(32))
            with suppress(FileExistsError):  # another process was first: then it is that one's
                os.link(fresh, path)
            fresh.unlink()
        return path.read_text()

    async def find(self, name: str) -> Evidence | None:
        """Return the evidence with this id; None where none is kept or what is kept cannot be read."""
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> Evidence | None:
        try:
            evidence = Evidence.model_validate_json((self._folder / f"{name}.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return evidence if evidence.id == name else None

    async def keep(self, evidence: Evidence) -> None:
        """Keep the evidence of a run that was whole; anything else may be an accident and is made again."""
        if Reading(evidence).whole:
            await asyncio.to_thread(self._keep, evidence)

    def _keep(self, evidence: Evidence) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._folder / f"{evidence.id}.json", canonical_json(evidence), mode=0o600)
