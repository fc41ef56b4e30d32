"""Tool rules: what is denied, asked and allowed, and why."""

from __future__ import annotations

import time

import pytest

from assay.errors import ConfigurationError
from assay.policies.defaults import default_role
from assay.policies.rules import RuleBook, check_examples, decide
from assay.policies.settings import ToolRule, ToolRules

BROAD = ToolRules(deny=("execute(git push *)", "execute(sudo *)"), allow=("execute(*)",))
NARROW = ToolRules(
    deny=("execute(git push *)",), ask=("execute(git commit *)",), allow=("execute(pytest *)", "execute(git *)")
)


def outcome(rules: ToolRules, command: str) -> str:
    return decide(rules, "execute", {"command": command}).outcome


def test_what_no_rule_names_is_denied() -> None:
    """Absence denies: no rules at all, no rule for the tool, no rule for the command."""
    assert decide(ToolRules(), "execute", {"command": "ls"}).outcome == "deny"
    assert decide(ToolRules(), "read_file", {"file_path": "/workspace/a"}).outcome == "deny"
    assert decide(NARROW, "write_file", {"file_path": "a"}).outcome == "deny"
    decision = decide(NARROW, "execute", {"command": "pytest -q && make"})
    assert (decision.outcome, decision.part) == ("deny", "make")
    assert decision.reason == "no rule allows `make`"


def test_deny_goes_before_ask_before_allow() -> None:
    """The lists are judged in that order, and the strictest part of a line decides."""
    assert outcome(NARROW, "git status") == "allow"
    assert outcome(NARROW, "git commit -m x") == "ask"
    assert outcome(NARROW, "git push") == "deny"
    assert outcome(NARROW, "git status && git commit -m x") == "ask"
    assert outcome(NARROW, "git commit -m x; git push") == "deny"


def test_a_decision_names_rule_place_and_part() -> None:
    """A person can find the rule that decided."""
    book = RuleBook(BROAD, origin="agents.coder.rules")
    decision = book.decide("execute", {"command": "cd src && timeout 5 sudo make install"})
    assert decision.rule == "execute(sudo *)"
    assert decision.place == "agents.coder.rules.deny[1]"
    assert decision.part == "sudo make install"


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q tests 2>&1 | tail -n 20",
        "cd src && python -m pytest -x",
        'for f in *.py; do python -m py_compile "$f"; done',
        "python - <<'EOF'\nprint(1)\nEOF",
        "cat > a.py <<'EOF'\nx = `y`\nEOF",
        "if [ -f x ]; then ls; fi",
        "[[ -f x && $y == *.py ]] && ls",
        "git commit -m 'explain why git push fails'",
        "grep -rn 'git push' docs",
        "find . -name '*.py' | xargs grep -n foo",
        "sed -i 's/a/b/' x && git diff",
        "X=1 make -j4 >log 2>&1 &",
        "i=0; while [ $i -lt 3 ]; do i=$((i+1)); done",
        "source .venv/bin/activate && pytest",
        'echo "$(date) $HOME ${X:-y}"',
        "printf '%s' 'x `y`' > f",
        "timeout 60 python x.py",
        "curl -s http://127.0.0.1:8000/health",
        "npm test -- --run",
        "ls -la | sort | uniq -c # git push",
    ],
)
def test_ordinary_commands_pass_under_a_broad_rule(command: str) -> None:
    """What agents do all day does not wake a person."""
    decision = decide(BROAD, "execute", {"command": command})
    assert decision.outcome == "allow", decision.reason


@pytest.mark.parametrize(
    "command",
    [
        "cd x; git push",
        "echo $(git push)",
        "echo `git push`",
        "(git push) | cat",
        "cat <<E\n$(git push)\nE",
        "bash -c 'sh -c \"git push\"'",
        "env A=1 nohup timeout -k 1 5 nice -n 3 git push",
        "find . -exec git push ';'",
        "xargs git push",
        "eval 'git push'",
        "/usr/bin/git push",
        "git -C .. --no-pager push",
        "git --git-dir=.git push origin main",
        "trap 'git push' EXIT",
        "busybox sh -c 'git push'",
        "A=1 git push",
        "if git push; then :; fi",
        "sudo true",
        "command sudo -n true",
    ],
)
def test_a_denied_command_is_denied_wherever_it_stands(command: str) -> None:
    """Known wrappers are looked through."""
    assert outcome(BROAD, command) == "deny"


