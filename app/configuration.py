"""Which settings are in force: a file that a person names, else the repository's own at the base, else the defaults."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from assay.app.egress import grant_path, read_grant, within
from assay.errors import ConfigurationError
from assay.policies.inference import MANIFEST, infer_settings
from assay.policies.loading import parse_settings
from assay.policies.settings import Settings
from assay.records.trees import EXECUTABLE, REGULAR
from assay.store.git import GitStore
from assay.store.state import StateDirectory, state_root

FILE = "assay.toml"


async def settings_for(git: GitStore, repo: Path, revision: str | None, config: Path | None) -> tuple[Settings, str]:
    """Return the settings, and where they come from in words.

    The repository's own file is read from the base commit, never from a work tree that an agent or
    a half-finished edit may have changed. It cannot grant its sandboxes a way out that no person granted.
    """
    if config is not None:
        try:
            text = await asyncio.to_thread(config.read_text, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{config} cannot be read: {error}") from error
        return _relative_to(parse_settings(text, name=str(config)), config.parent.absolute()), str(config)
    revision = revision or "HEAD"
    commit = await git.adopt(repo, revision, "refs/assay/settings")
    tree = await git.tree(commit)
    file = tree.get(FILE)
    if file is None or file.mode not in (REGULAR, EXECUTABLE):
        manifest = tree.get(MANIFEST)
        plain = manifest is not None and manifest.mode in (REGULAR, EXECUTABLE)
        told = await asyncio.to_thread(git.contents.read, manifest.oid) if manifest is not None and plain else b""
        settings = infer_settings(tree, told.decode(errors="replace"))
        other = f" for {settings.project.runner}" if settings.project.runner != "pytest" else ""
        return settings, f"built-in defaults{other}"
    text = (await asyncio.to_thread(git.contents.read, file.oid)).decode(errors="replace")
    source, path = f"{FILE} at {commit[:12]}", grant_path(os.environ)
    settings = within(parse_settings(text, name=source), await read_grant(path), source=source, path=path)
    return _relative_to(settings, repo.absolute()), source


async def look_up_settings(repo: Path, config: Path | None, *, root: Path | None = None) -> tuple[Settings, str]:
    """Return the settings at a repository's HEAD as `settings_for` does, for a look at them without a run."""
    state = StateDirectory.open(root or state_root(os.environ))
    async with await GitStore.open(state.git) as git:
        return await settings_for(git, repo, None, config)


def _relative_to(settings: Settings, folder: Path) -> Settings:
    """Return the settings with the files that they name made absolute."""
    agents = {}
    for name, role in settings.agents.items():
        changes: dict[str, str] = {}
        if role.prompt:
            changes["prompt"] = str(folder / role.prompt)
        if role.model.startswith("scripted:"):
            changes["model"] = f"scripted:{folder / role.model.removeprefix('scripted:')}"
        agents[name] = role.model_copy(update=changes)
    return settings.model_copy(update={"agents": agents})
