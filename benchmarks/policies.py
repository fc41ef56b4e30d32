"""How long a decision takes, and how long a large policy takes to load.

Run with `python benchmarks/policies.py`. Prints a table: medians over repeated runs on this machine,
with the bound that each must keep to; exits with 1 where one does not. The floor is measured in the same run: what the
bash parser alone takes for the same commands, and what the TOML parser alone takes for the same file.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
import tomllib
from collections.abc import Callable

import tree_sitter_bash
from tree_sitter import Language, Parser

from assay.policies.defaults import default_role
from assay.policies.loading import combine_layers, parse_settings, read_layer
from assay.policies.rules import RuleBook

ORDINARY = (
    "pytest -q tests/test_api.py",
    "cd src && python -m pytest -x 2>&1 | tail -n 20",
    "git status --short",
    "git add -A && git commit -m 'Mend the parser'",
    "grep -rn 'def parse' src | head -5",
    "find . -name '*.py' -not -path './.venv/*' | xargs grep -l TODO",
    'for f in tests/*.py; do python "$f" || echo "failed: $f"; done',
    "cat > src/a.py <<'EOF'\nimport os\n\n\ndef a() -> int:\n    return 1\nEOF",
    "python - <<'EOF'\nfrom pkg import a\nprint(a())\nEOF",
    "timeout 60 env PYTHONPATH=src python -c 'import pkg; print(pkg.__version__)'",
)
UNKNOWN = (
    "uv run pytest -k 'a and not b'",
    "npm run build -- --msg 'it is done'",
    "strace -f sh -c 'git log | head -3'",
    "jq '.[] | select(.a == $x)' data.json",
    "python -c \"print('hello world')\"",
)
"""What programs that assay does not know may run is looked for in their arguments."""
LAYERS = ('[agents."*".rules]\nask = ["execute(curl *)"]\n', "[budget]\ntokens = 1000\n")
LONG = " && ".join(f"echo {n} | grep -c {n}" for n in range(40))
QUOTED = "python -c '" + '\\"' * 8_000 + "'"
ARGUMENTS = "strace " + "a " * 8_000
"""16 KB of what is looked at closely: quotes in code, and arguments that may be names of programs."""
RULES = 1_000
MEDIAN_MS = 1.0
LONG_MS = 1_000.0
LOAD_MS = 200.0


def main() -> int:
    """Measure, print, and say by the exit code whether the bounds were kept."""
    large = large_policy()
    built_in = RuleBook(default_role("coder").rules)
    rules = parse_settings(large, name="large").role("coder").rules
    many = RuleBook(rules)
    rows = [
        ("decide, built-in rules, ordinary commands", _median(built_in, ORDINARY), MEDIAN_MS),
        (f"decide, {RULES} rules, ordinary commands", _median(many, ORDINARY), MEDIAN_MS),
        ("floor: parse ordinary commands as bash", _floor(ORDINARY), None),
        ("decide, built-in rules, text in unknown programs", _median(built_in, UNKNOWN), MEDIAN_MS),
        ("decide, built-in rules, a line of 80 commands", _median(built_in, (LONG,)), None),
        ("decide, built-in rules, 16 KB of quotes", _timed(lambda: _decide(built_in, QUOTED), 5), LONG_MS),
        ("decide, built-in rules, 16 KB of arguments", _timed(lambda: _decide(built_in, ARGUMENTS), 5), LONG_MS),
        (f"load a file of {RULES} rules", _timed(lambda: parse_settings(large, name="large"), 15), LOAD_MS),
        (f"load it below {len(LAYERS)} other layers", _timed(lambda: _layered(large), 15), LOAD_MS),
        ("load it below itself", _timed(lambda: _layered(large, large), 5), None),
        ("floor: parse that file as TOML", _timed(lambda: tomllib.loads(large), 15), None),
        (f"make a rule book of {RULES} rules", _timed(lambda: RuleBook(rules), 15), None),
        ("load an empty file", _timed(lambda: parse_settings("", name="empty"), 15), None),
    ]
    print(f"Python {platform.python_version()}, {platform.machine()}; medians, ms\n")
    print(f"{'what':<50}{'ms':>9}{'bound':>9}")
    for what, milliseconds, bound in rows:
        print(f"{what:<50}{milliseconds:>9.3f}{bound if bound is not None else '':>9}")
    return 0 if all(bound is None or milliseconds < bound for _, milliseconds, bound in rows) else 1


def _decide(book: RuleBook, command: str) -> None:
    book.decide("execute", {"command": command})


def _layered(text: str, *above: str) -> None:
    layers = [read_layer(upper, name=f"upper {number}") for number, upper in enumerate((*LAYERS, *above))]
    combine_layers([*layers, read_layer(text, name="large")])


def _floor(commands: tuple[str, ...]) -> float:
    """Return the median of what tree-sitter takes to parse the commands, in milliseconds."""
    parser = Parser(Language(tree_sitter_bash.language()))
    taken = []
    for _ in range(60):
        for command in commands:
            start = time.perf_counter()
            parser.parse(command.encode())
            taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def large_policy() -> str:
    """Return an `assay.toml` with a thousand rules of all kinds, some of them with examples."""
    deny = [f"execute(tool{n} remove *)" for n in range(RULES // 4)]
    deny += [f"execute(tool{n}x*)" for n in range(RULES // 4)]
    allow = [f"execute(make target{n} *)" for n in range(RULES // 4)] + [f"write_file(src/p{n}/**)" for n in range(149)]
    tested = [
        f'{{ rule = "execute(run{n} *)", matches = ["run{n} a"], not_matches = ["walk"] }}' for n in range(RULES // 10)
    ]
    quoted = ", ".join(f'"{rule}"' for rule in [*allow, "execute(*)"])
    return f"[agents.coder.rules]\ndeny = {deny}\nask = [{', '.join(tested)}]\nallow = [{quoted}]\n"


def _median(book: RuleBook, commands: tuple[str, ...]) -> float:
    """Return the median over commands and repetitions, in milliseconds."""
    taken = []
    for _ in range(60):
        for command in commands:
            start = time.perf_counter()
            book.decide("execute", {"command": command})
            taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def _timed(work: Callable[[], object], repetitions: int) -> float:
    """Return the median of what a piece of work takes, in milliseconds."""
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
