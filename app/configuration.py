"""Which settings are in force: what the built-in preset, the organisation, the repository and the run say together.

The repository's own layer is read from the base commit, never from a work tree that an agent or a half-finished edit
may have changed. A file that a person names takes its place.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from assay.app.egress import grant_path, read_grant, within
from assay.errors import ConfigurationError, UsageError
from assay.policies.inference import MANIFEST, infer_settings
from assay.policies.layers import Layer
from assay.policies.loading import Policy, combine_layers, read_layer
from assay.policies.presets import DEFAULT_PRESET, PRESETS
from assay.policies.settings import Settings
from assay.records.trees import EXECUTABLE, REGULAR, Tree
from assay.store.git import GitStore
from assay.store.state import StateDirectory, state_root

FILE: Final = "assay.toml"
VARIABLE: Final = "ASSAY_POLICY"
"""Names the organisation's file. A run cannot put another one in its place, only one below it."""

_WAYS: Final = ("allow", "networks")


@dataclass(frozen=True, kw_only=True)
class Around:
    """The layers around the repository's own."""

    organisation: Path | None = None
    """A file of the organisation's, below the one that `ASSAY_POLICY` names."""
    preset: str | None = None
    """The built-in policy on top of all layers, where the organisation names none; else one more layer of the run."""
    said: tuple[str, ...] = ()
    """What the run says, a line of TOML each: `budget.tokens = 100000`."""


@dataclass(frozen=True)
class InForce:
    """A policy in force."""

    policy: Policy
    settings: Settings
    """The policy's, with the files that they name made absolute, and no way out that nobody granted."""
    source: str
    """Where they come from in words."""


async def settings_for(
    git: GitStore, repo: Path, revision: str | None, config: Path | None, around: Around | None = None
) -> tuple[Settings, str]:
    """Return the settings in force, and where they come from in words; see `policy_for`."""
    found = await policy_for(git, repo, revision, config, around)
    return found.settings, found.source


async def policy_for(
    git: GitStore, repo: Path, revision: str | None, config: Path | None, around: Around | None = None
) -> InForce:
    """Return the policy in force for a repository at a revision.

    Args:
        git: the store.
        repo: the target repository.
        revision: the base; `HEAD` where None.
        config: a file in the place of the repository's own.
        around: the other layers.

    Raises ConfigurationError for a layer that cannot be read, and for one that loosens what stands above it.
    """
    around = around or Around()
    above = await _above(around)
    own, folder, source, asks = await _own(git, repo, revision, config, above)
    run = [read_layer(preset_text(around.preset), name=f"preset {around.preset}")] if _is_lower(around, above) else []
    if around.said:
        run.append(read_layer("\n".join(around.said), name="--set"))
    policy = combine_layers([*above, *([own] if own is not None else []), *run])
    settings = policy.settings
    if asks and own is not None:
        path = grant_path(os.environ)
        settings = within(settings, _ways_out(own, above), await read_grant(path), source=source, path=path)
    folders = {layer.name: Path(layer.name).parent for layer in above} | ({own.name: folder} if own else {})
    named = [layer.name for layer in above if layer.name != f"preset {DEFAULT_PRESET}"]
    words = f"{source}, within {', '.join(named)}" if named else source
    return InForce(replace(policy, settings=settings), _absolute(policy, settings, folders), words)


async def look_up_settings(
    repo: Path, config: Path | None, *, root: Path | None = None, around: Around | None = None
) -> tuple[Settings, str]:
    """Return the settings at a repository's HEAD as `settings_for` does, for a look at them without a run."""
    found = await look_up_policy(repo, config, root=root, around=around)
    return found.settings, found.source


async def look_up_policy(
    repo: Path, config: Path | None, *, root: Path | None = None, around: Around | None = None
) -> InForce:
    """Return the policy at a repository's HEAD as `policy_for` does, for a look at it without a run."""
    state = StateDirectory.open(root or state_root(os.environ))
    async with await GitStore.open(state.git) as git:
        return await policy_for(git, repo, None, config, around)


def preset_text(name: str | None) -> str:
    """Return a preset as TOML; raises UsageError for a name that none has."""
    if name is None or name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}", next_step=f"one of {', '.join(PRESETS)}")
    return PRESETS[name]


