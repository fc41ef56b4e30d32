"""Patterns find what people expect of them, and nothing that begins with a dot by accident."""

from __future__ import annotations

import pytest

from assay.agents.globs import compile_glob


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc", ".a.py", "a.py/b"]),
        ("/*.py", ["a.py"], ["x/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py", "src/.x/a.py", "src/a.txt"]),
        ("**/*.py", ["a.py", "x/a.py"], [".github/a.py"]),
        ("src/**", ["src/a", "src/x/y"], ["src", "other/a"]),
        ("*.{yml,yaml}", ["a.yml", "x/b.yaml"], ["a.yl", "a.{yml,yaml}"]),
        ("{a,b{c,d}}.txt", ["a.txt", "bc.txt", "bd.txt"], ["b.txt"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[ab]*.md", ["a1.md", "b.md"], ["c.md"]),
        ("[!ab].md", ["c.md"], ["a.md"]),
        (".env", [".env", "x/.env"], ["env"]),
        (".github/**/*.yml", [".github/w/a.yml"], ["github/w/a.yml"]),
        ("a+b(1).txt", ["a+b(1).txt"], ["aab1.txt"]),
        ("a[.txt", ["a[.txt"], ["a.txt"]),
        ("[a-c].py", ["b.py"], ["d.py", "-.py"]),
        ("[\\]x.py", ["\\x.py"], ["x.py"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, hits: list[str], misses: list[str]) -> None:
    """Names at any depth, paths from the root, alternatives, classes."""
    matches = compile_glob(pattern)
    assert [path for path in hits if not matches(path)] == []
    assert [path for path in misses if matches(path)] == []


@pytest.mark.parametrize("pattern", ["", "/", "{a,b}" * 7])
def test_a_pattern_that_is_none(pattern: str) -> None:
    """Nothing, and alternatives without end, are refused."""
    with pytest.raises(ValueError, match=r"empty|alternatives"):
        compile_glob(pattern)
