"""Command lines, taken apart."""

from __future__ import annotations

import pytest

from assay.policies.commands import read_command_line


def parts(text: str) -> list[str]:
    return [part.text for part in read_command_line(text).parts if not part.wraps]


def doubts(text: str) -> list[str]:
    return read_command_line(text).doubts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b && c; d &", ["a", "b", "c", "d"]),
        ("a $(b) `c` <(d) \"$(e)\"", ["b", "c", "d", "e", "a … … … …"]),
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("for x in $(a); do b; done; until c; do d; done", ["a", "b", "c", "d"]),
        ("case $(a) in b) c;; *) d; e;; esac", ["a", "c", "d", "e"]),
        ("f() { a; }; function g { b; }; { c; }; ( d ); ! e", ["…", "a", "b", "c", "d", "e"]),
        ("[ -f a ] && b; [[ $(c) == d && -n e ]]", ["…", "b", "c"]),
        ("a=$(b) c[1]=$(d) e", ["b", "d", "a=… c… e"]),
        ("a >f b <g c 2>&1 d", ["a b c d"]),
        (">f a b", ["a b"]),
        ("a <<E && c\n$(d)\nE\ne", ["a", "c", "d", "e"]),
        ("a <<E b c\nE\nd", ["a b c", "d"]),
        ("timeout -k 1 -s KILL 5 nice -n5 nohup a b", ["a b"]),
        ("nice -10 a", ["a"]),
        ("env -i -u X --chdir=/ A=1 B=2 a", ["A=1 B=2 a"]),
        ("xargs -0rn1 -P 2 a b", ["a b …"]),
        ("xargs -I{} a {} x{}", ["a … x…"]),
        ("xargs --replace=% a %", ["a …"]),
        ("find . -exec a {} ';' -o -execdir b {} +", ["find . -exec a {} ; -o -execdir b {} +", "a …", "b …"]),
        ("sudo -u x -n a", ["sudo -u x -n a", "a"]),
        ("chroot /x a", ["chroot /x a", "a"]),
        ("bash -euo pipefail -c 'a; b' x y", ["a", "b"]),
        ("sh -c -- a", ["a"]),
        ("bash script.sh x", ["bash script.sh x"]),
        ("bash --version", ["bash --version"]),
        ("eval -- a 'b; c'", ["a b", "c"]),
        ("trap -- 'a; b' EXIT INT; trap - INT; trap -p", ["a", "b"]),
        ("command -v a; command -p b; builtin c; exec -a n d", ["command -v a", "b", "c", "d"]),
        ("coproc a; time -p b", ["a", "b"]),
        ("busybox sh -c 'toybox a'", ["a"]),
        ("source x; . y", ["source x", ". y"]),
        ("exec 3>f; X=1; X=1 Y=2", []),
        ("PATH=.; export A=1 B; unset C", ["export A=1 B", "unset C", "PATH=."]),
        ("é 'ü'", ["é ü"]),
        ("", []),
        ("# only a comment", []),
    ],
)  # fmt: skip
def test_everything_that_would_run_is_found(text: str, expected: list[str]) -> None:
    """In the order of the text, wrappers left out; `…` is what is known only when it runs."""
    assert parts(text) == expected
    assert doubts(text) == []


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("a 'b", "not valid shell"),
        ("a\x07", "the character '\\x07'"),
        ("a\u2028b", "which can hide what is run"),
        ("\ud800", "not valid Unicode"),
        ("x" * 100_001, "longer than 100000"),
        ("$a b", "known only when it runs"),
        ("'' b", "name is empty"),
        ("a b\\\nc", "two words touch"),
        ("a b\\\n#c", "may be a command"),
        ("cat <<E\n`a`\nE", "quote its delimiter"),
        ("echo ${x:-`a`}", "a substitution that assay could not read"),
        ("(" * 150 + "a" + ")" * 150, "nested too deeply"),
        ("eval " * 20 + "a", "wrapped too often"),
        ("timeout --unknown 5 a", "`timeout` runs could not be found"),
        ("env $X a", "`env` runs could not be found"),
        ("timeout $X a", "`timeout` runs could not be found"),
        ("nice -nX$Y a", "`nice` runs could not be found"),
        ("bash -Z a", "does not know bash's option -Z"),
        ("bash", "reads its commands from its input"),
        ("bash -s <<A <<B\nA\nB", "not valid shell"),
        ('bash -c "$X"', "shell code in it is known only when it runs"),
        ("bash /dev/stdin", "the script is known only when it runs"),
        ("source <(a)", "the script is known only when it runs"),
        ("hash -p x y", "changes what names mean"),
        ("fish -c a", "the language of fish"),
        ("git -c alias.a=push a", "gives a git command another name"),
        ("GIT_CONFIG_PARAMETERS=\"'alias.st=push'\" git st", "changes what git's commands run"),
        ("env GIT_CONFIG_COUNT=1 git x", "changes what git's commands run"),
        ("GIT_CONFIG_GLOBAL=f; git x", "changes what git's commands run"),
        ("export GIT_CONFIG_GLOBAL=f; git x", "changes what git's commands run"),
        ('export "$V"; git x', "whose name is known only when it runs"),
        ("a | python -", "reads its code from its input"),
        ("let 'a[$(b)]'", "hands text that holds a command"),
        ("x='a[$(b)]'; bash -c '((x))'", "hands text that holds a command"),
        ("x='$(b)'; echo ${x@P}", "hands text that holds a command"),
        ("a\n\\\nb", "could not be read"),
        ("cat <<E\n$\\\n(a)\nE", "in the middle of an operator"),
        ("true &&{a,b} { x\n}", "a bracket in it is a part of a word"),
        ("[ -f a\n]", "goes on where the shell ends it"),
        ("export A\n\\\nb", "could not be read"),
        ("! a\n\\\nb", "could not be read"),
        ("bash -c - $X", "known only when it runs"),
        ("} a", "`}` stands where a command should"),
        ("a <<E b && c\nE", "not valid shell"),
        ("(a) >f b", "where no command can take them"),
    ],
)
def test_what_does_not_add_up_is_a_doubt(text: str, doubt: str) -> None:
    """Each check between the grammar and the source, seen firing."""
    assert any(doubt in found for found in doubts(text)), doubts(text)