@pytest.mark.parametrize(
    "command",
    [
        "$X push",
        "git $X",
        "*/g push",
        "echo 'git push' | sh",
        "bash <(echo git push)",
        'eval "$X"',
        "strace -f git push",
        "ssh host git push",
        "watch 'git push'",
        "python -c \"import os; os.system('git push')\"",
        "python <<E\nimport subprocess\nsubprocess.run(['git', 'push'])\nE",
        "alias g=git; g push",
        "git -c alias.x=push x",
        "echo 'unclosed",
        "git\u00a0push",
        "cat <<E\n`x`\nE",
        "test -v 'a[$(git push)]'",
        "bash --rcfile x -c true",
        "zsh -c 'git push'",
        "make | python",
    ],
)
def test_what_cannot_be_told_is_asked(command: str) -> None:
    """Dynamic names, unknown languages and text that does not parse go to a person, and no further."""
    assert outcome(BROAD, command) == "ask"


def test_asking_needs_something_that_could_be_allowed() -> None:
    """Where no rule allows any command, a person is not troubled."""
    assert outcome(ToolRules(deny=("execute(git push *)",), allow=("read_file(*)",)), "$X") == "deny"


def test_allowed_means_certain() -> None:
    """Under a list of commands, only what surely is one of them passes."""
    rules = ToolRules(allow=("execute(git status)", "execute(pytest *)", "execute(echo * done)"))
    assert outcome(rules, "pytest $ARGS 'a b'") == "allow"
    assert outcome(rules, "git $X") == "ask"
    assert outcome(rules, "git $X x") == "deny"
    assert outcome(rules, "git status -s") == "deny"
    assert outcome(rules, "'git status'") == "deny"
    assert outcome(rules, "echo a b done") == "allow"
    assert outcome(rules, "./pytest") == "deny"
    assert outcome(rules, "PATH=. pytest") == "deny"
    assert outcome(rules, "PATH=.; pytest") == "deny"
    assert outcome(rules, "X=1; pytest") == "allow"
    assert outcome(rules, "env PATH=. pytest") == "deny"
    assert outcome(rules, "PATH=. bash -c pytest") == "deny"
    assert outcome(rules, "sudo pytest") == "deny"
    assert outcome(rules, "timeout 5 pytest") == "allow"
    assert outcome(rules, "[[ -f x ]] && pytest") == "allow"
    assert outcome(rules, "[[ -f x || -f y ]] && pytest") == "ask"


def test_a_trailing_star_means_with_or_without_arguments() -> None:
    """`git push *` is about `git push`, and not about `git pushx`; `git push*` is about both."""
    assert outcome(ToolRules(deny=("execute(a b *)",), allow=("execute(*)",)), "a b") == "deny"
    assert outcome(ToolRules(deny=("execute(a b *)",), allow=("execute(*)",)), "a bc") == "allow"
    assert outcome(ToolRules(deny=("execute(a b*)",), allow=("execute(*)",)), "a bc") == "deny"
    assert outcome(ToolRules(deny=(r"execute(a \*)",), allow=("execute(*)",)), "a '*'") == "deny"
    assert outcome(ToolRules(deny=(r"execute(a \*)",), allow=("execute(*)",)), "a b") == "allow"
    assert outcome(ToolRules(deny=("execute(a ?)",), allow=("execute(*)",)), "a b") == "deny"
    assert outcome(ToolRules(deny=("execute(a ?)",), allow=("execute(*)",)), "a bc") == "allow"


def test_options_between_the_words_do_not_hide_a_denied_command() -> None:
    """`npm --silent publish` is `npm publish`."""
    rules = ToolRules(deny=("execute(npm publish *)",), allow=("execute(*)",))
    assert outcome(rules, "npm --silent publish --tag x") == "deny"
    assert outcome(rules, "npm run publish") == "allow"


def test_hostile_lengths_and_depths_are_answered() -> None:
    """A megabyte, a thousand levels, a thousand parts: an answer, and never `allow` by accident."""
    assert outcome(BROAD, "echo " + "x" * 1_100_000) == "ask"
    assert outcome(BROAD, "(" * 500 + "git push" + ")" * 500) in ("ask", "deny")
    assert outcome(BROAD, "echo " + "$(echo " * 300 + ")" * 300) == "ask"
    assert outcome(BROAD, "; ".join(["ls"] * 1000 + ["git push"])) == "deny"
    assert outcome(BROAD, "eval " * 40 + "git push") in ("ask", "deny")
    assert outcome(BROAD, "git push \ud800") == "ask"
    assert outcome(BROAD, "") == "allow"


