"""Root file systems from Debian's packages, for machines that reach no registry.

debootstrap runs as root in mount and process namespaces of its own: what it mounts, and every process
that it starts, is gone when it ends or is killed, and it is killed when assay is. The result is kept in
the cache as a tar file, so that an engine which lost its images has them back in seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from assay.errors import ImageMissing, InfrastructureError
from assay.records.base import Record
from assay.sandboxes.images.places import BuildPlaces, Progress, disk_full, disk_full_named
from assay.sandboxes.images.recipes import Recipe, script

NEEDED_TOOLS = ("debootstrap", "unshare", "setpriv", "chroot", "tar", "gzip")
_TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TAIL_LINES = 20
_NO_SPACE = "No space left on device"

NEEDED_BYTES = 900 << 20
"""Free space that a build of the image `python` takes at its peak: the root, the tar file and its compressed form."""


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Where the machine's own apt takes a release from."""

    uri: str
    suite: str
    components: tuple[str, ...]


class Archive(Record):
    """Written beside a finished tar file; a tar file without it, or of another digest, does not count."""

    sha256: str
    size: int


def missing_tools() -> tuple[str, ...]:
    """Return what this machine lacks to bootstrap a root file system, `root` among it for another user."""
    absent = [tool for tool in NEEDED_TOOLS if shutil.which(tool, path=_TOOL_PATH) is None]
    return (*absent, *(() if os.geteuid() == 0 else ("root",)))


async def root_archive(recipe: Recipe, places: BuildPlaces, progress: Progress, *, anew: bool) -> Path:
    """Return the tar file of a recipe's root file system, from the cache or else bootstrapped.

    Raises:
        ImageMissing: the machine cannot bootstrap, or has no Debian mirror.
        DiskFull: the cache has no room.
        InfrastructureError: debootstrap failed; its last lines are quoted.
    """
    archive = places.cache / f"{recipe.name}-{recipe.key}.tar.gz"
    if not anew and await asyncio.to_thread(_is_whole, archive):
        progress(f"using the root file system in the cache: {archive}")
        return archive
    absent = missing_tools()
    if absent:
        raise ImageMissing(
            f"cannot build the image {recipe.name!r}: no registry answers, and debootstrap needs {', '.join(absent)}",
            next_step="as root on Debian: apt-get install debootstrap && assay sandbox build",
        )
    with disk_full_named(places.cache), places.working_directory() as work:
        if shutil.disk_usage(work).free < NEEDED_BYTES:
            raise disk_full(f"{places.cache}: {NEEDED_BYTES >> 20} MiB are needed to build an image")
        root = work / "root"
        root.mkdir(mode=0o755)
        await _bootstrap(recipe, root, places.debs(), progress)
        progress("taking out what a sandbox has no use for")
        await _finish(root)
        progress("packing the root file system")
        epoch = _newest_package_time(root)
        packed = work / archive.name
        await run_logged(_contained(["sh", "-c", _PACK, "sh", str(root), str(packed), str(epoch)]), progress)
        await asyncio.to_thread(_keep, packed, archive)
    return archive


async def find_mirror(recipe: Recipe) -> Mirror:
    """Return where this machine's apt would take the recipe's release from.

    On Debian that is the recipe's suite whatever the machine's own release is, since a mirror holds
    them all; elsewhere (Ubuntu, …) it is the machine's own release.

    Raises:
        ImageMissing: apt names no mirror that debootstrap can use.
    """
    system = _os_release()
    own = system.get("VERSION_CODENAME", recipe.suite)
    listing = await run_logged(["apt-get", "update", "--print-uris"], None)
    indexes = re.findall(rf"'((?:https?|file)://[^']+)/dists/{re.escape(own)}/([^/']+)/binary-", listing)
    if not indexes:
        raise ImageMissing(
            f"apt on this machine names no http, https or file mirror of {own!r} to bootstrap from",
            next_step="add one to /etc/apt/sources.list, or give a registry that holds a base image",
        )
    uri = indexes[0][0]
    return Mirror(
        uri=uri,
        suite=recipe.suite if system.get("ID") == "debian" else own,
        components=tuple(dict.fromkeys(component for found, component in indexes if found == uri)),
    )


async def run_logged(command: Sequence[str], progress: Progress | None) -> str:
    """Run a command of the host to its end and return its standard output.

    Raises:
        DiskFull: it failed, saying that there is no space left.
        InfrastructureError: it failed; its last lines are quoted.
    """
    environment = {**_inherited(), "PATH": _TOOL_PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    kept: list[str] = []
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    packages = 0
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="backslashreplace").rstrip()
            tail.append(line)
            if progress is None:
                kept.append(line)
            elif line.startswith(("I: Retrieving ", "I: Unpacking ", "I: Configuring ")):
                packages += 1
                if packages % 50 == 0:  # these lines come for each package, three times
                    progress(line.removeprefix("I: "))
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        said = "\n".join(tail)
        if _NO_SPACE in said:
            raise disk_full("the image cache")
        raise InfrastructureError(
            f"{command[0]} failed with {code}:\n{said}", next_step="mend what it names, then: assay sandbox build"
        )
    return "\n".join(kept)


