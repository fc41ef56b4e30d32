"""Names that tree-sitter's bash grammar gives to parts of a text, by what they mean to the reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tree_sitter import Node

SUBSTITUTIONS: Final = frozenset({"command_substitution", "process_substitution"})
"""Places that run commands, wherever they stand."""

EXPANSIONS: Final = SUBSTITUTIONS | {"simple_expansion", "expansion", "arithmetic_expansion", "brace_expression"}
QUOTED: Final = frozenset({"string", "raw_string", "ansi_c_string"})

SEQUENCES: Final = frozenset(
    {"program", "list", "pipeline", "subshell", "negated_command", "if_statement", "elif_clause", "else_clause",
     "while_statement", "do_group", "variable_assignments", "ERROR"}
)  # fmt: skip
"""All named parts are statements."""

BRANCHES: Final = frozenset(
    {"for_statement", "case_statement", "case_item", "c_style_for_statement", "test_command", "function_definition"}
)
"""Some named parts are statements, others are words."""

PARTED: Final = frozenset(
    {"command", "redirected_statement", "compound_statement", "variable_assignment", "declaration_command",
     "unset_command"}
) | SEQUENCES | BRANCHES  # fmt: skip
"""Two of these in a row need an operator or a newline between them."""

CLAUSES: Final = frozenset({"elif_clause", "else_clause", "case_item", "do_group"})
"""Parts of a statement that a keyword or `;;` parts from what is before."""

STATEMENTS: Final = PARTED | {"comment"}

ONE_LINE: Final = frozenset({"variable_assignments", "negated_command"})
"""A newline would end them."""

COMPUTES: Final = frozenset({"arithmetic_expansion", "c_style_for_statement", "subscript"})
"""Arithmetic, in which bash runs what the values of variables hold."""

KEYWORDS: Final = frozenset(
    {"if", "then", "elif", "else", "fi", "do", "done", "case", "esac", "while", "until", "for", "select", "function",
     "in", "{", "}", "[[", "]]"}
)  # fmt: skip


def outermost(node: Node, kinds: frozenset[str]) -> Iterator[Node]:
    """Yield the outermost nodes of these kinds below a node, in order."""
    for child in node.children:
        if child.type in kinds:
            yield child
        else:
            yield from outermost(child, kinds)
