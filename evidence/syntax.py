"""Python's text as data: syntax trees and literals, read by one thread at a time.

CPython counts how deep it is in a syntax tree in one place for all threads. Where one builds a tree while the garbage
of another is finalized, up to 3.11.7 both may end with `SystemError: AST constructor recursion depth mismatch`
(python/cpython#106905). assay reads syntax in threads, and several proofs run in one process.
"""

from __future__ import annotations

import ast
import threading
from types import CodeType
from typing import Any, Final

_DEEPEST: Final = 150
"""Levels of a syntax tree; deeper ones are nobody's honest code, and walking them is recursive."""
_MOST_BITS: Final = 14_000
"""Of a whole number: more digits than 4300 Python refuses to write, and hexadecimal ones it reads."""

_ONE_AT_A_TIME: Final = threading.Lock()
"""Guards what the interpreter itself holds once, so it is one for all."""


def parse(data: bytes) -> ast.Module | None:
    """Return the syntax tree of a Python file, or None where it has none."""
    try:
        tree = parse_own(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        if any(_is_unwritable(node) for node in level):
            return None
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    return None


def _is_unwritable(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > _MOST_BITS


def parse_own(text: str | bytes) -> ast.Module:
    """Return the syntax tree of a text that assay wrote itself; raises what `ast.parse` raises."""
    with _ONE_AT_A_TIME:
        return ast.parse(text)


def compile_expression(text: str) -> CodeType:
    """Return what an expression is compiled to; raises what `compile` raises."""
    with _ONE_AT_A_TIME:
        return compile(text, "", "eval", dont_inherit=True)


def read_literal(text: str) -> Any:
    """Return the value of a literal; raises what `ast.literal_eval` raises."""
    with _ONE_AT_A_TIME:
        return ast.literal_eval(text)
