"""Mutants of a statement (S13): the same with one small thing that is otherwise, as somebody might have got it wrong.

The operators are the field's own, under its names: relational operators (ROR), logical connectors (LCR), conditions
(COI, COD), arithmetic (AOR), constants (CRP), return values (RVR), statements left out (SDL), jumps (BCR). What is
compiled to the same is no mutant.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from assay.evidence.changed_lines import Executable
from assay.evidence.syntax import compile_expression

OPERATORS: Final = ("ROR", "LCR", "COI", "COD", "SDL", "RVR", "AOR", "BCR", "CRP")
"""The most telling ones first."""

_LONGEST: Final = 60
"""Characters of an expression that a person is shown as a whole."""
_RELATIONS: Final[Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""The boundary first, then the opposite."""
_ARITHMETIC: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_TEXT: Final = (ast.JoinedStr, ast.List, ast.Tuple)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One small thing that could be otherwise."""

    operator: str
    node: ast.AST
    """What is in the head."""
    mutated: ast.AST
    """What stands in its place."""
    line: int
    """The changed line that it is about."""
    before: str
    """For a person."""
    after: str
    """For a person; empty where it would not be there at all."""


def mutations_of(executable: Executable) -> Iterator[Mutation]:
    """Yield what could be otherwise in a statement, as far as it lies on lines that changed."""
    node = executable.node
    for made in (*_of_statement(node), *(m for e in _expressions(node) for m in _of_expression(e))):
        first, last = _lines(made.node)
        line = next((n for n in executable.changed if first <= n <= last), None)
        if line is not None and not _same_code(made.node, made.mutated):
            yield Mutation(made.operator, made.node, made.mutated, line, made.before, made.after)


def _lines(node: ast.AST) -> tuple[int, int]:
    first = getattr(node, "lineno", 0)
    return first, getattr(node, "end_lineno", None) or first


def _made(operator: str, node: ast.AST, mutated: ast.AST | None, *, sign: tuple[str, str] | None = None) -> Mutation:
    """Return a mutation with its text: the whole of it where that is short, else the sign that changes."""
    before = ast.unparse(node)
    after = "" if mutated is None else ast.unparse(mutated)
    if sign is not None and max(len(before), len(after)) > _LONGEST:
        before, after = sign
    stands = ast.copy_location(ast.Pass(), node) if mutated is None else mutated
    return Mutation(operator, node, stands, 0, _bounded(before), _bounded(after))


def _bounded(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _of_statement(node: ast.AST) -> Iterator[Mutation]:
    match node:
        case ast.Raise():
            yield _made("SDL", node, None)
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield _made("RVR", node, ast.Return(ast.Constant(None)))
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in _ARITHMETIC and not _is_text(value):
            other = _ARITHMETIC[type(op)]()
            yield _made("AOR", node, ast.AugAssign(target, other, value), sign=(f"{_sign(op)}=", f"{_sign(other)}="))
        case ast.If(test=test) | ast.While(test=test) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            yield _made("COI", test, ast.UnaryOp(ast.Not(), test))
        case ast.Break():
            yield _made("BCR", node, ast.Continue())
        case ast.Continue():
            yield _made("BCR", node, ast.Break())


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a statement computes itself; annotations, decorators, assertions and what is raised are left alone."""
    match node:
        case ast.Return(value=value) | ast.Expr(value=value) | ast.AugAssign(value=value) | ast.AnnAssign(value=value):
            if value is not None:
                yield value
        case ast.Assign(targets=targets, value=value):
            if not any(isinstance(t, ast.Name) and t.id.startswith("__") for t in targets):
                yield value
        case ast.If(test=test) | ast.While(test=test):
            if not (isinstance(test, ast.Compare) and "__name__" in ast.unparse(test)):
                yield test
        case ast.For(iter=value) | ast.AsyncFor(iter=value) | ast.Match(subject=value):
            yield value
        case ast.With(items=items) | ast.AsyncWith(items=items):
            yield from (item.context_expr for item in items)
        case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments):
            yield from (d for d in (*arguments.defaults, *arguments.kw_defaults) if d is not None)
        case ast.match_case(guard=guard) if guard is not None:
            yield guard


def _of_expression(node: ast.expr) -> Iterator[Mutation]:
    """Yield the mutations of an expression and of what it is made of; the text between quotes of `f"…"` has none."""
    if isinstance(node, ast.JoinedStr):
        return
    for make in _MAKERS:
        yield from make(node)
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    if not (negative and isinstance(node.operand, ast.Constant)):  # type: ignore[attr-defined]
        yield from (m for child in _parts(node) for m in _of_expression(child))


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension | ast.keyword | ast.arguments):
            yield from _parts(child)


def _relations(node: ast.expr) -> Iterator[Mutation]:
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in _RELATIONS[type(op)][: 2 if len(node.ops) == 1 else 1]:
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                made = ast.Compare(node.left, ops, node.comparators)
                yield _made("ROR", node, made, sign=(_sign(op), _sign(other())))


def _connectors(node: ast.expr) -> Iterator[Mutation]:
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _made("LCR", node, ast.BoolOp(other, node.values), sign=(_sign(node.op), _sign(other)))


def _conditions(node: ast.expr) -> Iterator[Mutation]:
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _made("COD", node, operand, sign=("not", "no `not`"))
        case ast.IfExp(test=ast.Name() | ast.Attribute() | ast.Call() as test):
            yield _made("COI", test, ast.UnaryOp(ast.Not(), test))


def _arithmetic(node: ast.expr) -> Iterator[Mutation]:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            if not _is_text(left) and not _is_text(right):
                other = _ARITHMETIC[type(op)]()
                yield _made("AOR", node, ast.BinOp(left, other, right), sign=(_sign(op), _sign(other)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield _made("AOR", node, operand, sign=("-", "no `-`"))


def _constants(node: ast.expr) -> Iterator[Mutation]:
    """Yield another constant; text with a space in it is meant for people and tried by nobody."""
    match node:
        case ast.Constant(value=bool(value)):
            yield _made("CRP", node, ast.Constant(not value))
        case ast.Constant(value=int(value) | float(value)):
            yield _made("CRP", node, ast.Constant(value + 1))
        case ast.Constant(value=str(value)) if not any(c.isspace() for c in value):
            yield _made("CRP", node, ast.Constant(f"XX{value}XX"))


_MAKERS: Final[tuple[Callable[[ast.expr], Iterator[Mutation]], ...]] = (
    *(_relations, _connectors, _conditions),
    *(_arithmetic, _constants),
)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, _TEXT) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _sign(op: ast.cmpop | ast.boolop | ast.operator) -> str:
    """Return an operator as one writes it."""
    left, right = ast.Name("a"), ast.Name("b")
    made: ast.expr
    if isinstance(op, ast.cmpop):
        made = ast.Compare(left, [op], [right])
    else:
        made = ast.BoolOp(op, [left, right]) if isinstance(op, ast.boolop) else ast.BinOp(left, op, right)
    return ast.unparse(made)[2:-2]


def _same_code(one: ast.AST, other: ast.AST) -> bool:
    """Return whether two expressions are compiled to the same; what cannot be compiled alone is taken for different."""
    if not (isinstance(one, ast.expr) and isinstance(other, ast.expr)):
        return False
    made = []
    for node in (one, other):
        try:
            code = compile_expression(ast.unparse(node))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        made.append((code.co_code, repr(code.co_consts), code.co_names))
    return made[0] == made[1]
