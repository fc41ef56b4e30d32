"""Layers of a policy: a lower one only tightens, and what it tried to loosen is named with both places."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import ConfigurationError
from assay.policies.effective import print_policy
from assay.policies.fields import setting_rows
from assay.policies.inclusion import Bounds, rule_within
from assay.policies.layers import combine
from assay.policies.loading import Policy, combine_layers, parse_settings, read_layer, spoken_layer
from assay.policies.paths import matching
from assay.policies.patterns import CommandPattern
from assay.policies.presets import PRESETS
from assay.policies.rules import RuleBook
from assay.policies.settings import Settings
from assay.policies.tightness import TIGHTNESS, Tightness

STRICTNESS = {"deny": 0, "ask": 1, "allow": 2}


def layered(*texts: str) -> Policy:
    """Return the policy of layers named org, repo and run, as many as there are texts."""
    return combine_layers([read_layer(t, name=n) for t, n in zip(texts, ("org", "repo", "run"), strict=False)])


def refused(*texts: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        layered(*texts)
    return caught.value.message


def test_the_table_is_total() -> None:
    """Every setting has its row, and every row is a setting."""
    assert set(TIGHTNESS) == set(setting_rows())
    broken = {name: row for name, row in TIGHTNESS.items() if name != "proof.level"}
    assert set(broken) != set(setting_rows())


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        ("[budget]\ntokens = 5", "[budget]\ntokens = 6"),
        ("[agents.coder.budget]\nmoney = 1.0", "[agents.coder.budget]\nmoney = 1.5"),
        ("[proof]\nreplicates = 5", "[proof]\nreplicates = 4"),
        ("[checkpoints]\nplan = true", "[checkpoints]\nplan = false"),
        ("[proof]\nlevel = 'B'", "[proof]\nlevel = 'C'"),
        ("[gates.x]\nmax_files = 1\non_failure = 'block'", "[gates.x]\non_failure = 'ask'"),
        ("[gates.x]\ncommand = ['lint']", "[gates.x]\ncommand = ['true']"),
        ("[gates.x]\nkind = 'licences'\nallowed = ['MIT']", "[gates.x]\nallowed = ['MIT', 'GPL-3.0-only']"),
        ("[gates.x]\nkind = 'licences'\nallowed = ['MIT']", "[gates.x]\nallowed = []"),
        ("[gates.'*']\nallowed = ['MIT']", "[gates.x]\nkind = 'licences'\nallowed = []"),
        ("[gates.x]\ncommand = ['lint']", "[gates.x]\nsarif = 'out.sarif'"),
        ("[gates.x]\nkind = 'licences'", "[gates.x]\nallowed = ['GPL-3.0-only']"),
        ("[gates.x]\nmax_files = 3", "[gates.x]\ncommand = ['true']"),
        ("[agents.coder]\ntools = ['ls']", "[agents.coder]\ntools = ['ls', 'execute']"),
        ("[agents.coder]\npaths = ['src/']", "[agents.coder]\npaths = ['src/', 'lib/']"),
        ("[agents.coder]\npaths = ['src/', '!src/core/']", "[agents.coder]\npaths = ['src/']"),
        ("[agents.coder]\npaths = ['src/']", "[agents.coder]\npaths = []"),
        ("[sandboxes.s]\nruntime = 'runsc'", "[sandboxes.s]\nruntime = 'runc'"),
        ("[sandboxes.s]\nworkspace = 'read-only'", "[sandboxes.s]\nworkspace = 'read-write'"),
        ("[sandboxes.s.limits]\nmemory_mb = 100", "[sandboxes.s.limits]\nmemory_mb = 101"),
        ("[sandboxes.s.egress]\nallow = ['*.a.test:443']", "[sandboxes.s.egress]\nallow = ['a.test:443']"),
        ("[sandboxes.s.egress]\nallow = ['a.test:1']\nnetworks = ['10.1.0.0/16']",
         "[sandboxes.s.egress]\nnetworks = ['10.0.0.0/8']"),
        ("[paths]\ntests = ['t/']", "[paths]\ntests = ['u/']"),
        ("[paths]\nprotected = ['core/']", "[paths]\nprotected = ['!core/a.py']"),
        ("[gates.d]\nkind = 'data'\npaths = ['c/']", "[gates.'*']\npaths = ['!c/']"),
        ("[gates.d]\nkind = 'data'\npaths = ['c/']", "[gates.d]\npaths = ['!c/']\n[gates.'*']\npaths = ['x/']"),
        ("[gates.'*']\npatterns = ['c']", "[gates.d]\nkind = 'data'\npatterns = ['!c']"),
        ("[prices]\nm = [1.0, 1.0]", "[prices]\nm = [0.0, 0.0]"),
        ("[prices]\nm = [1.25, 10.0]", "[prices]\n'openai:m' = [0.5, 0.5]"),
        ("[prices]\n'openai:m' = [1.25, 10.0]", "[prices]\nm = [0.5, 0.5]"),
        ("[budget]\nmoney = 5.0", "[prices]\nm = [0.0, 1.0]"),
        ("[agents.'*'.budget]\nmoney = 5.0", "[prices]\nm = [0.0, 0.0]"),
        ("[agents.coder.rules]\nallow = ['execute(pytest *)']", "[agents.coder.rules]\nallow = ['execute(*)']"),
        ("[agents.coder.rules]\nallow = ['execute(pytest *)']", "[agents.coder.rules]\nask = ['execute(make *)']"),
        ("[agents.coder.rules]\nask = ['execute(a *)']\nallow = []", "[agents.coder.rules]\nallow = ['execute(a)']"),
        ("fixed = ['agents.*.model']", "[agents.coder]\nmodel = 'a:b'"),
        ("fixed = ['project']\n[project]\nrunner = 'pytest'", "[project]\nrunner = 'node'"),
        ("fixed = ['gates']", "[gates.x]\nmax_files = 1"),
        ("fixed = ['agents.*.rules.deny']", "[agents.coder.rules]\ndeny = ['execute(a)']"),
        ("fixed = ['agents.coder.model']", "[agents.'*']\nmodel = 'a:b'"),
        ("[agents.'*'.budget]\ntokens = 5", "[agents.coder.budget]\ntokens = 6"),
        ("[sandboxes.'*'.limits]\nmemory_mb = 512", "[sandboxes.new.limits]\nmemory_mb = 1024"),
        ("[gates.'*']\non_failure = 'block'", "[gates.new]\nmax_files = 1\non_failure = 'warn'"),
        ("preset = 'supervised'", "preset = 'headless'"),
    ],
)  # fmt: skip
def test_loosening_is_refused_and_names_both_places(upper: str, lower: str) -> None:
    """File and line of who says it, and of who must not be loosened; the same the other way round is fine."""
    said = refused(upper, lower)
    if "preset" in upper:
        assert said.startswith("preset headless:5:1: ")
        assert "what preset supervised:4:1 says" in said
        return
    assert said.startswith("repo:")
    assert "org:" in said
    assert refused("", upper, lower).replace("run:", "repo:", 1).count("repo:") == 2
    layered(upper, upper)


@pytest.mark.parametrize(
    ("upper", "lower", "path", "value"),
    [
        ("[budget]\ntokens = 5", "[budget]\ntokens = 4", "budget.tokens", 4),
        ("[budget]\ntokens = 5", "", "budget.tokens", 5),
        ("[checkpoints]\nplan = false", "[checkpoints]\nplan = true", "checkpoints.plan", True),
        ("[proof]\nlevel = 'B'", "[proof]\nlevel = 'A'", "proof.level", "A"),
        ("[paths]\nprotected = ['a']", "[paths]\nprotected = ['b', 'a']", "paths.protected", ("a", "b")),
        ("[project]\nroot = 'a'", "[project]\nroot = 'b'", "project.root", "b"),
        ("[agents.'*'.budget]\ntokens = 5", "", "agents.coder.budget.tokens", 5),
        ("[agents.'*'.budget]\ntokens = 900_000_000", "", "agents.coder.budget.tokens", 8_000_000),
        (
            "[agents.'*'.budget]\ntokens = 9\n[agents.coder.budget]\ntokens = 11",
            "",
            "agents.coder.budget.tokens",
            11,
        ),
        ("[sandboxes.'*'.limits]\nmemory_mb = 512", "[sandboxes.new]", "sandboxes.new.limits.memory_mb", 512),
        ("[sandboxes.'*'.limits]\nmemory_mb = 512", "", "sandboxes.default.limits.memory_mb", 512),
        (
            "[sandboxes.'*'.limits]\nmemory_mb = 4096",
            "[sandboxes.default.limits]\nmemory_mb = 2048",
            "sandboxes.default.limits.memory_mb",
            2048,
        ),
        ("[sandboxes.default]\nimage = 'mine'", "[sandboxes.'*']\nimage = 'theirs'", "sandboxes.default.image", "mine"),
        ("[gates.x]\nmax_files = 9", "[gates.'*']\non_failure = 'block'", "gates.x.on_failure", "block"),
        ("[gates.'*']\nallowed = ['MIT']", "[gates.x]\nkind = 'licences'", "gates.x.allowed", ("MIT",)),
        ("[gates.x]\nkind = 'licences'", "[gates.'*']\nallowed = ['GPL-3.0-only']", "gates.x.allowed", ()),
        ("[prices]\n'a:m' = [1.0, 1.0]", "[prices]\n'b:m' = [2.0, 2.0]", "prices.b:m", (2.0, 2.0)),
        ("[prices]\n'a:m' = [1.0, 1.0]", "[prices]\nm = [1.0, 1.0]", "prices.m", (1.0, 1.0)),
        ("[budget]\nmoney = 5.0", "[prices]\nm = [0.1, 1.0]", "prices.m", (0.1, 1.0)),
        ("[gates.x]\nmax_files = 1", "[gates.'*']\ncommand = ['true']", "gates.x.command", ()),
        (
            "[gates.x]\nkind = 'licences'\nallowed = ['MIT']",
            "[gates.'*']\nallowed = ['ISC']",
            "gates.x.allowed",
            ("NONE",),
        ),
        (
            "[sandboxes.s.egress]\nallow = ['*.a.test:443']",
            "[sandboxes.s.egress]\nallow = ['b.a.test:443']",
            "sandboxes.s.egress.allow",
            ("b.a.test:443",),
        ),
        (
            "[agents.coder]\npaths = ['a/', 'b/']",
            "[agents.coder]\npaths = ['b/', '!b/c']",
            "agents.coder.paths",
            ("b/", "!b/c"),
        ),
    ],
)
def test_what_tightens_is_taken(upper: str, lower: str, path: str, value: object) -> None:
    """The lowest word counts, lists that only add add up, and what is said of every name bounds and fills in."""
    here: Any = layered(upper, lower).settings
    for step in path.split("."):
        here = here[step] if isinstance(here, dict) else getattr(here, step)
    assert here == value


def test_rules_of_layers_add_up() -> None:
    """Denials and questions of every layer hold, each with its place; what may be done is the lowest layer's."""
    policy = layered(
        "[agents.'*'.rules]\nask = ['execute(curl *)']\n",
        "[agents.coder.rules]\ndeny = ['execute(make *)']\nallow = ['execute(git *)', 'execute(curl *)']\n",
        "[agents.coder.rules]\nask = ['execute(git commit *)']\nallow = ['execute(curl *)', 'execute(git *)']\n",
    )
    rules = policy.settings.role("coder").rules
    assert rules.deny[0] == "execute(make *)"
    assert rules.ask == ("execute(curl *)", "execute(git commit *)")
    assert rules.allow == ("execute(curl *)", "execute(git *)")
    assert policy.origin(("agents", "coder", "rules", "ask", 0)) == "org:2:8"
    assert policy.origin(("agents", "coder", "rules", "deny", 0)) == "repo:2:9"
    assert policy.origin(("agents", "coder", "rules", "ask", 1)) == "run:2:8"
    assert policy.origin(("agents", "coder", "rules", "deny", 1)) == "built-in default"
    assert layered("[agents.'*'.rules]\nallow = ['execute(git *)']").settings.role("planner").rules.allow == (
        "execute(git *)",
    )


