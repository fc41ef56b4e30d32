"""A sandbox for a person to look around in: fresh, with a repository's files in it, and as isolated as any other."""

from __future__ import annotations

import re
import secrets
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.app.archives import add_entry
from assay.app.configuration import settings_for
from assay.app.service import CHECK
from assay.app.wiring import House, open_house
from assay.errors import ConfigurationError, RepositoryMissing
from assay.policies.loading import default_settings
from assay.policies.settings import Settings
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.records.trees import Tree
from assay.sandboxes.engine import Engine
from assay.sandboxes.owners import OwnerProcess
from assay.sandboxes.profiles import base_environment
from assay.sandboxes.protocol import Sandbox
from assay.sandboxes.terminals import Terminal, open_terminal
from assay.store.files import disk_errors
from assay.store.git import GitStore

_REFS: Final = "refs/assay/shells"
_OWNED: Final = re.compile(rf"{_REFS}/host-([^/]*)/boot-([^/]*)/(\d+)-(\d+)/[^/]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a person wants a shell in."""

    repo: Path | None = None
    """None: the repository around the working directory, where there is one."""
    profile: str = "default"
    image: str | None = None
    """In the place of the profile's."""
    config: Path | None = None


class Shell:
    """An open sandbox and where its files came from."""

    def __init__(self, sandbox: Sandbox, engine: Engine, profile: SandboxProfile, git: GitStore, origin: str) -> None:
        self.sandbox = sandbox
        self.origin = origin
        """What lies in it, in words."""
        self._engine, self._profile, self._git = engine, profile, git

    async def terminal(self) -> Terminal:
        """Return a shell on a terminal."""
        given = {"TERM": "xterm-256color", "PS1": r"sandbox:\w\$ "}
        environment = {**given, **base_environment(await self._image_environment(), self._profile)}
        return await open_terminal(self._engine, self.sandbox.id, environment)

    async def export(self, path: Path) -> int:
        """Write the files that the sandbox holds now into a tar file, and return how many.

        Raises DiskFull, InfrastructureError.
        """
        taken = await self.sandbox.take_tree()
        with disk_errors(path), tarfile.open(path, "w") as archive:
            for name, file in sorted(taken.tree.items()):
                data = taken.fresh.get(file.oid)
                data = self._git.contents.read(file.oid) if data is None else data
                add_entry(archive, name, file, data)
        return len(taken.tree)

    async def _image_environment(self) -> dict[str, str]:
        found = await self._engine.call("inspect_image", self.sandbox.image.id)
        variables = (found.get("Config") or {}).get("Env") or []
        return dict(variable.split("=", 1) for variable in variables if "=" in variable)


@asynccontextmanager
async def open_shell(wish: Wish, progress: Callable[[str], None], root: Path | None = None) -> AsyncIterator[Shell]:
    """Open a fresh sandbox with a repository's HEAD in it, and remove it at the end.

    Raises RepositoryError, ConfigurationError, and what opening a sandbox raises.
    """
    name = f"{CHECK}shell-{secrets.token_hex(4)}"
    ref = f"{_folder(OwnerProcess.current())}/{name}"
    engine = Engine()
    try:
        async with open_house(root=root, progress=progress) as house:
            try:
                settings, tree, origin = await _look_up(house, wish, ref)
                profile = _profile(settings, wish)
                async with await house.sandboxes.open(profile, SandboxOwner(run=name, role="shell")) as sandbox:
                    await sandbox.put_tree(tree, house.git.contents)
                    yield Shell(sandbox, engine, profile, house.git, origin)
            finally:
                await house.git.delete_refs(ref)
    finally:
        await engine.close()


async def forget_dead_shells(git: GitStore) -> None:
    """Delete the refs of shells whose process was killed before it could; of another host's nothing is known."""
    here = OwnerProcess.current()
    for ref in await git.refs(_REFS):
        owner = _owner(ref)
        # What names no process is an older version's; git keeps its objects for two weeks more.
        if owner is None or owner.is_dead(here):
            await git.delete_refs(ref)


def _folder(process: OwnerProcess) -> str:
    """Return where the refs of a process's shells are: they say by themselves whether anybody needs them."""
    return f"{_REFS}/host-{process.host}/boot-{process.boot}/{process.pid}-{process.started}"


def _owner(ref: str) -> OwnerProcess | None:
    found = _OWNED.fullmatch(ref)
    return OwnerProcess(found[1], found[2], int(found[3]), int(found[4])) if found else None


async def _look_up(house: House, wish: Wish, ref: str) -> tuple[Settings, Tree, str]:
    """Return the settings in force, the files to put in, and what these are in words."""
    try:
        commit = await house.git.adopt(wish.repo or Path(), "HEAD", ref)
    except RepositoryMissing:
        if wish.repo is not None:
            raise
        return default_settings(), {}, "nothing in it: there is no repository here"
    settings, _ = await settings_for(house.git, wish.repo or Path(), None, wish.config)
    if wish.image is None and wish.profile in {"default", *settings.sandboxes}:
        settings = await house.provided(settings, commit, (wish.profile,))
    return settings, await house.git.tree(commit), f"the files of {commit[:12]}"


def _profile(settings: Settings, wish: Wish) -> SandboxProfile:
    try:
        profile = settings.sandbox(wish.profile)
    except KeyError:
        known = ", ".join(sorted({"default", *settings.sandboxes}))
        raise ConfigurationError(
            f"there is no sandbox profile {wish.profile!r}", next_step=f"choose one of: {known}"
        ) from None
    return profile if wish.image is None else profile.model_copy(update={"image": wish.image, "dependencies": None})