def test_text_that_shells_read_differently_is_open() -> None:
    """What is a test to bash may be a command to dash; inside of `bash -c` it is a test."""
    for text in (
        "[[ a || b ]]",
        "((a))",
        "a &>f b",
        "&>f a",
        "a $'\\'b'",
        "select x in a; do b; done",
        "function f { a; }",
        "timeout 52>&1 a b",
    ):
        assert any(part.open for part in read_command_line(text).parts), text
    for text in ("[[ -f a ]] && b", "a &>f && b", "a $'b'", "a <<< b", "[[ a == '(b|c)' ]]"):
        assert not any(part.open for part in read_command_line(text).parts), text
    assert not any(part.open for part in read_command_line("bash -c '[[ a || b ]]'").parts)
    assert any(part.open for part in read_command_line("sh -c '[[ a || b ]]'").parts)


@pytest.mark.parametrize(
    "text",
    [
        "git grep 'git push' docs",
        "git commit --message='git push fails'",
        "git log --grep='git push' --pretty='%h %s'",
        "GIT_PAGER=cat git log",
        "GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git status",
        "rg -n 'git push' src",
        "pip install x",
    ],
)
def test_text_that_no_option_runs_is_no_command(text: str) -> None:
    """What is only searched for or written down is neither doubted nor taken for a command."""
    line = read_command_line(text)
    assert (line.doubts, [part for part in line.suspicions if "push" in part.text]) == ([], [])
    assert not any("push" in part.mentions for part in line.parts)
