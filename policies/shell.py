"""Shell text, read into the simple commands that it would run.

tree-sitter's bash grammar finds the structure; it forgives much that bash does not, so every place
where the two could disagree is checked against the source: what lies between two nodes, where a
heredoc ends, and that a word is one word. Whatever does not add up becomes a doubt, and a command
line with a doubt is never allowed without a person.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from assay.policies.grammar import (
    BRANCHES,
    CLAUSES,
    COMPUTES,
    EXPANSIONS,
    KEYWORDS,
    ONE_LINE,
    PARTED,
    QUOTED,
    SEQUENCES,
    STATEMENTS,
    SUBSTITUTIONS,
    outermost,
)
from assay.policies.patterns import DYNAMIC
from assay.policies.redirections import read_redirection
from assay.policies.simple_commands import ShellText, SimpleCommand
from assay.policies.words import Unreadable, Word, read_word

MAX_CHARACTERS: Final = 100_000
MAX_DEPTH: Final = 100

_TOO_DEEP: Final = "it is nested too deeply"
_FOREIGN: Final = re.compile(r"[^\S \t\n]|[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
_BLANK: Final = re.compile(r"(?:[ \t\n]|\\\n)*")
_INLINE_BLANK: Final = re.compile(r"(?:[ \t]|\\\n)*")
_LOST_DASH: Final = re.compile(r"[ \t]+-[ \t]*")
"""The grammar drops a lone `-` in front of a heredoc: `python - <<EOF`."""
_OPENING: Final = re.compile(r"(?:\{|\[\[?)[ \t\n]")
_SPLIT_OPERATOR: Final = re.compile(r"[$<>&|;({`]\\\n[^ \t\n]")
_OPENS_SUBSTITUTION: Final = re.compile(r"`|\$\((?!\()|[<>]\(")
_SEPARATORS: Final = re.compile(r"[;&|()<>\n]")
_COMPUTING_TEST: Final = re.compile(r"\s-(?:[vR]|eq|ne|lt|le|gt|ge)\s")


def read_shell(text: str) -> ShellText:
    """Return the simple commands in `text`; never raises, what cannot be read is a doubt."""
    if len(text) > MAX_CHARACTERS:
        return ShellText(doubts=[f"it is longer than {MAX_CHARACTERS} characters"])
    if foreign := _FOREIGN.search(text):
        return ShellText(doubts=[f"it holds the character {foreign.group()!r}, which can hide what is run"])
    try:
        source = text.encode()
    except UnicodeEncodeError:
        return ShellText(doubts=["it is not valid Unicode"])
    root = Parser(Language(tree_sitter_bash.language())).parse(source).root_node
    reader = _Reader(source.decode("latin-1"))
    if root.has_error:
        reader.doubt("it is not valid shell as far as assay can read it")
    if _SPLIT_OPERATOR.search(text):
        reader.doubt("a line goes on in the middle of an operator")
    try:
        reader.walk(root, 0)
    except RecursionError:  # levels of backquotes add up beyond what MAX_DEPTH counts
        reader.doubt(_TOO_DEEP)
    return reader.finish()


class _Reader:
    """Walks one syntax tree. Works on the UTF-8 bytes as Latin-1 text, so that offsets are indices."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._result = ShellText()
        self._substitutions = 0

    def finish(self) -> ShellText:
        """Return what was read, in the characters of the text."""
        result = self._result
        marks = self.source.count("`") // 2 + len(re.findall(r"\$\((?!\()|[<>]\(", self.source))
        result.hidden |= marks != self._substitutions
        if not self.source.isascii():
            result.variables = [_characters(v) for v in result.variables]
            result.commands = [
                SimpleCommand(
                    tuple(replace(w, text=_characters(w.text)) for w in c.words),
                    tuple(_characters(a) for a in c.assignments),
                    tuple(_characters(i) for i in c.inputs),
                )
                for c in result.commands
            ]
        return result

    def doubt(self, reason: str) -> None:
        if reason not in self._result.doubts:
            self._result.doubts.append(reason)

    def bashism(self) -> None:
        """Note that a plain `sh` finds other commands here. (Where it finds an error, it runs nothing.)"""
        self._result.bashisms = True

    def gap(self, start: int, end: int) -> None:
        """Check that nothing but blanks lies between two nodes."""
        if end > start and not _BLANK.fullmatch(self.source, start, end):
            self.doubt("a part of it could not be read")

    def inline(self, start: int, end: int) -> None:
        """Check that two places lie on one line, as far as the shell goes: a newline would end the command."""
        if end > start and not _INLINE_BLANK.fullmatch(self.source, start, end):
            self.doubt("a part of it could not be read")

    def touches(self, start: int, end: int) -> None:
        """Check that a blank lies between two words; a line that goes on is none."""
        if not self.source[start:end].replace("\\\n", ""):
            self.doubt("two words touch where bash sees one")

    def _parted(self, before: Node | None, after: Node) -> None:
        """Check that a newline lies between two statements that no operator parts."""
        if before is None or before.type not in PARTED or after.type not in PARTED - CLAUSES:
            return
        if "\n" not in self.source[before.end_byte : after.start_byte].replace("\\\n", ""):
            self.doubt("two commands stand where bash sees one")

    # Statements

    def walk(self, node: Node, depth: int) -> None:
        """Read a statement: every command in it is collected."""
        if depth > MAX_DEPTH:
            self.doubt(_TOO_DEEP)
            return
        kind = node.type
        if kind == "command":
            self._command(node, depth)
        elif kind in SEQUENCES:
            self._sequence(node, depth)
        elif kind == "compound_statement":
            self._compound(node, depth)
        elif kind == "redirected_statement":
            self._redirected(node, depth)
        elif kind in SUBSTITUTIONS:
            self._substitution(node, depth)
        elif kind == "variable_assignment":
            self._result.variables.append(self.word(node, depth).text)
        elif kind in ("declaration_command", "unset_command"):
            self._declaration(node, depth)
        elif kind in BRANCHES:
            self._branches(node, depth)
        elif kind == "comment":
            self._comment(node)
        else:
            self.doubt(f"it holds a construct that assay does not judge ({kind.replace('_', ' ')})")
            self._embedded(node, depth)

    def _sequence(self, node: Node, depth: int) -> None:
        check = self.inline if node.type in ONE_LINE else self.gap
        end = node.start_byte
        before: Node | None = None
        for child in node.children:
            check(end, child.start_byte)
            if node.type not in ONE_LINE:
                self._parted(before, child)
            end, before = child.end_byte, child
            if child.is_named:
                self.walk(child, depth + 1)

    def _compound(self, node: Node, depth: int) -> None:
        if not self.source.startswith("((", node.start_byte):
            self._keyword(node)
            self._sequence(node, depth)
            return
        self._result.computes = True
        self.bashism()
        self._embedded(node, depth)

    def _branches(self, node: Node, depth: int) -> None:
        """Read a loop over words, a case, a test, a function: some children are statements, some are words."""
        self._note(node)
        if node.type == "test_command":
            self._test(node)
        elif self.source.startswith(("function", "select"), node.start_byte):
            self.bashism()
        end = node.start_byte
        before: Node | None = None
        for child in node.children:
            self.gap(end, child.start_byte)
            self._parted(before, child)
            end, before = child.end_byte, child
            if child.type.endswith("_redirect"):
                read_redirection(self, child, depth)
            elif child.type in STATEMENTS and (child.type != "variable_assignment" or node.type == "case_item"):
                self.walk(child, depth + 1)
            elif child.is_named:
                self._embedded(child, depth)

    def _keyword(self, node: Node) -> None:
        """Check that `{`, `[` or `[[` stands alone: glued to a word it is a part of that."""
        if not _OPENING.match(self.source, node.start_byte):
            self.doubt("a bracket in it is a part of a word to the shell")

    def _test(self, node: Node) -> None:
        """Check that a test is a single command to the shell, as it is to the grammar."""
        self._keyword(node)
        holes = [(inner.start_byte, inner.end_byte) for inner in outermost(node, QUOTED | EXPANSIONS)]
        if not _SEPARATORS.search(self.without(node, holes).replace("\\\n", "")):
            return
        if self.source.startswith("[[", node.start_byte):
            self.bashism()
        else:
            self.doubt("a test in it goes on where the shell ends it")

    def _comment(self, node: Node) -> None:
        before = self.source[: node.start_byte]
        while before.endswith("\\\n"):
            before = before[:-2]
        if before and before[-1] not in " \t\n;|&()":
            self.doubt("what looks like a comment may be a command")

    def _substitution(self, node: Node, depth: int) -> None:
        """Read `$(…)`, backquotes or `<(…)`."""
        self._substitutions += 1
        raw = self.source[node.start_byte : node.end_byte]
        if raw.startswith("`") and "\\" in raw:  # backquotes take off a level of backslashes before the shell reads
            self._nested(re.sub(r"\\([$`\\])", r"\1", raw[1:-1]))
            return
        end = node.start_byte
        before: Node | None = None
        for child in node.children:
            self.gap(end, child.start_byte)
            self._parted(before, child)
            end, before = child.end_byte, child
            if child.type == "file_redirect":  # `$(< file)`
                read_redirection(self, child, depth)
            elif child.is_named:
                self.walk(child, depth + 1)

    def _nested(self, code: str) -> None:
        inner = read_shell(_characters(code))
        self._result.commands += inner.commands
        self._result.variables += inner.variables
        self._result.computes |= inner.computes
        self._result.bashisms |= inner.bashisms
        for reason in inner.doubts:
            self.doubt(reason)

    # Commands

    def _command(self, node: Node, depth: int) -> None:
        assignments: list[str] = []
        words: list[Word] = []
        inputs: list[str] = []
        end = node.start_byte
        for child in node.children:
            self.inline(end, child.start_byte)
            kind = child.type
            if kind.endswith("_redirect"):
                found = read_redirection(self, child, depth)
                words += found.words
                inputs += found.inputs
                if self.source.startswith("&>", child.start_byte):
                    self.bashism()
            else:
                if end > node.start_byte:
                    self.touches(end, child.start_byte)
                word = self.word(child, depth)
                if kind == "variable_assignment":
                    assignments.append(word.text)
                else:
                    words.append(word)
                    if kind == "command_name" and not word.quoted and word.text in KEYWORDS:
                        self.doubt(f"`{word.text}` stands where a command should")
            end = child.end_byte
        self._result.commands.append(SimpleCommand(tuple(words), tuple(assignments), tuple(inputs)))

    def _declaration(self, node: Node, depth: int) -> None:
        words: list[Word] = []
        end = node.start_byte
        for child in node.children:
            self.inline(end, child.start_byte)
            if words:
                self.touches(end, child.start_byte)
            end = child.end_byte
            words.append(self.word(child, depth))
        self._result.commands.append(SimpleCommand(tuple(words)))

    def _redirected(self, node: Node, depth: int) -> None:
        """Read a statement with redirections; words behind a redirection belong to its command."""
        words: list[Word] = []
        inputs: list[str] = []
        body: Node | None = None
        commands = self._result.commands
        target: int | None = None
        end = node.start_byte
        for child in node.children:
            if child.type == "heredoc_redirect" and _LOST_DASH.fullmatch(self.source, end, child.start_byte):
                words.append(Word("-"))
            else:
                self.inline(end, child.start_byte)
            end = child.end_byte
            if child.type.endswith("_redirect"):
                found = read_redirection(self, child, depth)
                words += found.words
                inputs += found.inputs
            else:
                before = len(commands)
                body = child
                self.walk(child, depth + 1)
                target = len(commands) - 1 if len(commands) > before else None
        if words and (body is None or body.type != "command"):
            if body is not None:
                self.doubt("words stand behind a redirection where no command can take them")
            commands.append(SimpleCommand(tuple(words), inputs=tuple(inputs)))
        elif target is not None:
            old = commands[target]
            commands[target] = replace(old, words=(*old.words, *words), inputs=(*old.inputs, *inputs))

    # Words

    def word(self, node: Node, depth: int) -> Word:
        """Return a word without its quotes; one that is not a single word is dynamic, and a doubt."""
        raw = self.source[node.start_byte : node.end_byte]
        if "$'" in raw and "\\'" in raw:  # the string ends elsewhere for a shell without `$'…'`
            self.bashism()
        holes = self.holes(node, depth) if node.child_count else []
        if node.type == "variable_assignment" and (array := re.match(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=(?=\()", raw)):
            self._readable(self.without(node, holes))
            return Word(array.group() + DYNAMIC)
        try:
            return read_word(raw, [(start - node.start_byte, end - node.start_byte) for start, end in holes])
        except Unreadable:
            self.doubt("a word of it could not be read")
            return Word(DYNAMIC)

    def holes(self, node: Node, depth: int) -> list[tuple[int, int]]:
        """Return where a word expands, outermost, having read what the expansions themselves run."""
        return self._outermost(node, depth, EXPANSIONS)

    def _outermost(self, node: Node, depth: int, kinds: frozenset[str]) -> list[tuple[int, int]]:
        if depth > MAX_DEPTH:
            self.doubt(_TOO_DEEP)
            return []
        self._note(node)
        if node.type in kinds:
            if node.type in SUBSTITUTIONS:
                self.walk(node, depth + 1)
            elif node.type != "simple_expansion":
                self._embedded(node, depth + 1)
            return [(node.start_byte, node.end_byte)]
        return [hole for child in node.children for hole in self._outermost(child, depth + 1, kinds)]

    def _embedded(self, node: Node, depth: int) -> None:
        """Read a place that is no command but may hold substitutions: arithmetic, a test, `${…}`."""
        self._note(node)
        if node.type in SUBSTITUTIONS:
            self.walk(node, depth + 1)
            return
        raw = self.source[node.start_byte : node.end_byte]
        if node.type == "expansion" and (raw.startswith("${!") or re.search(r"@[A-Za-z]\}$", raw)):
            self._result.computes = True
        holes = [hole for child in node.children for hole in self._outermost(child, depth + 1, SUBSTITUTIONS)]
        self._readable(self.without(node, holes))

    def _note(self, node: Node) -> None:
        """Note whether a node computes with text."""
        testing = node.type == "test_command"
        if node.type in COMPUTES or (testing and _COMPUTING_TEST.search(self.source, node.start_byte, node.end_byte)):
            self._result.computes = True

    def without(self, node: Node, holes: list[tuple[int, int]]) -> str:
        """Return the source of a node with the given places taken out."""
        parts: list[str] = []
        at = node.start_byte
        for start, end in holes:
            parts.append(self.source[at:start])
            at = end
        return " ".join([*parts, self.source[at : node.end_byte]])

    def _readable(self, text: str) -> None:
        if _OPENS_SUBSTITUTION.search(text):
            self.doubt("it holds a substitution that assay could not read")


def _characters(text: str) -> str:
    return text.encode("latin-1").decode(errors="replace")
