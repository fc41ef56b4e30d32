"""The witness of a refutation, to be taken elsewhere: a folder with everything that shows it with plain Docker.

It holds the tree, the image, and one command. Whoever has the folder needs neither assay nor its state, no registry and
no network.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay.app.archives import add_entry
from assay.app.manifests import entries_of
from assay.app.wiring import House
from assay.errors import DiskFull, ImageMissing, InfrastructureError, RunError, UsageError
from assay.evidence.witness import reading_archive
from assay.records.entries import EntryKind
from assay.records.evidence import Evidence
from assay.records.sandboxes import Image
from assay.records.trees import GITLINK, Tree
from assay.records.verdicts import Verdict, Witness
from assay.reports.untrusted import make_visible
from assay.sandboxes.engine import Engine
from assay.store.signing import SigningKey

_SUMS: Final = "SHA256SUMS"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MEGABYTE: Final = 1 << 20
_TOLD_EVERY: Final = 64 * _MEGABYTE
_RUN: Final = """\
#!/bin/sh
# Shows the refutation of {claim} again. Needs Docker, and nothing else. Ends as the command ends.
set -eu
cd "$(dirname "$0")"
image={image}
if ! docker image inspect "$image" >/dev/null 2>&1; then docker load --quiet --input image.tar >&2; fi
if ! docker image inspect "$image" >/dev/null 2>&1; then
    echo "image.tar was loaded, and this engine calls it something else than $image" >&2
    exit 125