@pytest.mark.parametrize("args", [{}, {"command": None}, {"command": ["git", "push"]}, {"command": 5}])
def test_a_call_without_a_command_is_denied(args: dict[str, object]) -> None:
    """Arguments are not believed to be of their type."""
    assert decide(BROAD, "execute", args).outcome == "deny"  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "execute(", "execute()", "(x)", "exec ute(x)", "execute(x) y", "5(x)"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    """A typing error in a rule does not become a rule that never fits."""
    with pytest.raises(ConfigurationError, match="is not a tool rule"):
        RuleBook(ToolRules(deny=(text,)))


def test_rules_are_held_against_their_examples() -> None:
    """Each example is tried with the rule alone; a wrong one is named."""
    good = ToolRule(rule="execute(git push *)", matches=("git push", "env git push x"), not_matches=("git pull",))
    paths = ToolRule(rule="write_file(src/**)", matches=("src/a.py",), not_matches=("src/../tests/a.py", "/etc/passwd"))
    other = ToolRule(rule='deploy(*"env":"live"*)', matches=('{"env": "live"}',), not_matches=('{"env": "test"}',))
    assert check_examples(ToolRules(deny=(good,), allow=(paths,), ask=(other,))) == ()
    bad = ToolRule(rule="execute(git push)", matches=("git push origin",), not_matches=("git push",))
    problems = check_examples(ToolRules(deny=(good, bad)))
    assert [(effect, number) for effect, number, _ in problems] == [("deny", 1), ("deny", 1)]
    assert "does not match its example 'git push origin'" in problems[0][2]
    assert "matches its example 'git push'" in problems[1][2]


def test_other_tools_are_judged_by_their_arguments() -> None:
    """A tool that a platform adds is judged on its arguments as JSON."""
    rules = ToolRules(deny=('deploy(*"live"*)',), allow=("deploy",))
    assert decide(rules, "deploy", {"env": "live"}).outcome == "deny"
    assert decide(rules, "deploy", {"env": "test"}).outcome == "allow"
    assert decide(rules, "launch", {}).outcome == "deny"


@pytest.mark.parametrize("role", ["planner", "tester", "coder", "reviewer"])
def test_the_built_in_rules_let_a_role_work_and_stop_what_makes_no_sense(role: str) -> None:
    """Reading and executing is free inside of the sandbox; reaching out of it is not."""
    book = RuleBook(default_role(role).rules)
    assert book.decide("execute", {"command": "python -m pytest -q | tail -3"}).outcome == "allow"
    assert book.decide("read_file", {"file_path": "/workspace/src/a.py"}).outcome == "allow"
    assert book.decide("read_file", {"file_path": "/usr/lib/python3.11/os.py"}).outcome == "allow"
    assert book.decide("grep", {"pattern": "x", "path": None, "glob": None}).outcome == "allow"
    for command in ("git push origin main", "sudo -n true", "docker ps", "env docker run x"):
        assert book.decide("execute", {"command": command}).outcome == "deny"
    writes = book.decide("write_file", {"file_path": "/workspace/src/a.py", "content": ""}).outcome
    assert writes == ("allow" if role in ("tester", "coder") else "deny")
    held_out = book.decide("write_file", {"file_path": "/held_out/test_a.py", "content": ""}).outcome
    assert held_out == ("allow" if role == "tester" else "deny")
    assert book.decide("write_file", {"file_path": "/etc/profile", "content": ""}).outcome == "deny"


@pytest.mark.parametrize(
    "text",
    [
        "python -c '" + '\\"' * 30_000 + "'",
        "strace " + "a " * 30_000,
        "strace '" + "=" * 60_000 + " x'",
        "python -c '" + "a b " * 15_000 + "'",
    ],
    ids=["escaped quotes", "words", "equals", "code"],
)
def test_a_long_line_is_judged_in_time_that_grows_as_it_does(text: str) -> None:
    """Sixty kilobytes of what has to be looked at closely hold nobody up."""
    book = RuleBook(ToolRules(deny=("execute(git push *)",), allow=("execute(*)",)))
    began = time.process_time()
    book.decide("execute", {"command": text})
    assert time.process_time() - began < 4
