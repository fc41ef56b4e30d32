"""The prompts of the built-in roles: Markdown files of the package, or a file that `assay.toml` names."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from assay.errors import ConfigurationError

BUILT_IN: Final = ("coder", "planner", "reviewer", "tester")


def load_prompt(role: str, path: str | None = None) -> str:
    """Return a role's prompt.

    Args:
        role: the role's name.
        path: a Markdown file in the place of the built-in prompt.

    Raises:
        ConfigurationError: the file cannot be read, or the role has no built-in prompt and names no file.
    """
    if path is not None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The prompt of {role!r} cannot be read: {error}", next_step=f"correct [agents.{role}] prompt"
            ) from error
    if role not in BUILT_IN:
        raise ConfigurationError(
            f"The role {role!r} has no built-in prompt; only {', '.join(BUILT_IN)} have one.",
            next_step=f"name a Markdown file in [agents.{role}] prompt",
        )
    return (files("assay.agents") / "prompts" / f"{role}.md").read_text(encoding="utf-8")