_APT = """
set -eu
mount -t proc none /proc
apt-get -q -o APT::Sandbox::User=root update
apt-get -q -y -o APT::Sandbox::User=root install --no-install-recommends "$@"
"""

_PACK = """
set -eu
tar --create --directory "$1" --one-file-system --numeric-owner --sort=name --format=posix \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --clamp-mtime --mtime="@$3" \
    . > "$2.tar"
gzip -1 --no-name < "$2.tar" > "$2"
rm "$2.tar"
"""


def _contained(command: Sequence[str]) -> list[str]:
    """Return a command that takes everything it started and mounted with it when it ends or its parent dies."""
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    return ["setpriv", "--pdeathsig", "KILL", "--", *namespaces, "--", *command]


async def _bootstrap(recipe: Recipe, root: Path, debs: Path, progress: Progress) -> None:
    """Run debootstrap; where it fails, the reason stands in its log and not in what it prints."""
    mirror = await find_mirror(recipe)
    progress(f"debootstrap {mirror.suite} from {mirror.uri} (a minute or two)")
    options = ["--variant=minbase", "--force-check-gpg", f"--components={','.join(mirror.components)}"]
    options.append(f"--cache-dir={debs}")  # what another image fetched already is checked, and not fetched again
    if recipe.packages:
        options.append(f"--include={','.join(recipe.packages)}")
    try:
        await run_logged(
            _contained(["debootstrap", *options, mirror.suite, str(root), mirror.uri.rstrip("/")]), progress
        )
    except InfrastructureError as error:
        log = root / "debootstrap" / "debootstrap.log"
        said = log.read_text(errors="backslashreplace") if log.exists() else ""
        if _NO_SPACE in said:
            raise disk_full(str(root.parent.parent)) from error
        raise InfrastructureError(
            "\n".join([error.message, *said.splitlines()[-5:]]), next_step=error.next_step
        ) from error
    if recipe.by_apt:
        await _install(recipe.by_apt, mirror, root, progress)


async def _install(packages: Sequence[str], mirror: Mirror, root: Path, progress: Progress) -> None:
    """Let apt in the new root install more of the mirror's packages; their signatures are checked."""
    progress(f"installing {', '.join(packages)} with apt")
    source = f"deb {mirror.uri} {mirror.suite} {' '.join(mirror.components)}\n"
    (root / "etc/apt/sources.list").write_text(source)
    await run_logged(_contained(["chroot", str(root), "/bin/sh", "-c", _APT, "sh", *packages]), None)


async def _finish(root: Path) -> None:
    """Clean the new root, from inside and then of what debootstrap copied there from the machine."""
    for name in ("etc/hostname", "etc/resolv.conf", "etc/apt/sources.list"):
        (root / name).unlink(missing_ok=True)
    await run_logged(_contained(["chroot", str(root), "/bin/sh", "-c", script("finish.sh")]), None)


def _newest_package_time(root: Path) -> int:
    """Return when the newest of the packages was made, seconds since 1970.

    Files that are younger were written by the installation, at a time that says nothing.
    """
    lists = (root / "var/lib/dpkg/info").glob("*.md5sums")
    return int(max((path.stat().st_mtime for path in lists), default=0))


def _keep(packed: Path, archive: Path) -> None:
    note = Archive(sha256=_sha256(packed), size=packed.stat().st_size)
    _note_of(archive).unlink(missing_ok=True)
    packed.replace(archive)
    written = _note_of(packed)
    written.write_text(note.model_dump_json())
    written.replace(_note_of(archive))


def _is_whole(archive: Path) -> bool:
    """Whether a tar file is the one that was finished once."""
    try:
        note = Archive.model_validate_json(_note_of(archive).read_bytes())
        return note == Archive(sha256=_sha256(archive), size=archive.stat().st_size)
    except (FileNotFoundError, ValidationError):
        return False


def _note_of(archive: Path) -> Path:
    return archive.with_name(archive.name + ".json")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _os_release() -> dict[str, str]:
    """Return the fields of `/etc/os-release`; the format is os-release(5)."""
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, _, value in pairs}


def _inherited() -> dict[str, str]:
    """Return the proxy settings of the environment, which debootstrap's downloader reads."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HOME")
    return {name: os.environ[name] for name in names if name in os.environ}
