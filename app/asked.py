"""What a check's command line asks for in the place of the settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from assay.errors import UsageError
from assay.policies.layers import Layer
from assay.policies.loading import spoken_layer
from assay.policies.positions import KeyPath
from assay.policies.settings import ProjectSettings, Settings

_LEVELS: Final = ("A", "B", "C")
_OWN_NAMES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "pytest": (("pytest",), ("py.test",), ("python", "-m", "pytest"), ("python3", "-m", "pytest")),
    "node": (("node", "--test"),),
    "junit": (),
}
"""How people write the runner itself, to which only arguments can be added."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Options of `assay check` that outweigh `assay.toml`; None leaves a setting as it is."""

    test_command: str | None = None
    """In words as a shell splits them."""
    image: str | None = None
    level: str | None = None
    seconds: float | None = None

    def layer(self, settings: Settings) -> Layer:
        """Return what is asked for as the lowest layer of a policy, to be held against the ones above.

        Args:
            settings: what the layers above give.

        Raises UsageError for what makes no sense.
        """
        after, said = self.over(settings), dict[KeyPath, tuple[JsonValue, str]]()
        if self.test_command is not None:
            words = list[JsonValue](after.project.test_command)
            said["project", "test_command"] = (words, f"--test-command {self.test_command}")
        if self.image is not None:
            image = after.sandbox(after.proof.sandbox).image
            said["sandboxes", after.proof.sandbox, "image"] = (image, f"--image {self.image}")
        if self.level is not None:
            said["proof", "level"] = (after.proof.level, f"--level {self.level}")
        if self.seconds is not None:
            said["proof", "budget_seconds"] = (after.proof.budget_seconds, f"--seconds {self.seconds:g}")
        return spoken_layer(said, name="the command line")

    def over(self, settings: Settings) -> Settings:
        """Return the settings with what is asked for; raises UsageError for what makes no sense."""
        changes: dict[str, Any] = {}
        proof: dict[str, Any] = {}
        if self.test_command is not None:
            command = _words(self.test_command, settings.project)
            changes["project"] = settings.project.model_copy(update={"test_command": command})
        if self.image is not None:
            name = settings.proof.sandbox
            profile = settings.sandbox(name).model_copy(update={"image": _image(self.image)})
            changes["sandboxes"] = {**settings.sandboxes, name: profile}
        if self.level is not None:
            proof["level"] = _level(self.level)
        if self.seconds is not None:
            proof["budget_seconds"] = _seconds(self.seconds)
        if proof:
            changes["proof"] = settings.proof.model_copy(update=proof)
        return settings.model_copy(update=changes)


def _words(text: str, project: ProjectSettings) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--test-command {text!r} cannot be split into words: {error}") from error
    if not words:
        raise UsageError("--test-command has no words", next_step="give arguments for the runner, or its whole command")
    for name in _OWN_NAMES[project.runner]:
        if words[: len(name)] == name:
            return words[len(name) :]
    return words


def _image(name: str) -> str:
    if not name.strip():
        raise UsageError("--image names no image", next_step="`assay sandbox list --images` shows those that there are")
    return name.strip()


def _level(name: str) -> str:
    if name.upper() not in _LEVELS:
        raise UsageError(f"{name!r} is no level of a proof", next_step=f"one of {', '.join(_LEVELS)}")
    return name.upper()


def _seconds(number: float) -> float:
    if not 0 < number < float("inf"):
        raise UsageError(f"--seconds must be above 0, and is {number:g}")
    return number
