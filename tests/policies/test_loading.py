"""`assay.toml`: what loads, and how every mistake is named."""

from __future__ import annotations

import pytest

from assay.errors import ConfigurationError
from assay.policies.defaults import ROLES, default_role
from assay.policies.loading import default_settings, locate, parse_settings
from assay.policies.settings import ToolRule

FULL = """\
#:schema ./assay.schema.json
[project]
root = "services/api"
source_roots = ["src"]
test_command = ["-m", "not slow"]

[agents.coder]
model = "openai:gpt-5"
parameters = { temperature = 0, reasoning = { effort = "high" } }
sandbox = "big"
paths = ["src/", "!src/generated/"]
budget = { money = 2.5, attempts = 6 }

[agents.coder.rules]
deny = [
  "execute(rm -rf *)",
  { rule = "execute(git push *)", matches = ["git push", "sudo git push"], not_matches = ["git pull"] },
]
ask = ["write_file(src/api/**)"]

[agents.writer]
paths = ["docs/"]

[sandboxes.big]
limits.memory_mb = 4096
environment = { TZ = "UTC" }

[paths]
tests = ["tests/", "spec/"]
protected = ["src/core/"]

[gates.lint]
command = ["ruff", "check", "."]
on_failure = "block"

[gates.size]
max_lines = 800

[budget]
tokens = 1_000_000

[prices]
"gpt-5" = [1.25, 10.0]
"""


def test_a_full_file_loads() -> None:
    """Every kind of setting, read back."""
    settings = parse_settings(FULL, name="assay.toml", roles=["writer"])
    coder = settings.role("coder")
    assert settings.project.root == "services/api"
    assert coder.parameters == {"temperature": 0, "reasoning": {"effort": "high"}}
    assert settings.sandbox(coder.sandbox).limits.memory_mb == 4096
    assert settings.prices == {"gpt-5": (1.25, 10.0)}
    assert settings.gates["lint"].on_failure == "block"
    assert isinstance(coder.rules.deny[1], ToolRule)


def test_the_roles_keep_what_a_file_leaves_out() -> None:
    """Lists take the place of the built-in ones, denials add up, bounds are replaced one by one."""
    coder = parse_settings(FULL, name="assay.toml", roles=["writer"]).role("coder")
    built_in = default_role("coder")
    assert coder.rules.deny[0] == "execute(rm -rf *)"
    assert set(built_in.rules.deny) < set(coder.rules.deny)
    assert coder.rules.allow == built_in.rules.allow
    assert coder.tools == built_in.tools
    assert (coder.budget.money, coder.budget.attempts) == (2.5, 6)
    assert coder.budget.tokens == built_in.budget.tokens
    narrow = parse_settings('[agents.coder.rules]\nallow = ["execute(pytest *)"]', name="x").role("coder")
    assert narrow.rules.allow == ("execute(pytest *)",)