fi
exec {command} < tree.tar
"""
_COMPARE: Final = """\
#!/bin/sh
# Shows the refutation of {claim} again: what differs in one file. Needs tar and diff, and nothing else.
set -eu
cd "$(dirname "$0")"
mkdir -p unpacked/base unpacked/head
tar -xf base.tar -C unpacked/base
tar -xf tree.tar -C unpacked/head
exec diff -u -N unpacked/base/{path} unpacked/head/{path}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A refutation, and what is known of where it was seen."""

    run: str
    verdict: Verdict
    witness: Witness
    image: Image | None
    """With its packages; None where nothing was executed, or nothing was recorded."""
    data: bytes
    """The verdict as it is kept: its digest is in the ledger, and in what is signed."""
    attestation: bytes | None
    """What is signed of it."""


async def find_witness(house: House, run: str, claim: str | None = None) -> Shown:
    """Return the witness of a refuted claim.

    Args:
        house: where the run is kept.
        run: id of a run or a check.
        claim: which of its claims; the one that was refuted last where None.

    Raises RunError where there is no such run, claim or refutation.
    """
    entries = await entries_of(house.ledger, run)
    given = [e for e in entries if e.kind is EntryKind.VERDICT_GIVEN and claim in (None, e.body["claim"])]
    for entry in reversed(given):
        data = await house.blobs.get(str(entry.body["verdict"]))
        verdict = Verdict.model_validate_json(data)
        if verdict.witness is None:
            continue
        recorded = {e.key: e for e in entries if e.kind is EntryKind.EVIDENCE_RECORDED}
        signed = entry.body.get("attestation")
        return Shown(
            run=run,
            verdict=verdict,
            witness=verdict.witness,
            image=await _image_of(house, verdict, recorded),
            data=data,
            attestation=await house.blobs.get(str(signed)) if signed is not None else None,
        )
    what = f"{run} has no refuted claim" if claim is None else f"{claim!r} in {run} was not refuted"
    raise RunError(f"{what}, so there is no witness", next_step=f"`assay verify {run}` lists its verdicts")


async def _image_of(house: House, verdict: Verdict, recorded: dict[str, Any]) -> Image | None:
    """Return what was recorded of the image in which the witness was seen."""
    assert verdict.witness is not None
    for key in (key for key in recorded if verdict.witness.image):
        evidence = Evidence.model_validate_json(await house.blobs.get(str(recorded[key].body["evidence"])))
        if evidence.image == verdict.witness.image and evidence.image_record is not None:
            return Image.model_validate_json(await house.blobs.get(evidence.image_record))
    return None


async def export_witness(
    house: House, shown: Shown, folder: Path, engine: Engine, progress: Callable[[str], None]
) -> tuple[str, ...]:
    """Write a folder that shows a refutation again anywhere, and return the names of its files.

    Args:
        house: holds the trees.
        shown: the refutation.
        folder: one that is not there yet, or empty.
        engine: holds the image.
        progress: told one line about each long step.

    Raises UsageError for a folder that holds something, ImageMissing where the image is gone, DiskFull,
    EngineUnavailable, InfrastructureError; nothing is left behind then.
    """
    made = _make_folder(folder)
    try:
        parcel = _Parcel(folder)
        await _fill(house, shown, parcel, engine, progress)
        return await asyncio.to_thread(parcel.close)
    except BaseException:
        await asyncio.to_thread(_take_back, folder, made)
        raise


async def _fill(house: House, shown: Shown, parcel: _Parcel, engine: Engine, progress: Callable[[str], None]) -> None:
    witness, verdict = shown.witness, shown.verdict
    command = reading_archive(witness)
    tree = await house.git.tree(witness.tree)
    await asyncio.to_thread(parcel.archive, "tree.tar", tree, house.git.contents.read)
    if command:
        script = _RUN.format(claim=verdict.claim, image=witness.image, command=command)
        await _save_image(witness.image, parcel, engine, progress)
        packages = shown.image.packages if shown.image is not None else ()
        parcel.write("packages.txt", "".join(f"{package}\n" for package in packages).encode())
    else:
        base = await house.git.tree(verdict.base)
        await asyncio.to_thread(parcel.archive, "base.tar", base, house.git.contents.read)
        script = _COMPARE.format(claim=verdict.claim, path=shlex.quote(witness.argv[-1]))
    parcel.write("run.sh", script.encode(), executable=True)
    parcel.write("verdict.json", shown.data)
    if shown.attestation is not None:
        parcel.write("statement.dsse.json", shown.attestation)
        parcel.write("signer.pub.json", SigningKey(house.state.signing_key).public.read_bytes())
    parcel.write("README.md", _describe(shown, command).encode())


async def _save_image(image: str, parcel: _Parcel, engine: Engine, progress: Callable[[str], None]) -> None:
    try:
        size = int((await engine.call("inspect_image", image))["Size"])
    except ImageMissing as error:
        raise ImageMissing(
            f"the engine does not have {image[:19]} any more, in which the refutation was seen",
            next_step="check the change again: the image is made anew, and another witness with it",
        ) from error
    parcel.check_room(size)
    progress(f"writing the image, about {size // _MEGABYTE} MiB")
    written = told = 0
    with parcel.file("image.tar") as write:
        async with aclosing(engine.chunks("get_image", image)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(write, chunk)
                written += len(chunk)
                if written - told >= _TOLD_EVERY:
                    told = written
                    progress(f"{written // _MEGABYTE} MiB of the image are written")
    await asyncio.to_thread(_check_image, parcel.folder / "image.tar")


def _check_image(path: Path) -> None:
    """Raise InfrastructureError where an archive has no end: an engine that is full says so in no other way."""
    try:
        with tarfile.open(path) as archive:
            whole = "manifest.json" in archive.getnames()
    except tarfile.TarError:
        whole = False
    if not whole:
        raise InfrastructureError(
            "the engine did not write its image to the end", next_step="look whether the engine's disk is full"
        )


class _Parcel:
    """A folder that is being filled, and the digests of what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[str, str] = {}

    @contextmanager
    def file(self, name: str, *, executable: bool = False) -> Iterator[Callable[[bytes], int]]:
        """Give what appends to a new file; raises DiskFull, InfrastructureError."""
        path, digest = self.folder / name, hashlib.sha256()
        with _named(path), path.open("xb") as file:

            def write(data: bytes) -> int:
                digest.update(data)
                return file.write(data)

            yield write
            path.chmod(0o755 if executable else 0o644)
        self._digests[name] = digest.hexdigest()

    def write(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """Write a small file."""
        with self.file(name, executable=executable) as write:
            write(data)

    def archive(self, name: str, tree: Tree, read: Callable[[str], bytes]) -> None:
        """Write the files of a tree as a tar archive: the same tree, the same bytes."""
        with self.file(name) as write, tarfile.open(fileobj=_Sink(write), mode="w|") as archive:
            for path, file in sorted(tree.items()):
                if file.mode == GITLINK:
                    continue
                add_entry(archive, path, file, read(file.oid))

    def check_room(self, needed: int) -> None:
        """Raise DiskFull where so many bytes do not fit; better now than after minutes."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise _no_room(f"{needed // _MEGABYTE} MiB are needed for {self.folder}, and {free // _MEGABYTE} are free")

    def close(self) -> tuple[str, ...]:
        """List the digests, and return the names of all files."""
        names = tuple(sorted(self._digests))
        self.write(_SUMS, "".join(f"{self._digests[name]}  {name}\n" for name in names).encode())
        return (*names, _SUMS)


class _Sink(io.RawIOBase):
    """What `tarfile` writes a stream to."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._write(bytes(data))


def _make_folder(folder: Path) -> bool:
    """Make sure of an empty folder; return whether it had to be made. Raises UsageError, InfrastructureError."""
    with _named(folder):
        if not folder.exists():
            folder.mkdir(parents=True)
            return True
        if not folder.is_dir() or any(folder.iterdir()):
            raise UsageError(f"{folder} is there already", next_step="name a folder that is not there, or is empty")
        return False


def _take_back(folder: Path, made: bool) -> None:
    """Remove what was written, and the folder where it was made for it."""
    for path in folder.iterdir():
        path.unlink()
    if made:
        folder.rmdir()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(f"no space left for {path}") from error
        raise InfrastructureError(
            f"{path}: {error.strerror or error}", next_step="name a folder in which you may write"
        ) from error


def _no_room(message: str) -> DiskFull:
    return DiskFull(message, next_step="name a folder where there is more room; nothing was left in this one")


def _describe(shown: Shown, command: str) -> str:
    """Return what a person reads first."""
    witness, verdict = shown.witness, shown.verdict
    hidden = (
        "\n**The tree holds held-out tests. Do not show it to whoever writes the change.**\n"
        if witness.held_out
        else ""
    )
    again = (
        f"    ./run.sh\n\nor, the same in one line:\n\n"
        f"    docker load -i image.tar && {command} < tree.tar\n\n"
        "It has no network, and ends with the exit code of what it executes: another than 0 where the refutation\n"
        "shows. `image.tar` is what `docker save` wrote; an engine that has the image already does not load it."
        if command
        else "    ./run.sh\n\nNothing has to be executed: `base.tar` and `tree.tar` hold the change before and after."
    )
    facts = [
        ("Claim", f"{verdict.claim} of {shown.run}"),
        ("Base, head", f"{verdict.base}, {verdict.head}"),
        ("Tree", witness.tree),
        ("Image", witness.image),
        ("Test", witness.test or ""),
        ("Expected", witness.expected),
        ("Seen", witness.got),
        ("Reproduced", f"in {witness.reproduced} fresh sandboxes" if witness.reproduced else ""),
    ]
    listed = "\n".join(f"- {name}: {make_visible(' '.join(text.split()))}" for name, text in facts if text)
    reason = make_visible(verdict.reasons[0]) if verdict.reasons else ""
    return (
        f"# A refutation\n\n{reason}\n\n{listed}\n{hidden}\n## See it again\n\n{again}\n\n## What is here\n\n"
        f"`{_SUMS}` has the digest of each file (`sha256sum -c {_SUMS}`). `verdict.json` is the verdict as assay\n"
        "keeps it; `statement.dsse.json`, where it is there, is what is signed of it, with the digest of that file.\n"
        "`packages.txt` lists what is installed in the image.\n"
    )
