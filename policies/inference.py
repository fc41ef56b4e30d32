"""What a repository's files say about its runner, where no `assay.toml` does."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Final

from assay.policies.defaults import default_settings, with_defaults
from assay.policies.settings import PathSettings, ProjectSettings, Settings
from assay.records.sandboxes import SandboxProfile

MANIFEST: Final = "package.json"
"""The one file whose content is looked at."""

_PYTHON_TEST: Final = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py")
_PLACE: Final = re.compile(r"[\w*][\w*./-]*", re.ASCII)
_WITH_VALUE: Final = frozenset(
    {
        *("--import", "--require", "-r", "--loader", "--experimental-loader", "--conditions", "-C", "--env-file"),
        *("--test-name-pattern", "--test-skip-pattern", "--test-concurrency", "--test-timeout", "--test-shard"),
    }
)
"""Options of Node after which a word of its own follows."""
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
    tests = PathSettings(tests=(*PathSettings().tests, *named_tests(arguments)))
    return with_defaults(Settings(project=project, paths=tests, sandboxes={"default": SandboxProfile(image="node")}))


def named_tests(arguments: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of the files that arguments of `node --test` name: folders, files, or patterns of them."""
    places = split_arguments(arguments)[1]
    return tuple(f"/{place}" for place in places if _PLACE.fullmatch(place) and ".." not in place.split("/"))


def split_arguments(arguments: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options among the arguments of `node --test`, with their values, and the places that they name."""
    options: list[str] = []
    places: list[str] = []
    for word in arguments:
        if word.startswith("-") or (options and options[-1] in _WITH_VALUE):
            options.append(word)
        else:
            places.append(word.removeprefix("./"))
    return tuple(options), tuple(places)


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