@pytest.mark.parametrize(
    ("layers", "asked"),
    [
        (("[agents.coder.rules]\nallow = ['execute(pytest *)']", "[agents.'*'.rules]\nask = ['execute(make *)']"), ()),
        (("[agents.coder.rules]\nallow = ['execute(pytest *)']", "preset = 'guarded'"), ()),
        (("preset = 'guarded'", "[agents.coder.rules]\nallow = ['execute(pytest *)']"), ()),
        (
            ("[agents.'*'.rules]\nask = ['execute(pip *)']", "[agents.coder.rules]\nallow = ['execute(pip list *)']"),
            ("execute(pip list *)",),
        ),
        (
            ("[agents.'*'.rules]\nask = ['execute(pip *)']", "[agents.coder.rules]\nallow = ['execute(/bin/pip *)']"),
            ("execute(pip *)",),
        ),
        (("[agents.'*'.rules]\nask = ['execute(pip *)']",), ("execute(pip *)",)),
        (
            ("[agents.'*'.rules]\nask = ['execute(a *)']\n"
             "[agents.coder.rules]\nask = ['execute(a *)']\nallow = ['execute(b *)']",),
            ("execute(a *)",),
        ),
    ],
)  # fmt: skip
def test_what_every_role_is_asked_is_only_a_bound(layers: tuple[str, ...], asked: tuple[str, ...]) -> None:
    """A question for all turns nothing that a role may not do into what it may be granted."""
    assert layered(*layers).settings.role("coder").rules.ask == asked


