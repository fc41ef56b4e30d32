"""S8: positive variants and negative twins of tests, made on syntax trees.

Defeats results that do not depend on what the tests expect: values that equal everything, failures that somebody
swallows, code that knows a test by its bytes. The positive variant of a test means the same with other bytes and other
local names; in its negative twin the expectations are perturbed, under the same id, and it has to fail.

Both come from one transformation and differ in one constant of a helper module that is laid beside them: what is
judged cannot tell them apart by the tests' own text, and does not find in it what is expected: literal expectations lie
in the helper, too, and decoys in their place. The perturbation happens while the test runs, expectation by
expectation, so that one execution of a suite shows of each of its expectations whether it tells values apart
(`judge_side/expecting.py`, `judge_side/telling.py`). Plain asserts, helpers that assert, unittest's methods, contexts
such as `pytest.raises`, `approx` and parametrized values are covered by the same four calls.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from assay.evidence.controls import Function
from assay.evidence.syntax import parse
from assay.records.base import digest_of
from assay.sandboxes.protocol import WORKSPACE

_OPERATORS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}
_CONTEXTS: Final = ("raises", "warns", "deprecated_call", "assertRaises", "assertWarns", "assertLogs", "assertNoLogs")
_IMPORTED: Final = re.compile(r"^from __future__ .*\n|^from assay\.[^(]*\([^)]*\)\n", re.MULTILINE)
"""What a text must not hold that stands behind another one in the same module."""
_PLAIN_NAMES: Final = (ast.Name, ast.Constant)


def helper_name(secret: str) -> str:
    """Return the name of the module that transformed tests call; nobody knows it before the tree is made."""
    return "m" + digest_of([secret, "helper"]).removeprefix("sha256:")[:12]


def mark_of(secret: str) -> str:
    """Return the word with which a twin says that it failed as it should."""
    return digest_of([secret, "mark"]).removeprefix("sha256:")[:16]


@dataclass(frozen=True, slots=True)
class Transformed:
    """Transformed tests, and what they expect."""

    files: Mapping[str, bytes]
    """Text by path in the tree."""
    values: Mapping[int, str]
    """Literal expectations, as source text, by the number under which the tests ask for them."""


def helper_source(secret: str, tests: Transformed, *, perturbed: bool) -> bytes:
    """Return the helper module for a tree.

    Args:
        secret: from which its name and its mark are made.
        tests: what was transformed.
        perturbed: whether the tree's tests are twins.
    """
    values = ", ".join(f"{number}: {source}" for number, source in tests.values.items())
    judge_side = files("assay.evidence.judge_side")
    calls = _IMPORTED.sub("", (judge_side / "expecting.py").read_text())
    text = (judge_side / "telling.py").read_text() + calls
    for old, new in {
        "PERTURBED = False": f"PERTURBED = {perturbed}",
        'MARK = ""': f"MARK = {mark_of(secret)!r}",
        'TREE = ""': f"TREE = {WORKSPACE!r}",
        "TESTS: frozenset[str] = frozenset()": f"TESTS: frozenset[str] = frozenset({sorted(tests.files)!r})",
        "VALUES: dict[int, Any] = {}": f"VALUES: dict[int, Any] = {{{values}}}",
    }.items():
        text = text.replace(f"\n{old}\n", f"\n{new}\n", 1)
    return text.encode()


def transform(sources: Mapping[str, bytes], secret: str) -> Transformed:
    """Return the transformed Python files of the tests; one that cannot be parsed is left out.

    Args:
        sources: test files and what helps them, by path.
        secret: from which the names in them are made.
    """
    made: dict[str, bytes] = {}
    values: dict[int, str] = {}
    for path, data in sorted(sources.items()):
        tree = parse(data)
        if tree is not None:
            renamed = _LocalNames(secret).visit(tree)
            expecting = _Expectations(helper_name(secret), values).visit(renamed)
            made[path] = ast.unparse(ast.fix_missing_locations(_import_helper(expecting, helper_name(secret)))).encode()
    return Transformed(made, values)


def _import_helper(tree: ast.Module, name: str) -> ast.Module:
    """Put the import where a module's docstring and its `from __future__` are over."""
    place = 0
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            break
        place += 1
    tree.body.insert(place, ast.Import(names=[ast.alias(name=name)]))
    return tree


class _Helper:
    """Makes calls of the helper."""

    def __init__(self, name: str, values: dict[int, str]) -> None:
        self._name = name
        self._values = values

    def call(self, name: str, /, *arguments: ast.expr) -> ast.Call:
        """Return a call of one of its functions."""
        function = ast.Attribute(value=ast.Name(id=self._name, ctx=ast.Load()), attr=name, ctx=ast.Load())
        return ast.Call(func=function, args=list(arguments), keywords=[])

    def keep(self, node: ast.expr) -> ast.expr:
        """Return what stands in the place of an expectation: of a literal, a decoy and the number of the real one."""
        if isinstance(node, ast.Call) and _last_name(node.func) == "approx":
            node.args = [self.keep(argument) for argument in node.args]
            return node
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return node
        if value is None or isinstance(value, bool):
            return node
        number = len(self._values)
        self._values[number] = ast.unparse(node)
        return self.call("value", ast.Constant(_decoy(value)), ast.Constant(number))