async def _above(around: Around) -> list[Layer]:
    """Return the layers above the repository's own: the built-in preset, and the organisation's."""
    paths = [Path(named).expanduser().absolute()] if (named := os.environ.get(VARIABLE)) else []
    if around.organisation is not None and around.organisation.absolute() not in paths:
        paths.append(around.organisation.expanduser().absolute())
    files = [await _read(path) for path in paths]
    if any("preset" in file.document for file in files):
        return files
    chosen = around.preset or DEFAULT_PRESET
    return [read_layer(preset_text(chosen), name=f"preset {chosen}"), *files]


def _is_lower(around: Around, above: Sequence[Layer]) -> bool:
    """Whether the run names a preset which is not on top already, because the organisation names one."""
    return around.preset is not None and (not above or above[0].name != f"preset {around.preset}")


async def _read(path: Path) -> Layer:
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    return read_layer(text, name=str(path))


async def _own(
    git: GitStore, repo: Path, revision: str | None, config: Path | None, above: Sequence[Layer]
) -> tuple[Layer | None, Path, str, bool]:
    """Return the repository's layer, the folder that it is relative to, its name, and whether a grant bounds it."""
    if config is not None:
        return replace(await _read(config), name=str(config)), config.parent.absolute(), str(config), False
    commit = await git.adopt(repo, revision or "HEAD", "refs/assay/settings")
    tree = await git.tree(commit)
    file = tree.get(FILE)
    if file is None or file.mode not in (REGULAR, EXECUTABLE):
        layer, source = await _inferred(git, tree, above)
        return layer, repo.absolute(), source, False
    text = (await asyncio.to_thread(git.contents.read, file.oid)).decode(errors="replace")
    source = f"{FILE} at {commit[:12]}"
    return read_layer(text, name=source), repo.absolute(), source, True


async def _inferred(git: GitStore, tree: Tree, above: Sequence[Layer]) -> tuple[Layer | None, str]:
    """Return what a repository's files say, where it has no settings; what an upper layer says is not inferred."""
    manifest = tree.get(MANIFEST)
    plain = manifest is not None and manifest.mode in (REGULAR, EXECUTABLE)
    told = await asyncio.to_thread(git.contents.read, manifest.oid) if manifest is not None and plain else b""
    settings = infer_settings(tree, told.decode(errors="replace"))
    if settings.project.runner == "pytest":
        return None, "built-in defaults"
    source = f"built-in defaults for {settings.project.runner}"
    found: dict[tuple[str, ...], Any] = {
        ("project", "runner"): settings.project.runner,
        ("project", "test_command"): list(settings.project.test_command),
        ("paths", "tests"): list(settings.paths.tests),
        ("sandboxes", "default", "image"): settings.sandbox("default").image,
    }
    document: dict[str, Any] = {}
    for path, value in found.items():
        if not any(layer.holds(path) for layer in above):
            here = document
            for step in path[:-1]:
                here = here.setdefault(step, {})
            here[path[-1]] = value
    return Layer(source, document), source


def _ways_out(own: Layer, above: Sequence[Layer]) -> list[str]:
    """Return the profiles whose ways out only the repository names: what an organisation's file names, it grants."""

    def granted(name: str, key: str) -> bool:
        return any(layer.holds(("sandboxes", n, "egress", key)) for layer in above for n in (name, "*"))

    return [
        name
        for name in own.document.get("sandboxes", {})
        if name != "*" and any(own.holds(("sandboxes", name, "egress", k)) and not granted(name, k) for k in _WAYS)
    ]


def _absolute(policy: Policy, settings: Settings, folders: Mapping[str, Path]) -> Settings:
    """Return the settings with the files that they name made absolute, each relative to the layer that names it."""

    def home(role: str, key: str) -> Path:
        found = policy.origins.get(("agents", role, key))
        return folders.get(found[0].name, Path.cwd()) if found is not None else Path.cwd()

    def item(path: tuple[str, ...], number: int) -> Path:
        found = policy.origins.get((*path, number)) or policy.origins.get(path)
        return folders.get(found[0].name, Path.cwd()) if found is not None else Path.cwd()

    agents = {}
    for name, role in settings.agents.items():
        changes: dict[str, str] = {}
        if role.prompt:
            changes["prompt"] = str(home(name, "prompt") / role.prompt)
        if role.model.startswith("scripted:"):
            changes["model"] = f"scripted:{home(name, 'model') / role.model.removeprefix('scripted:')}"
        agents[name] = role.model_copy(update=changes)
    gates = {}
    for name, gate in settings.gates.items():
        rules = [str(item(("gates", name, "rules"), number) / rule) for number, rule in enumerate(gate.rules)]
        gates[name] = gate.model_copy(update={"rules": tuple(rules)})
    return settings.model_copy(update={"agents": agents, "gates": gates})