def test_a_question_for_all_that_may_reach_beyond_is_refused() -> None:
    """Where it cannot be told whether it only asks for what may be done, it does not come in, and does not vanish."""
    said = refused(
        "[agents.coder.rules]\nallow = ['execute(* install a)']", "[agents.'*'.rules]\nask = ['execute(pip *)']"
    )
    assert said.startswith("repo:2:8: ")
    assert "org:2:1" in said


def test_what_is_said_of_all_holds_for_the_roles_of_a_platform() -> None:
    """A role that a program adds, and that no layer names, is bounded like the four."""
    text = "[agents.'*'.budget]\ntokens = 5\n[agents.'*'.rules]\ndeny = ['execute(a *)']\n"
    role = combine_layers([read_layer(text, name="org")], roles=["writer"]).settings.role("writer")
    assert (role.budget.tokens, role.rules.deny) == (5, ("execute(a *)",))
    assert "writer" not in combine_layers([read_layer(text, name="org")]).settings.agents


def test_what_is_said_of_all_holds_for_the_ones_named_beside_it() -> None:
    """A list of one role adds to what the same layer says of all of them; what may be done it says for itself."""
    rules = layered(
        "[agents.'*'.rules]\ndeny = ['execute(a *)']\nallow = ['execute(b *)']\n"
        "[agents.coder.rules]\ndeny = ['execute(c *)']\nallow = ['execute(d *)']\n"
    ).settings.role("coder").rules  # fmt: skip
    assert rules.deny[:2] == ("execute(a *)", "execute(c *)")
    assert rules.allow == ("execute(d *)",)
    gate = layered("[gates.'*']\npatterns = ['a']\n[gates.x]\nkind = 'data'\npatterns = ['b']").settings.gates["x"]
    assert gate.patterns == ("a", "b")


