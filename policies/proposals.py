"""`assay init`: what a repository's files say about how it is tested, as a proposed `assay.toml`."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from assay.policies.inference import MANIFEST, named_tests, node_arguments
from assay.policies.paths import matching
from assay.policies.settings import PathSettings

_PROJECT_FILES: Final = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "pytest.toml", "tox.ini")
_TELLING: Final = (*_PROJECT_FILES, ".pytest.ini", ".pytest.toml", "Makefile", "noxfile.py", "package.json", "go.mod")
_LOCK_FILES: Final = ("uv.lock", "poetry.lock", "pylock.toml", "requirements.lock", "requirements.txt")
_OTHER_RUNNERS: Final = {"package.json": "Node", "go.mod": "Go", "Cargo.toml": "Rust", "pom.xml": "Java"}
_SERVICES: Final = {
    "postgres": r"psycopg|asyncpg|postgres", "redis": r"\bredis\b", "mysql": r"mysqlclient|pymysql|\bmysql\b",
    "mongodb": r"pymongo|\bmongo", "rabbitmq": r"\bpika\b|rabbitmq", "elasticsearch": r"elasticsearch|opensearch",
}  # fmt: skip
_TEST_FILE: Final = re.compile(r"(?:test_[^/]*|[^/]*_test)\.py")
_PYTEST_CALL: Final = re.compile(r"\b(?:pytest|py\.test)\b([^\n|;&#\"]*(?:\"[^\"\n]*\"[^\n|;&#\"]*)*)")
_MAX_WANTED: Final = 60


@dataclass(frozen=True)
class _Facts:
    """What is known of a repository without running anything."""

    paths: tuple[str, ...]
    """All files, relative."""
    texts: Mapping[str, str]
    """Path to content of those that `wanted_texts` names, as far as they could be read."""

    def below(self, root: str) -> Iterator[str]:
        """Yield the paths of the files in a folder, relative to it."""
        prefix = "" if root == "." else f"{root}/"
        return (path[len(prefix) :] for path in self.paths if path.startswith(prefix))

    def text(self, root: str, name: str) -> str:
        """Return the content of a file in a folder; empty where it is not known."""
        return self.texts.get(posixpath.normpath(posixpath.join(root, name)), "")

    @cached_property
    def test_files(self) -> tuple[str, ...]:
        """The files that look like Python tests."""
        return tuple(path for path in self.paths if _TEST_FILE.fullmatch(posixpath.basename(path)))


def wanted_texts(paths: Iterable[str]) -> tuple[str, ...]:
    """Return which files' contents a proposal would like to see; the rest is told by the names."""
    found = [
        path
        for path in paths
        if (posixpath.basename(path) in _TELLING and path.count("/") <= 2)
        or re.fullmatch(r"requirements[^/]*\.txt", path)
        or re.fullmatch(r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml", path)
    ]
    return tuple(sorted(found, key=lambda path: (path.count("/"), path))[:_MAX_WANTED])


def propose_settings(paths: Iterable[str], texts: Mapping[str, str]) -> str:
    """Return an `assay.toml` for a repository, each line with its reason; `parse_settings` accepts it.

    Args:
        paths: all files of the repository, relative.
        texts: content of those that `wanted_texts` names, as far as they could be read.

    What is at its default is left out, or stands there as a comment where a person may want it.
    """
    facts = _Facts(tuple(paths), texts)
    root, why_root = _root(facts)
    pytest = _pytest_settings(facts, root)
    lines = [
        "# How assay works on this repository. Proposed by `assay init` from the files that are here;",
        "# docs/settings.md of assay lists every setting. What is not set has its default.",
        "",
        "[project]",
        *_comment(why_root),
        *([f"root = {_toml(root)}"] if root != "." else []),
        *_runner(facts, root, pytest),
        *_sources(facts, root, pytest),
        "",
        "[paths]",
        *_tests(facts, root, pytest),
        "",
        *_sandbox(facts, root),
        "[checkpoints]",
        "# A person sees the plan before work begins, and everything before it is delivered.",
        "plan = true",
        "delivery = true",
    ]
    return "\n".join(lines) + "\n"


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")


def _comment(text: str) -> list[str]:
    plain = " ".join("".join(c if c.isprintable() else "?" for c in text).split())
    return [f"# {plain}"] if plain else []


def _root(facts: _Facts) -> tuple[str, str]:
    """Return the folder in which commands run, and why."""
    tests: Counter[str] = Counter()
    projects = {posixpath.dirname(p) or "." for p in facts.paths if posixpath.basename(p) in _PROJECT_FILES}
    for path in facts.test_files:
        home = posixpath.dirname(path)
        while home and home not in projects:
            home = posixpath.dirname(home)
        tests[home or "."] += 1
    usable = {
        home: count
        for home, count in tests.items()
        if home.isprintable() and not _has_surrogates(home) and ".." not in home.split("/")
    }
    if not usable:
        return ".", "No tests were found; commands run at the top of the repository."
    best = max(usable, key=lambda home: (usable[home], home == ".", home))
    if best == ".":
        return ".", f"{usable[best]} test files belong to the project at the top of the repository."
    others = sorted(set(usable) - {best})
    also = f" Other projects with tests: {', '.join(others[:5])}; one file speaks for one of them." if others else ""
    return best, f"{best} has its own project file and {usable[best]} test files.{also}"


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _pytest_settings(facts: _Facts, root: str) -> dict[str, list[str]]:
    """Return `testpaths`, `pythonpath`, `python_files` and `markers` of pytest's configuration, as lists."""
    raw: dict[str, Any] = {}
    for name in ("pytest.toml", ".pytest.toml"):
        raw = raw or _table(_read_toml(facts.text(root, name)), "pytest")
    for name in ("pytest.ini", ".pytest.ini"):
        raw = raw or _ini_section(facts.text(root, name), "pytest")
    tool = _table(_table(_read_toml(facts.text(root, "pyproject.toml")), "tool"), "pytest")
    raw = raw or _table(tool, "ini_options") or tool
    raw = raw or _ini_section(facts.text(root, "tox.ini"), "pytest")
    raw = raw or _ini_section(facts.text(root, "setup.cfg"), "tool:pytest")
    return {key: _as_list(raw.get(key), key) for key in ("testpaths", "pythonpath", "python_files", "markers")}


def _read_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _ini_section(text: str, section: str) -> dict[str, Any]:
    """Return the settings of one section of an ini file; continued lines are joined by newlines."""
    found: dict[str, Any] = {}
    inside, key = False, ""
    for line in text.splitlines():
        if line.startswith("["):
            inside = line.strip() == f"[{section}]"
        elif inside and line[:1].isspace() and key:
            found[key] += f"\n{line.strip()}"
        elif inside and "=" in line and not line.lstrip().startswith(("#", ";")):
            key, value = (part.strip() for part in line.split("=", 1))
            found[key] = value
    return found


def _as_list(value: object, key: str) -> list[str]:
    if isinstance(value, str):
        return [part for part in (value.splitlines() if key == "markers" else value.split()) if part]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _runner(facts: _Facts, root: str, pytest: dict[str, list[str]]) -> Iterator[str]:
    if (arguments := _node(facts, root)) is not None:
        yield from _comment("package.json runs its tests by `node --test`, and no Python tests are here.")
        yield 'runner = "node"'
        if arguments:
            yield f"test_command = {_toml(list(arguments))}"
        return
    others = sorted({_OTHER_RUNNERS[n] for p in facts.paths if (n := posixpath.basename(p)) in _OTHER_RUNNERS})
    if facts.test_files:
        yield from _comment(f"{len(facts.test_files)} files are named like tests for pytest.")
        if others:
            yield from _comment(f"There are {' and '.join(others)} projects, too; their tests are not run by this.")
    elif others:
        yield from _comment(f"These look like {' and '.join(others)} projects. assay runs tests by pytest, by")
        yield from _comment(
            '`node --test`, or by any command that writes JUnit XML: runner = "junit", test_command, report.'
        )
    yield 'runner = "pytest"'
    for place, options in _calls(facts, root):
        yield from _comment(f"{place} calls pytest with these options.")
        yield f"test_command = {_toml(options)}"
        return
    slow = [m.split(":")[0].split("(")[0].strip() for m in pytest["markers"]]
    if excluded := [m for m in slow if re.search(r"slow|integration|e2e|network|online", m) and m.isidentifier()]:
        yield from _comment(f"The markers {', '.join(excluded)} are declared. Without a network such tests may fail:")
        yield f"# test_command = {_toml(['-m', ' and '.join(f'not {m}' for m in excluded)])}"


def _node(facts: _Facts, root: str) -> tuple[str, ...] | None:
    """Return what is added to `node --test`, where that is how the repository's tests are run."""
    arguments = node_arguments(facts.text(root, MANIFEST)) if not facts.test_files else None
    return arguments if arguments is None or all(word.isprintable() for word in arguments) else ()


def _calls(facts: _Facts, root: str) -> Iterator[tuple[str, list[str]]]:
    """Yield where the repository itself calls pytest with a choice of tests, and that choice."""
    places = ["tox.ini", "Makefile", "noxfile.py"]
    workflows = [path for path in facts.texts if path.startswith((".github/", ".gitlab"))]
    for place, text in [*((p, facts.text(root, p)) for p in places), *((p, facts.texts[p]) for p in workflows)]:
        for call in _PYTEST_CALL.finditer(text):
            try:
                words = shlex.split(call[1])
            except ValueError:
                continue
            chosen = [words[n : n + 2] for n, word in enumerate(words) if word in ("-m", "-k") and n + 1 < len(words)]
            if options := [word for pair in chosen for word in pair if word.isprintable() and "$" not in word]:
                yield place, options
                return


def _sources(facts: _Facts, root: str, pytest: dict[str, list[str]]) -> Iterator[str]:
    paths = [path for path in facts.below(root) if path.endswith(".py")]
    roots: dict[str, str] = {}
    if any(re.fullmatch(r"src/(?:[^/]+/)*[^/]+\.py", path) for path in paths):
        roots["src"] = "src holds Python code"
    tests = PathSettings().tests
    if any(
        re.fullmatch(r"[^/]+/__init__\.py|[^/]+\.py", p) and p != "setup.py" and not matching(tests, p) for p in paths
    ):
        roots["."] = "packages or modules lie at the top"
    for folder in pytest["pythonpath"]:
        plain = posixpath.normpath(folder)
        if not plain.startswith(("..", "/")) and plain.isprintable():
            roots.setdefault(plain, "pytest's pythonpath names it")
    if not roots:
        yield from _comment("Where the code lies could not be told; the usual places are taken.")
        return
    yield from _comment("; ".join(f"{folder}: {why}" for folder, why in sorted(roots.items())) + ".")
    yield f"source_roots = {_toml(sorted(roots))}"


def _tests(facts: _Facts, root: str, pytest: dict[str, list[str]]) -> Iterator[str]:
    usual = PathSettings().tests
    prefix = "" if root == "." else f"{root}/"
    folders = [posixpath.normpath(f) for f in pytest["testpaths"]]
    extra = [f"/{prefix}{f}/" for f in folders if _plain_folder(f) and not matching(usual, f"{prefix}{f}/test_x")]
    extra += [p for p in pytest["python_files"] if _plain_pattern(p) and p not in usual and p != "*.py"]
    extra += named_tests(_node(facts, root) or ())
    reasons = ["The usual places of tests."]
    if extra and facts.test_files:
        reasons = [f"The usual places of tests, and what pytest's configuration names: {', '.join(extra)}."]
    if any(re.search(r"(?:^|/)(?:golden|snapshots|__snapshots__|fixtures|testdata)/", p) for p in facts.paths):
        more = ["golden/", "snapshots/", "__snapshots__/", "testdata/"]
        extra += [m for m in more if any(f"/{m}" in f"/{p}" and not matching(usual, p) for p in facts.paths)]
        reasons.append("Expected results belong to the tests: who changes the code must not change them.")
    yield from _comment(" ".join(reasons))
    yield f"tests = {_toml(list(dict.fromkeys([*usual, *extra])))}"


def _plain_folder(folder: str) -> bool:
    return folder != "." and not folder.startswith(("..", "/")) and _plain_pattern(folder)


def _plain_pattern(pattern: str) -> bool:
    return re.fullmatch(r"[\w*?./-]+", pattern, re.ASCII) is not None and ".." not in pattern.split("/")


def _sandbox(facts: _Facts, root: str) -> Iterator[str]:
    """Say what the tests may need that a sandbox without network does not have."""
    declared = "\n".join(facts.texts.get(path, "") for path in wanted_texts(facts.paths))
    services = [name for name, pattern in _SERVICES.items() if re.search(pattern, declared, re.IGNORECASE)]
    composed = [p for p in facts.paths if re.fullmatch(r"(?:docker-)?compose[^/]*\.ya?ml", posixpath.basename(p))]
    needs = _table(_read_toml(facts.text(root, "pyproject.toml")), "project").get("dependencies")
    if needs or any(re.fullmatch(r"requirements[^/]*\.txt", p) for p in facts.paths):
        yield from _comment("The project has dependencies: the image must hold them, for a sandbox has no network.")
    if services:
        yield from _comment(f"Its files name {', '.join(services)}; tests that need such a service cannot run without.")
    if composed:
        yield from _comment(f"{composed[0]} starts services; a sandbox does not.")
    yield "[sandboxes.default]"
    yield f"image = {_toml('python' if _node(facts, root) is None else 'node')}"
    if (lock := _lock_file(facts, root)) is not None:
        yield "# What the lock file pins can be put on top of the image: wheels, from the index of this machine's pip."
        yield f"# dependencies = {_toml(lock)}"
    yield ""


def _lock_file(facts: _Facts, root: str) -> str | None:
    """Return a file that pins the project's dependencies, where it has one that assay reads."""
    for name in _LOCK_FILES:
        path = posixpath.normpath(posixpath.join(root, name))
        if path in facts.paths and (not name.endswith(".txt") or "--hash=" in facts.text(root, name)):
            return path
    return None
