"""Carrying objects from one git directory to another: every one is hashed again, and all arrive or none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from assay.store.files import disk_errors, sync_directory
from assay.store.git_commands import GitCommands

LENIENT_RULES: Final = ",".join(
    f"{message}=ignore"
    for message in (
        "badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingAuthor", "missingEmail",
        "missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "missingTaggerEntry",
        "multipleAuthors", "zeroPaddedDate", "zeroPaddedFilemode", "nulInCommit",
        "gitmodulesBlob", "gitmodulesLarge", "gitmodulesMissing", "gitmodulesName", "gitmodulesParse",
        "gitmodulesPath", "gitmodulesSymlink", "gitmodulesUpdate", "gitmodulesUrl",
    )
)  # fmt: skip
"""What `index-pack --strict` lets through: dates and names that some tool of ten years ago wrote oddly, and
submodules, which are never followed. Trees must be sound."""


def carry(source: GitCommands, oids: Iterable[str], target: GitCommands, rules: str) -> str:
    """Write objects of one git directory into another as a pack, and return the pack's name.

    The pack is made beside its place and moved there when it is whole, so that a full disk or a
    malformed object leaves nothing behind. (What a kill leaves, `git prune` of the target knows by its name.)

    Args:
        source: where the objects are.
        oids: their ids.
        target: where they go; what they refer to is among them or there.
        rules: for `index-pack --strict`.

    Raises DiskFull, RepositoryError (no permission), InfrastructureError.
    """
    objects = (target.git_dir / "objects").resolve()
    with disk_errors(target.place), tempfile.TemporaryDirectory(prefix="tmp_objdir-assay-", dir=objects) as folder:
        arrived = source.pipe(
            # Deltas that are there are reused; looking for new ones takes longer than everything else.
            ("pack-objects", "--stdout", "--delta-base-offset", "--window=0", "--compression=1", "-q"),
            "".join(f"{oid}\n" for oid in oids).encode(),
            target,
            ("index-pack", "--stdin", f"--strict={rules}", f"{folder}/new.pack"),
        )
        name = arrived.out.decode().split()[-1]
        (objects / "pack").mkdir(exist_ok=True)
        for suffix in ("pack", "idx"):  # git takes a pack for there when its index is
            (Path(folder) / f"new.{suffix}").replace(objects / "pack" / f"pack-{name}.{suffix}")
        sync_directory(objects / "pack")
    return name