def test_what_options_say_is_a_layer() -> None:
    """Without a file the words themselves are the place."""
    org = read_layer("[proof]\nlevel = 'B'\n", name="org")
    run = spoken_layer({("proof", "level"): ("C", "--level C")}, name="the command line")
    with pytest.raises(ConfigurationError, match=r"--level C: proof\.level = C loosens what org:2:1 says, B"):
        combine_layers([org, run])
    with pytest.raises(ConfigurationError, match=r"--level Z: proof\.level must be"):
        spoken_layer({("proof", "level"): ("Z", "--level Z")}, name="the command line")


def test_fixed_names_settings() -> None:
    """A setting that does not exist cannot be fixed; the nearest one is named."""
    assert "repo:1:10: 'agents.*.modle' is no setting; did you mean 'agents.*.model'?" in refused(
        "", "fixed = ['agents.*.modle']"
    )


def test_two_layers_of_one_thing_meet_in_one_whole() -> None:
    """A profile of the organisation's can be named by the repository; what is wrong is said of who said it."""
    layered("[sandboxes.big]", "[agents.coder]\nsandbox = 'big'")
    assert refused("[sandboxes.big]", "[agents.coder]\nsandbox = 'bg'").startswith("repo:2:1: there is no sandbox")
    assert refused("[gates.x]", "[budget]\ntokens = 1").startswith("org:1:8: the gate 'x' has nothing")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_load_and_print_as_they_hold(name: str) -> None:
    """Each is an `assay.toml` like any other; what is printed as in force loads again to the same settings."""
    policy = combine_layers([read_layer(PRESETS[name], name=name), read_layer("[paths]\nprotected = ['x']", name="r")])
    printed = print_policy(policy)
    assert parse_settings(printed, name="printed") == policy.settings
    assert "# r:2:14" in printed
    assert f"delivery = true  # {name}:" in printed
    assert "# built-in default" in printed


