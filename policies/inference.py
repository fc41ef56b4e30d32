"""What a repository's files say about its runner, where no `assay.toml` does."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Final

from assay.policies.defaults import default_settings, with_defaults
from assay.policies.settings import ProjectSettings, Settings
from assay.records.sandboxes import SandboxProfile

MANIFEST: Final = "package.json"
"""The one file whose content is looked at."""

_PYTHON_TEST: Final = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py")
_NODE_CALL: Final = re.compile(r"\bnode\s+((?:[^&|;<>`$]*\s)?--test(?:\s[^&|;<>`$]*)?)$")


def infer_settings(paths: Iterable[str], manifest: str) -> Settings:
    """Return the settings of a repository that has none: pytest's, or Node's where `npm test` calls `node --test`.

    Args:
        paths: all files of the repository, relative; where Python tests are among them, they are what is run.
        manifest: content of its `package.json`; empty where it has none.
    """
    arguments = node_arguments(manifest)
    if arguments is None or any(map(_PYTHON_TEST.fullmatch, paths)):
        return default_settings()
    project = ProjectSettings(runner="node", test_command=arguments)
    return with_defaults(Settings(project=project, sandboxes={"default": SandboxProfile(image="node")}))


def node_arguments(manifest: str) -> tuple[str, ...] | None:
    """Return what a `package.json` adds to `node --test` as its test script; None where that is something else.

    Reporters are left out, for the judge has its own.
    """
    try:
        script = json.loads(manifest)["scripts"]["test"]
        found = _NODE_CALL.search(script.strip())
        words = shlex.split(found[1]) if found is not None else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if words is None:
        return None
    return tuple(word for word in words if word != "--test" and not word.startswith("--test-reporter"))