def test_an_empty_file_is_the_defaults() -> None:
    """Nothing said is nothing changed; the four roles are there, and one that nobody knows may do nothing."""
    assert parse_settings("", name="x") == default_settings()
    assert set(default_settings().agents) == set(ROLES)
    assert default_role("unheard-of").rules.allow == ()
    for reader in ("planner", "reviewer"):
        assert not {"write_file", "edit_file"} & set(default_role(reader).tools)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[projct]\n", "x.toml:1:2: unknown key 'projct' at the top; did you mean 'project'?"),
        ("[agents.coder]\nmodle = 'a:b'", "x.toml:2:1: unknown key 'modle' in [agents.coder]; did you mean 'model'?"),
        ("agents.coder.budget.monney = 1", "x.toml:1:21: unknown key 'monney' in [agents.coder.budget]; did you mean"),
        ("[agents]\ncoder = { rules = { alow = [] } }", "x.toml:2:21: unknown key 'alow' in [agents.coder.rules]"),
        ("[sandboxes.a.limits]\nmemory = 5", "x.toml:2:1: unknown key 'memory' in [sandboxes.a.limits]; did you mean"),
        ("[gates.a]\nmax_lines = 1\nzzz = 1", "known are allowed, at_most, command, kind, max_files"),
        ("[agents.coder.rules]\ndeny = [\n 'execute(a)',\n {rule='execute(b)', matchs=[]}]", "x.toml:4:22: unknown"),
        ("[project]\nroot = 5", "x.toml:2:1: project.root must be text, not a whole number: 5"),
        ("[agents.coder.budget]\ntokens = '5'", "agents.coder.budget.tokens must be a whole number, not text"),
        ("[agents.coder.budget]\ntokens = 1.5", "agents.coder.budget.tokens must be a whole number, not a number: 1.5"),
        ("[agents.coder.budget]\ntokens = true", "must be a whole number, not true or false: true"),
        ("[checkpoints]\nplan = 1", "checkpoints.plan must be true or false, not a whole number: 1"),
        ("[paths]\ntests = 'tests/'", "paths.tests must be a list, not text"),
        ("[paths]\ntests = ['a', 5]", "x.toml:2:15: paths.tests.1 must be text"),
        ("agents = []", "x.toml:1:1: agents must be a table, not a list"),
        ("[[gates.x]]\ncommand = []", "x.toml:1:9: gates.x must be a table, not a list"),
        ("[gates.x]\nmax_files = 1\non_failure = 'blck'", "gates.x.on_failure must be 'block', 'ask' or 'warn', not"),
        ("[proof]\nreplicates = 99", "x.toml:2:1: proof.replicates must be less than or equal to 50, not 99"),
        ("[prices]\na = [1.0]", "x.toml:2:1: item 2 of prices.a is missing"),
        ("[prices]\na = 2026-01-01", "x.toml:2:1: a date or time is not used in any setting"),
        ("[agents.coder.parameters]\nx = [1, nan]", "x.toml:2:9: agents.coder.parameters.x.1 must be finite, not nan"),
        ("a = ", "x.toml:1:5: not valid TOML: Invalid value"),
        ("[a]\nb = 'x", "x.toml:2:7: not valid TOML"),
        ("a = 1\na = 2", "x.toml:2:6: not valid TOML: Cannot overwrite a value"),
        ("x = " + "[" * 9000, "nested too deeply"),
        ("[agents.codr]", "x.toml:1:9: unknown role 'codr'; did you mean 'coder'?"),
        ("[agents.coder]\nsandbox = 'bg'\n[sandboxes.big]", "x.toml:2:1: there is no sandbox profile 'bg'; did"),
        ("[proof]\nsandbox = 'x'", "x.toml:2:1: there is no sandbox profile 'x'; known are default"),
        ("[agents.coder]\ntools = ['ls', 'raed_file']", "x.toml:2:16: unknown tool 'raed_file'; did you mean 're"),
        ("[agents.coder]\nmodel = 'gpt-5'", "x.toml:2:1: 'gpt-5' is no model; write provider:model"),
        ("[agents.coder]\npaths = ['a', '!']", "x.toml:2:15: '!' is no pattern that could match a path"),
        ("[paths]\nprotected = ['../x']", "'../x' matches nothing: paths in a tree hold no `..`"),
        ("[paths]\ntests = []", "without test paths nothing is a test"),
        ("[agents.coder.rules]\ndeny = ['execute()']", "x.toml:2:9: 'execute()' is not a tool rule"),
        ("[agents.coder.rules]\nask = ['exec(x)']", "x.toml:2:8: unknown tool 'exec' in 'exec(x)'; did you mean"),
        ("[agents.coder.rules]\nallow = ['ls(!src)']", "a rule takes nothing back"),
        (
            "[agents.coder.rules]\nallow = [\n  {rule='write_file(src/**)', matches=['lib/a']},\n]",
            "x.toml:3:3: 'write_file(src/**)' does not match its example 'lib/a'",
        ),
        ("[gates.x]", "x.toml:1:8: the gate 'x' has nothing to look at; give kind, command, max_files or max_lines"),
        ("[gates.x]\ncommand = ['']", "the command of the gate 'x' has no program"),
        ("[gates.x]\nmax_files = -1", "x.toml:2:1: max_files must be 0 or more, not -1"),
        ("[project]\nroot = '/etc'", "x.toml:2:1: '/etc' must be a folder inside the repository"),
        ("[project]\nsource_roots = ['a', 'b/../..']", "x.toml:2:22: 'b/../..' must be a folder inside"),
        ("[budget]\nmoney = 1.0\n[agents.coder]\nmodel = 'a:b'", "x.toml:4:1: money is limited, and [prices] has no"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_place(text: str, message: str) -> None:
    """File, line, column, what is there, and what was expected or probably meant."""
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text, name="x.toml")
    assert message in caught.value.message
    assert caught.value.message.startswith("x.toml")
    assert caught.value.next_step or "nested" in caught.value.message
    assert caught.value.exit_code == 2


def test_all_mistakes_are_named_in_order_up_to_ten() -> None:
    """One look at the message is enough to mend the file."""
    text = "[agents.coder]\n" + "".join(f"zz{n} = 1\n" for n in range(13))
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text, name="x.toml")
    lines = caught.value.message.splitlines()
    assert [line.split(":")[1] for line in lines[:-1]] == [str(n) for n in range(2, 12)]
    assert lines[-1] == "… and 3 more"


def test_a_platform_adds_roles_and_tools() -> None:
    """What is refused as a typing error is fine when the platform knows it."""
    text = "[agents.writer]\ntools = ['deploy']\n[agents.writer.rules]\nallow = ['deploy']"
    with pytest.raises(ConfigurationError, match="unknown role 'writer'"):
        parse_settings(text, name="x")
    settings = parse_settings(text, name="x", roles=["writer"], tools=["deploy"])
    assert settings.role("writer").tools == ("deploy",)


def test_a_rule_can_be_found_again() -> None:
    """The place in a decision leads to a line of the file."""
    assert locate(FULL, ("agents", "coder", "rules", "deny", 1)) == (17, 3)
    assert locate(FULL, ("agents", "coder", "rules", "ask", 0)) == (19, 8)
    assert locate(FULL, ("nowhere",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "1" * 5000, "a number that is too long"),
        ("a = 0x" + "f" * 5000, "x.toml:1:1: a is larger than any number"),
        ("[sandboxes.x.limits]\ninodes = 0x" + "f" * 30, "x.toml:2:1: sandboxes.x.limits.inodes is larger"),
        ("[sandboxes.x.limits]\ninodes = -0x".replace("-0x", "-") + "9" * 30, "x.toml:2:1: sandboxes.x.limits.inodes"),
        (".".join("a" * 3000) + " = 1", "nested too deeply"),
        ("a = " + "[" * 3000, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_a_mistake_in_the_file(text: str, said: str) -> None:
    """Numbers without end and nesting without end are the file's fault, and are said to be."""
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(text, name="x.toml")
    assert said in str(caught.value)