def test_a_preset_stands_above_the_file_that_names_it() -> None:
    """Who builds on a preset tightens it."""
    settings = parse_settings("preset = 'guarded'\n[gates.size]\nmax_files = 10", name="x")
    assert (settings.gates["size"].max_files, settings.gates["size"].max_lines) == (10, 2000)
    with pytest.raises(ConfigurationError, match=r"x:3:1: gates\.size\.max_files = 100 loosens what preset guarded:"):
        parse_settings("preset = 'guarded'\n[gates.size]\nmax_files = 100", name="x")


WORDS = ("git", "push", "log", "-q", "x", "*", "?", "g*", "*h")
PATTERNS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
RULES = st.lists(PATTERNS.map(lambda p: f"execute({p})"), max_size=3)
FILES = st.lists(
    st.tuples(
        st.sampled_from(("read_file", "write_file", "*")),
        st.sampled_from(
            ("**", "*", "src/**", "src/a.py", "a/**", "*.py", "src/", "/src/", "src/a/", "/src/**", "//**")
        ),
    ).map(lambda p: f"{p[0]}({p[1]})"),
    max_size=3,
)
LISTS = st.dictionaries(st.sampled_from(("deny", "ask", "allow")), st.one_of(RULES, FILES, RULES), max_size=3)
COMMANDS = ("git push", "git log -q", "git push -q x", "/usr/bin/git push", "git -q push", "gx", "git $X", "a; git log",
            "'git push'", "timeout 5 git log", "sh -c 'git push'", "x git push", "[[ a || git push ]]")  # fmt: skip
PATHS = ("lib/src/x", "src/a/b", "lib/src/a/b", "/src/x", "src/a.py", "SRC/a.py", "a/b", "b.py", "src", ".")


