"""Words of a command, as bash sees them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from assay.policies.patterns import BREAK, DYNAMIC, CommandPattern, PatternIndex
from assay.policies.words import Unreadable, Word, read_word

PIECES = (
    "a", "b", " ", "'", '"', "\\", "$", "$'", '$"', "\\n", "\\x41", "\\101", "\\u0041", "\\u00e9", "\\'", '\\"',
    "\\$", "\\\\",
    "\\\n", "#", "{", "}", ",", "*", "?", "[", "]", "~", "/", "=", ":", "!", "%", "^", ";", "(", "é", "-", "..", "1",
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
@example("$'a\\'b'")
@example("a'b'\"c\"\\d")
@example('"a\\\nb\\x\\$"')
@example("$'\\u0067\\x74'")
@example("\\\n#")
@example("$\\\n'\\x41'")
def test_a_literal_word_is_what_bash_makes_of_it(runs: Callable[[str, str], list[str]], raw: str) -> None:
    """Where a word is read as literal, bash passes just that text, as one argument."""
    assume("\n" not in raw.replace("\\\n", ""))
    try:
        word = read_word(raw.encode().decode("latin-1"))
    except Unreadable:
        return
    if not word.literal:
        return
    text = word.text.encode("latin-1").decode()
    assume("\n" not in text)
    assert runs("bash", f"git {raw}") == [f"git {text}"]


@pytest.mark.parametrize(
    ("raw", "holes", "word"),
    [
        ("a$X", [(1, 3)], Word(f"a{DYNAMIC}", splits=True)),
        ('"a$X"', [(2, 4)], Word(f"a{DYNAMIC}", quoted=True)),
        ('"$@"', [(1, 3)], Word(DYNAMIC, quoted=True, splits=True)),
        ("a{b,c}d", [], Word(f"a{DYNAMIC}", splits=True)),
        ("{}", [], Word("{}")),
        ("x@{1}", [], Word("x@{1}")),
        ("a*b", [], Word(f"a{DYNAMIC}b", splits=True)),
        ("~/x", [], Word(f"{DYNAMIC}/x")),
        ("a~", [], Word("a~")),
        ("[ab]c", [], Word(DYNAMIC, splits=True)),
        ("[", [], Word("[")),
        ("'*'", [], Word("*", quoted=True)),
        ("[a'b'\"c\"\\d$X]", [(10, 12)], Word(DYNAMIC, quoted=True, splits=True)),
        ("a$", [], Word("a$")),
        ('"a$"', [], Word("a$", quoted=True)),
    ],
)
def test_what_an_expansion_decides_is_marked(raw: str, holes: list[tuple[int, int]], word: Word) -> None:
    """Globs, braces, tildes and expansions stand for any text; quotes take that away."""
    assert read_word(raw, holes) == word


@pytest.mark.parametrize(
    "raw", ["a b", "a;b", "#a", "'a", '"a', "a\\", "$X", '"$X"', '"`a`"', "a`b`", "$'a", "$'a\\0b'", "$'\\cx'", "[a;b]",
            "$'\\u00e9'", "a<b"]
)  # fmt: skip
def test_what_is_no_single_word_is_refused(raw: str) -> None:
    """Separators, open quotes, and expansions that the grammar did not find."""
    with pytest.raises(Unreadable):
        read_word(raw)


def _text(*words: str) -> str:
    return BREAK.join(words)


@pytest.mark.parametrize(
    ("pattern", "words", "covers", "may_meet"),
    [
        ("git push *", ["git", "push"], True, True),
        ("git push *", ["git", DYNAMIC], False, True),
        ("git push *", [DYNAMIC], False, True),
        ("git push *", [DYNAMIC, "pull"], False, True),
        ("git push", [DYNAMIC, "pull"], False, False),
        ("git push *", ["g" + DYNAMIC, "push"], False, True),
        ("git push *", ["h" + DYNAMIC, "push"], False, False),
        ("git push", ["git", f"p{DYNAMIC}h"], False, True),
        ("git push", ["git", f"p{DYNAMIC}x"], False, False),
        ("echo *", ["echo", DYNAMIC], True, True),
        ("a?c", ["abc"], True, True),
        ("a?c", [f"a{DYNAMIC}c"], False, True),
        ("* x", ["a", "b", "x"], True, True),
        ("*", [DYNAMIC], True, True),
        ("a b", ["a b"], False, True),
    ],
)
def test_patterns_know_what_is_certain_and_what_is_possible(
    pattern: str, words: list[str], covers: bool, may_meet: bool
) -> None:
    """`allow` needs certainty; `deny` hears possibility."""
    compiled = CommandPattern(pattern)
    assert compiled.covers(_text(*words)) is covers
    assert compiled.may_meet(_text(*words)) is may_meet


_PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", " ", DYNAMIC]), max_size=7).map("".join)


@settings(max_examples=400, deadline=None)
@given(_PARTS, _PARTS, st.lists(st.text("ab ", max_size=3), max_size=3))
def test_no_filling_escapes_a_pattern(pattern: str, template: str, fillings: list[str]) -> None:
    """Whatever the dynamic places turn out to be: a filled text that fits was possible, a covered one fits."""
    pattern = re.sub(r" +", " ", pattern.replace(DYNAMIC, "")).strip() or "*"
    text = template.replace("*", "a").replace("?", "b").replace(" ", BREAK)
    filled = text
    for filling in fillings:
        filled = filled.replace(DYNAMIC, filling.replace(" ", BREAK), 1)
    filled = filled.replace(DYNAMIC, "")
    compiled = CommandPattern(pattern)
    if compiled.meets(filled):
        assert compiled.may_meet(text)
        assert [n for n, _ in PatternIndex([compiled]).candidates(text)] == [0]
    if compiled.covers(text):
        assert compiled.meets(filled)
