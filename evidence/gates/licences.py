"""Licences: of the project, of files that a change brings, and of dependencies as far as lock files name them.

Identifiers are those of SPDX. What a lock file does not say is not guessed: it is named, for a person to look.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from assay.evidence.gates.looks import ChangedFile, Look, in_words
from assay.policies.gates import GateFinding, GateResult, judge_findings

_PERMISSIVE: Final = (
    "0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0",
    "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
)  # fmt: skip
_HEADER: Final = re.compile(r"SPDX-License-Identifier:\s*([\w.()+ -]+)")
_COPYLEFT: Final = re.compile(
    r"(GNU (?:AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICEN[CS]E|Server Side Public License|Business Source License|"
    r"Mozilla Public License|European Union Public Licence|All rights reserved)",
    re.IGNORECASE,
)
_FILE: Final = re.compile(r"(?:un)?licen[cs]e(?:[.-].*)?|copying(?:[.-].*)?|notice(?:[.-].*)?", re.IGNORECASE)


async def look_for_licences(look: Look) -> GateResult:
    """Return whether the change brings code under a licence that is not allowed, or changes the project's own."""
    head, base = await look.files("head"), await look.files("base")
    allowed = look.gate.allowed or _PERMISSIVE
    found = [[*_headers(files, allowed), *_declared(files), *_npm(files, allowed)] for files in (base, head)]
    return judge_findings(look.name, look.gate, found[0], [*found[1], *_own_texts(look)], in_words(head))


def _own_texts(look: Look) -> Iterator[GateFinding]:
    """Yield each text of a licence that the change touches."""
    for change in look.changes:
        if _FILE.fullmatch(posixpath.basename(change.path)):
            verb = {"A": "comes in", "D": "goes", "R": "is renamed"}.get(change.status, "is changed")
            yield GateFinding(rule="licence text", message=f"a text of a licence {verb}", path=change.path, mark=verb)


def _headers(files: tuple[ChangedFile, ...], allowed: tuple[str, ...]) -> Iterator[GateFinding]:
    for file in files:
        if not file.is_text or _FILE.fullmatch(posixpath.basename(file.path)):
            continue
        for number, line in enumerate(file.text.splitlines(), 1):
            if (found := _HEADER.search(line)) is not None and not is_allowed(
                said := re.sub(r"[\s-]*$", "", found[1]), allowed
            ):
                yield GateFinding(
                    rule="licence", message=f"is under {said}", path=file.path, line=number, mark=f"{file.path} {said}"
                )
            elif (found := _COPYLEFT.search(line)) is not None:
                said = " ".join(found[1].split())
                yield GateFinding(
                    rule="licence",
                    message=f"speaks of “{said}”",
                    path=file.path,
                    line=number,
                    mark=f"{file.path} {said}",
                )


def _declared(files: tuple[ChangedFile, ...]) -> Iterator[GateFinding]:
    """Yield what manifests say the project's own licence is: another one than before is shown."""
    for file in files:
        name = posixpath.basename(file.path)
        said: object = None
        told = "what cannot be read"
        try:
            if name == "pyproject.toml":
                said = tomllib.loads(file.text).get("project", {}).get("license")
            elif name in ("package.json", "composer.json"):
                said = json.loads(file.text).get("license")
            elif name == "Cargo.toml":
                said = tomllib.loads(file.text).get("package", {}).get("license")
            told = said if isinstance(said, str) else json.dumps(said, sort_keys=True, default=str)
        except (ValueError, AttributeError, RecursionError):
            said = told
        if said is not None:
            yield GateFinding(
                rule="project licence", message=f"says {told}", path=file.path, mark=f"{file.path} {told}"
            )


def _npm(files: tuple[ChangedFile, ...], allowed: tuple[str, ...]) -> Iterator[GateFinding]:
    """Yield the packages of npm's lock files whose licence is not allowed or not said."""
    for file in files:
        if posixpath.basename(file.path) not in ("package-lock.json", "npm-shrinkwrap.json"):
            continue
        try:
            packages: dict[str, Any] = json.loads(file.text)["packages"]
            listed = [(path.rpartition("node_modules/")[2], p.get("license")) for path, p in packages.items() if path]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield GateFinding(rule="licence", message="what it takes cannot be read", path=file.path, mark=file.path)
            continue
        for name, said in listed:
            if not isinstance(said, str):
                yield GateFinding(rule="licence", message=f"{name} names no licence", path=file.path, mark=f"{name} -")
            elif not is_allowed(said, allowed):
                yield GateFinding(
                    rule="licence", message=f"{name} is under {said}", path=file.path, mark=f"{name} {said}"
                )


def is_allowed(expression: str, allowed: tuple[str, ...]) -> bool:
    """Whether an expression of SPDX can be met with allowed licences: one side of each OR, both of each AND."""
    tokens = re.findall(r"\(|\)|[\w.+-]+", expression)
    known = {name.lower() for name in allowed}
    try:
        value, rest = _either(tokens, known)
    except (IndexError, RecursionError):
        return False
    return value and not rest


def _either(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    value, rest = _both(tokens, known)
    while rest and rest[0].upper() == "OR":
        other, rest = _both(rest[1:], known)
        value = value or other
    return value, rest


def _both(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    value, rest = _one(tokens, known)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:], known)
        value = value and other
    return value, rest


def _one(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        value, rest = _either(tokens[1:], known)
        if rest[0] != ")":
            raise IndexError("a bracket is not closed")
        return value, rest[1:]
    value, rest = tokens[0].lower() in known, tokens[1:]
    if rest and rest[0].upper() == "WITH":  # an exception gives more than the licence, never less
        rest = rest[2:]
    return value, rest