@settings(max_examples=400, deadline=None)
@given(LISTS, LISTS, st.sampled_from(("writer", "*")))
def test_no_lower_layer_allows_more(upper: dict[str, list[str]], lower: dict[str, list[str]], name: str) -> None:
    """Whatever rules a lower layer adds, of a role or of all: it is refused, or no call comes out laxer than above."""
    above = read_layer("", name="org")
    documents = [{"agents": {"writer": {"rules": upper}}}, {"agents": {name: {"rules": lower}}}]
    layers = [above.__class__(name, document) for name, document in zip(("org", "repo"), documents, strict=True)]
    combined = combine(layers)
    if combined.loosenings or "allow" not in upper:
        return
    before = RuleBook(combine_layers(layers[:1], roles=["writer"]).settings.role("writer").rules)
    after = RuleBook(combine_layers(layers, roles=["writer"]).settings.role("writer").rules)
    calls: list[tuple[str, dict[str, Any]]] = [("execute", {"command": command}) for command in COMMANDS]
    calls += [(tool, {"file_path": path}) for tool in ("read_file", "write_file", "grep") for path in PATHS]
    for tool, args in calls:
        was, now = before.decide(tool, args).outcome, after.decide(tool, args).outcome
        assert STRICTNESS[now] <= STRICTNESS[was], (tool, args, was, now)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(("a/", "!a/", "a/b", "!a/b", "*.py", "!*.py", "a/*.py")), max_size=4),
    st.lists(st.sampled_from(("a/", "!a/", "a/b", "!a/b", "*.py", "!*.py", "a/*.py")), max_size=4),
)
def test_narrower_patterns_match_no_more(upper: list[str], lower: list[str]) -> None:
    """Paths that a lower layer narrows hold nothing that the upper ones do not."""
    if Tightness("narrower").loosens(upper, lower) or not upper:
        return
    for path in ("a/b", "a/c.py", "c.py", "a/b/c.py", "d"):
        assert matching(tuple(lower), path) is None or matching(tuple(upper), path) is not None, path


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("execute(git log *)", "execute(git *)", True),
        ("execute(git *)", "execute(git log *)", False),
        ("execute(git*)", "execute(git *)", False),
        ("execute(a ? b)", "execute(a * b)", True),
        ("execute(a \\* b)", "execute(a * b)", True),
        ("execute(a * b)", "execute(a \\* b)", False),
        ("write_file(src/a/**)", "write_file(src/**)", True),
        ("write_file(src/../x/**)", "write_file(src/**)", False),
        ("write_file(*.py)", "write_file(src/**)", False),
        ("write_file(src/)", "write_file(src/**)", False),
        ("write_file(/src/)", "write_file(src/**)", True),
        ("write_file(src/a/)", "write_file(src/**)", True),
        ("write_file(//tmp/a)", "write_file(//tmp/**)", True),
        ("write_file(//tmp/a)", "write_file(**)", False),
        ("write_file(src/**)", "*(src/**)", True),
        ("*(src/**)", "write_file(src/**)", False),
        ("execute(ls)", "*(**)", False),
        ("deploy(x)", "deploy(*)", True),
    ],
)
def test_inclusion_of_rules(inner: str, outer: str, within: bool) -> None:
    """A rule lies within another one only where that is certain."""
    assert rule_within(inner, outer) is within


def test_many_rules_are_compared_at_once() -> None:
    """A thousand rules of two layers meet in one look at each, not in a million comparisons."""
    upper = [f"execute(tool{n} *)" for n in range(500)] + [f"write_file(src/p{n}/**)" for n in range(500)]
    lower = [f"execute(tool{n} run *)" for n in range(500)] + [f"write_file(src/p{n}/a/**)" for n in range(500)]
    looks = Counter[str]()
    bounds = Bounds(upper)
    covers = CommandPattern.covers

    def counted(self: CommandPattern, text: str) -> bool:
        looks["covers"] += 1
        return covers(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandPattern, "covers", counted)
        assert all(bounds.admit(rule) for rule in lower)
    assert looks["covers"] <= 2 * len(lower)


def test_settings_survive_a_store() -> None:
    """What is new in them is there again after a trip through JSON, and old records load."""
    policy = layered("fixed = ['project']\npreset = 'guarded'")
    assert Settings.model_validate_json(policy.settings.model_dump_json()) == policy.settings
    old = json.loads(Settings().model_dump_json())
    del old["fixed"], old["preset"]
    assert Settings.model_validate(old, strict=False) == Settings()
