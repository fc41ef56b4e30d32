"""Mutant schemata (S13): one tree that holds every mutant of a change, of which a switch chooses one at run time.

The program is laid down once and imported once, however many mutants there are. The switch is a module of its own,
whose name nobody knows before. A file tells it which one it is, so that it holds in processes that tests start, too,
whatever variables they are given.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from typing import Final

from assay.evidence.mutants import Mutation
from assay.evidence.syntax import parse, parse_own
from assay.records.base import digest_of

_SWITCH: Final = '''"""Which one."""

try:
    with open({path!r}) as told:
        now = told.read()
except OSError:
    now = ""
'''


def switch_name(secret: str) -> str:
    """Return the name of the switch: of a module, and of the file that tells it what is chosen."""
    return "m" + digest_of([secret, "switch"]).removeprefix("sha256:")[:12]


def switch_source(secret: str) -> bytes:
    """Return the text of the switch's module."""
    return _SWITCH.format(path=f"/tmp/{switch_name(secret)}").encode()  # noqa: S108 - a path inside the sandbox


def weave(tree: ast.Module, mutations: Mapping[int, Mutation], secret: str) -> bytes | None:
    """Return the text of a module that behaves as it did, and as one of its mutants where the switch says so.

    Args:
        tree: of the module; it stays as it is.
        mutations: of nodes of this tree, by number.
        secret: from which the switch's name is made.

    None is returned where no such text can be made.
    """
    made = _Weaver(mutations, switch_name(secret)).visit(tree)
    assert isinstance(made, ast.Module)
    place = _after_future(made)
    made.body[place:place] = parse_own(f"import {switch_name(secret)}").body
    try:
        text = ast.unparse(ast.fix_missing_locations(made)).encode()
    except (ValueError, RecursionError, UnicodeEncodeError):
        return None
    return text if parse(text) is not None else None


def _after_future(tree: ast.Module) -> int:
    """Return where imports may begin: behind the docstring and what is imported from `__future__`."""
    place = 1 if ast.get_docstring(tree, clean=False) is not None else 0
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            place = number + 1
    return place


class _Weaver:
    """Copies a tree, with a choice in the place of each node that has mutants."""

    def __init__(self, mutations: Mapping[int, Mutation], switch: str) -> None:
        self._switch = switch
        self._chosen: dict[int, list[tuple[int, Mutation]]] = {}
        for number, mutation in mutations.items():
            self._chosen.setdefault(id(mutation.node), []).append((number, mutation))

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a copy of a node; only in what it is without a mutant there are other choices."""
        made: ast.AST = self._copied(node)
        for number, mutation in self._chosen.get(id(node), ()):
            now = ast.Attribute(ast.Name(self._switch, ast.Load()), "now", ast.Load())
            test = ast.Compare(now, [ast.Eq()], [ast.Constant(str(number))])
            other = copy.deepcopy(mutation.mutated)
            if isinstance(made, ast.expr) and isinstance(other, ast.expr):
                made = ast.IfExp(test, other, made)
            elif isinstance(made, ast.stmt) and isinstance(other, ast.stmt):
                made = ast.If(test, [other], [made])
        return made

    def _copied(self, node: ast.AST) -> ast.AST:
        fields = {name: self._field(value) for name, value in ast.iter_fields(node)}
        return ast.copy_location(type(node)(**fields), node)

    def _field(self, value: object) -> object:
        if isinstance(value, list):
            return [self._field(one) for one in value]
        return self.visit(value) if isinstance(value, ast.AST) else value
