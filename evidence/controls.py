"""S8, as far as it is needed below level B: null implementations.

Defeats tests that would fail at the base whatever they assert, because what they import is not there yet. Such a test
counts only if it also fails when the functions that the change made are there and do nothing.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from typing import Final, Literal

from assay.evidence.expectations import Reading, Standing
from assay.evidence.syntax import parse, parse_own

Null = Literal["raise", "return"]

_BODIES: Final[dict[Null, str]] = {
    "raise": "raise NotImplementedError('a null implementation')",
    "return": "return None",
}
_IMPORTS: Final = ("ImportError:", "ModuleNotFoundError:", "SyntaxError:")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module


def null_sources(before: Mapping[str, bytes], after: Mapping[str, bytes], null: Null) -> dict[str, bytes]:
    """Return the head's Python files in which the functions that are new or different do nothing.

    Args:
        before: the base's files by path.
        after: the head's files by path.
        null: what each of these functions does instead.

    A file that cannot be parsed, or in which no function changed, is left out.
    """
    made: dict[str, bytes] = {}
    for path, data in after.items():
        tree = parse(data)
        if tree is None:
            continue
        old = parse(before.get(path, b""))
        known = _functions(old) if old is not None else {}
        changed = {name for name, shape in _functions(tree).items() if known.get(name) != shape}
        if changed:
            made[path] = ast.unparse(_Nulled(changed, _BODIES[null]).visit(tree)).encode()
    return made


def is_controlled(readings: Mapping[str, Reading | None], test: str) -> bool:
    """Return whether a test failed under each null implementation, by what it calls and not by its imports.

    Args:
        readings: what was executed, by `raise` and `return`.
        test: its id.
    """
    return all(_fails(readings.get(null), test) for null in _BODIES)


def _fails(reading: Reading | None, test: str) -> bool:
    if reading is None or reading.stand(test) is not Standing.FAILED:
        return False
    outcome = reading.outcome(test)
    return (
        outcome is not None
        and outcome.reports == 1
        and "failed" in (outcome.setup, outcome.call)
        and not outcome.message.startswith(_IMPORTS)
    )


def _functions(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                found[prefix + child.name] = ast.dump(without_docstrings(child))
            elif isinstance(child, ast.ClassDef):
                walk(child, f"{prefix}{child.name}.")
            else:
                walk(child, prefix)

    walk(tree, "")
    return found


def same_program(one: ast.AST, other: ast.AST) -> bool:
    """Return whether two syntax trees differ in nothing but docstrings."""
    return ast.dump(without_docstrings(one)) == ast.dump(without_docstrings(other))


def without_docstrings(node: ast.AST) -> ast.AST:
    """Return a copy of a syntax tree in which no function, class or module has a docstring."""
    copied = copy.deepcopy(node)
    for inner in ast.walk(copied):
        if isinstance(inner, Documented) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:]
    return copied


class _Nulled(ast.NodeTransformer):
    """Puts another body into the functions with these qualified names."""

    def __init__(self, names: set[str], body: str) -> None:
        self._names = names
        self._body = body
        self._prefix = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        before, self._prefix = self._prefix, f"{self._prefix}{node.name}."
        self.generic_visit(node)
        self._prefix = before
        return node

    def _function(self, node: Function) -> ast.AST:
        if self._prefix + node.name in self._names:
            node.body = parse_own(f"def null():\n    {self._body}").body[0].body  # type: ignore[attr-defined]
        return node