def _decoy(value: object) -> int | float | str:
    """Return something that looks like an expectation and is none."""
    match value:
        case int() | float():
            return value + 1000003
        case str():
            return value[::-1] + "~"
        case _:
            return 0


class _Expectations(ast.NodeTransformer):
    """Sends every expectation of a module through the helper."""

    def __init__(self, helper: str, values: dict[int, str]) -> None:
        self._helper = _Helper(helper, values)
        self._call = self._helper.call
        self._inside = 0
        """Depth of functions around a statement; the test is the outermost one."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Function) -> ast.AST:
        is_test = not self._inside and node.name.startswith("test") and not _is_fixture(node)
        self._inside += 1
        node.body = [self.visit(statement) for statement in node.body]
        self._inside -= 1
        if is_test:
            node.body = [_Returns(self._helper).visit(statement) for statement in node.body]
            documented = ast.get_docstring(node, clean=False) is not None
            node.body.insert(int(documented), ast.Expr(self._call("begin")))
            node.body.append(ast.Expr(self._call("end")))
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.test = self._call("held", _Comparisons(self._helper).visit(node.test))
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call):
            name = _last_name(call.func)
            if name.lower().startswith("assert") or (name in _CONTEXTS and len(call.args) > 1):
                call.args = [call.func, *(self._helper.keep(argument) for argument in call.args)]
                call.func = self._call("passing").func
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        for item in node.items:
            if isinstance(item.context_expr, ast.Call) and _last_name(item.context_expr.func).startswith(_CONTEXTS):
                item.context_expr = self._call("Expected", item.context_expr)
        return self.generic_visit(node)


class _Comparisons(ast.NodeTransformer):
    """Sends every comparison inside of an expectation through the helper."""

    def __init__(self, helper: _Helper) -> None:
        self._helper = helper

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        if len(sides) > 2 and not all(isinstance(side, _PLAIN_NAMES) for side in sides[1:-1]):
            return node  # what stands in the middle would be computed twice
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        calls = [self._compare(op, left, right) for left, op, right in pairs]
        return calls[0] if len(calls) == 1 else ast.BoolOp(op=ast.And(), values=list(calls))

    def _compare(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr:
        sides = (left, right)
        if not isinstance(op, ast.Is | ast.IsNot):  # a copy is not the same object
            sides = (self._helper.keep(left), self._helper.keep(right))
        return self._helper.call("compare", ast.Constant(_OPERATORS[type(op)]), *sides)


class _Returns(ast.NodeTransformer):
    """Lets a test end at each of its own `return`s."""

    def __init__(self, helper: _Helper) -> None:
        self._helper = helper

    def visit_Return(self, node: ast.Return) -> ast.AST:
        node.value = self._helper.call("end", *([node.value] if node.value is not None else []))
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node


class _LocalNames(ast.NodeTransformer):
    """Gives other names to variables that a function binds by assignment, and by nothing else."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Function) -> ast.AST:
        inside = [inner for statement in node.body for inner in ast.walk(statement)]
        if any(isinstance(n, ast.ClassDef) or (isinstance(n, ast.Name) and n.id in _REFLECTING) for n in inside):
            return node
        taken = {a.arg for n in [node, *inside] if isinstance(n, ast.arguments) for a in _all_arguments(n)}
        taken |= {a.arg for a in _all_arguments(node.args)}
        taken |= {name for n in inside for name in _bound_otherwise(n)}
        own = {n.id for n in _own_scope(node.body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        fresh = {old: self._fresh(old) for old in own - taken if not old.startswith("__")}
        for inner in inside:
            if isinstance(inner, ast.Name) and inner.id in fresh:
                inner.id = fresh[inner.id]
        return node

    def _fresh(self, name: str) -> str:
        return "v" + digest_of([self._secret, name]).removeprefix("sha256:")[:8]


_REFLECTING: Final = frozenset({"locals", "vars", "dir", "eval", "exec"})
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp)


def _own_scope(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the nodes of a function that lie in its own scope."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_SCOPES, ast.GeneratorExp)):
            waiting.extend(ast.iter_child_nodes(node))


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [a for a in (arguments.vararg, arguments.kwarg) if a is not None]


def _bound_otherwise(node: ast.AST) -> list[str]:
    """Return the names that a node binds, or speaks of, other than by a name of its own."""
    match node:
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return names
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [(a.asname or a.name).split(".")[0] for a in aliases]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
        case _:
            return []


def _is_fixture(node: Function) -> bool:
    """Return whether a function only looks like a test: it gives something to tests."""
    decorators = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    yields = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _own_scope(node.body))
    return yields or any(_last_name(d) == "fixture" for d in decorators)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
