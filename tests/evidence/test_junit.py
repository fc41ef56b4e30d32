"""Suites that other programs run and report as JUnit XML: level C, by id, whole or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evidence.conftest import Files, World, case, plain

from assay.evidence.junit_xml import read_cases
from assay.evidence.protocol import TrustedTests
from assay.evidence.runner_junit import read_xml, without_reports
from assay.evidence.runner_node import WHOLE_FILE, is_node_test, prepare_node, read_node
from assay.policies.settings import ProjectSettings, ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.sandboxes import CommandResult, Exited, Output, Signalled
from assay.records.trees import REGULAR, TreeFile
from assay.records.verdicts import VerdictStatus

PROJECT = ProjectSettings(runner="junit", test_command=("sh", "check.sh"), report="out/*.xml")
SETTINGS = Settings(project=PROJECT, proof=ProofSettings(seconds=60))

RUNNER = plain("""
    mkdir -p out
    echo '<testsuite name="all">' > out/all.xml
    failed=0
    for file in tests/*.sh; do
        for name in $(grep -o '^test_[a-z_]*' "$file"); do
            said=$(. ./"$file"; $name 2>&1)
            if [ $? -eq 0 ]; then
                echo "<testcase file='$file' name='$name'/>" >> out/all.xml
            else
                failed=1
                echo "<testcase file='$file' name='$name'><failure message='$said'/></testcase>" >> out/all.xml
            fi
        done
    done
    echo '</testsuite>' >> out/all.xml
    exit $failed
""")
ADD = "add() { echo $(($1 + $2)); }\ndouble() { echo $(($1 + 2)); }\n"
ADD_TEST = '. ./lib.sh\ntest_add() { [ "$(add 1 2)" = 3 ] || { echo "3 expected"; false; }; }\n'
DOUBLE_TEST = '. ./lib.sh\ntest_double() { [ "$(double 5)" = 10 ] || { echo "10 expected"; false; }; }\n'
BASE: Files = {"check.sh": RUNNER, "lib.sh": ADD, "tests/add.sh": ADD_TEST, "README.md": "Sums.\n"}
MENDED = ADD.replace("$1 + 2)", "$1 * 2)")


def ended(code: int = 0, report: bytes = b"") -> CommandResult:
    """Return how a command ended."""
    return CommandResult(ending=Exited(code=code), report=Output(head=report, length=len(report)))


@pytest.mark.docker
async def test_a_shell_suite_proves_and_refutes(world: World) -> None:
    """A fix with its test is proven at level C; the same with a defect beside it is refuted, by name and witness."""
    world.settings = SETTINGS
    base = await world.commit(BASE)
    good = await world.commit({"lib.sh": MENDED, "tests/double.sh": DOUBLE_TEST}, base)
    verdict = await world.prove(base, good)
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "C"), verdict
    told = [reason for step in verdict.steps for reason in step.reasons]
    assert "no test that must fail ran beside the others: this runner takes none" in told
    bad = await world.commit({"lib.sh": MENDED.replace("$1 + $2", "$1 - $2"), "tests/double.sh": DOUBLE_TEST}, base)
    about = case(base, bad).model_copy(update={"run": "bad"})
    verdict = await world.assayer().prove(about)
    assert verdict.status is VerdictStatus.REFUTED
    assert verdict.witness is not None
    assert (verdict.witness.test, verdict.witness.got) == ("tests/add.sh::test_add", "3 expected")
    assert verdict.witness.command.endswith("exec sh check.sh'")


@pytest.mark.docker
async def test_reports_and_tests_of_the_change_do_not_help_it(world: World) -> None:
    """A report that lies in the tree is taken away; the base's tests run, whatever the change did to its own."""
    world.settings = SETTINGS
    base = await world.commit(BASE)
    forged = '<testsuite><testcase file="tests/add.sh" name="test_add"/></testsuite>'
    broken = ADD.replace("$1 + $2", "$1 - $2")
    head = await world.commit({"lib.sh": broken, "out/forged.xml": forged, "tests/add.sh": "test_add() { :; }\n"}, base)
    verdict = await world.prove(base, head, ClaimKind.REFACTOR)
    assert verdict.status is VerdictStatus.REFUTED
    assert verdict.witness is not None
    assert verdict.witness.test == "tests/add.sh::test_add"


@pytest.mark.docker
async def test_trusted_tests_by_another_runner(world: World) -> None:
    """Given tests lie over both sides, and what they show is told from what the base's own show."""
    world.settings = SETTINGS
    base = await world.commit(BASE)
    trusted = TrustedTests(visible=await world.tree({"tests/double.sh": DOUBLE_TEST}))
    head = await world.commit({"lib.sh": MENDED}, base)
    about = case(base, head, ClaimKind.FIX).model_copy(update={"trusted": trusted})
    verdict = await world.assayer().prove(about)
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "C"), verdict
    assert [r.status for r in verdict.requirements] == [VerdictStatus.PROVEN]
    lazy = await world.commit({"README.md": "More sums.\n"}, base)
    about = case(base, lazy, ClaimKind.FIX).model_copy(update={"trusted": trusted, "run": "lazy"})
    assert (await world.assayer().prove(about)).status is VerdictStatus.REFUTED


@pytest.mark.docker
async def test_a_level_that_such_reports_do_not_reach(world: World) -> None:
    """Who asks for level B is told why there is none; a command that is not there proves nothing."""
    base = await world.commit(BASE)
    head = await world.commit({"lib.sh": MENDED, "tests/double.sh": DOUBLE_TEST}, base)
    world.settings = SETTINGS.model_copy(update={"proof": ProofSettings(seconds=60, level="B")})
    verdict = await world.prove(base, head)
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert "written by the processes that are judged" in verdict.reasons[0]
    absent = PROJECT.model_copy(update={"test_command": ("nothing-of-this-name",)})
    world.settings = SETTINGS.model_copy(update={"project": absent})
    verdict = await world.assayer().prove(case(base, head).model_copy(update={"run": "absent"}))
    assert verdict.status is VerdictStatus.INCONCLUSIVE
    assert "wrote no report" in verdict.reasons[0]


XML = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="s" file="tests/test_a.py">
<testcase classname="tests.test_a.TestX" name="one" time="0.5"/>
<testcase classname="tests.test_a" name="two"><failure message="assert 1 == 2">trace \x1b[31m</failure></testcase>
<testcase classname="tests.test_a" name="three"><failure message="NameError: name 'f' is not defined"/></testcase>
<testcase classname="tests.test_a" name="four"><skipped/></testcase>
<testcase classname="tests.test_a" name="five"><error message="boom"/></testcase>
<testcase classname="tests.test_a" name="six"/><testcase classname="tests.test_a" name="six"/>
</testsuite>
<testsuite name="java"><testcase classname="com.foo.BarTest" name="runs"/><testcase name="alone"/></testsuite>
<testsuite name="pytest"><testcase classname="" name="tests.test_b"><error message="collection failure"/></testcase>
</testsuite></testsuites>
"""
KNOWN = frozenset({"tests/test_a.py", "tests/test_b.py", "src/test/java/com/foo/BarTest.java", "other/Test.java"})


def test_what_the_elements_mean() -> None:
    """Ids have the file where it is known; failure, error, skipped and repeated cases are told apart."""
    report = read_xml([("r.xml", XML)], ended(1), KNOWN)
    assert report.trouble == ""
    found = {o.id: o for o in report.outcomes}
    assert list(found) == [
        "tests/test_a.py::TestX::one",
        *(f"tests/test_a.py::{name}" for name in ("two", "three", "four", "five", "six")),
        "src/test/java/com/foo/BarTest.java::runs",
        "java::alone",
        "tests/test_b.py",
    ]
    assert [o.id for o in found.values() if o.passed] == [
        "tests/test_a.py::TestX::one",
        "src/test/java/com/foo/BarTest.java::runs",
        "java::alone",
    ]
    kinds = {name: found[f"tests/test_a.py::{name}"].failure for name in ("two", "three", "four", "five")}
    assert kinds == {"two": "assertion", "three": "import", "four": "none", "five": "error"}
    assert found["tests/test_a.py::six"].reports == 2
    assert (found["tests/test_b.py"].reports, found["tests/test_b.py"].failure) == (0, "import")
    assert found["tests/test_a.py::TestX::one"].seconds == 0.5


PASSING = b'<testsuite><testcase classname="a" name="b"/></testsuite>'
FAILING = b'<testsuite><testcase classname="a" name="b"><failure/></testcase></testsuite>'


@pytest.mark.parametrize(
    ("reports", "code", "trouble"),
    [
        ([("r", PASSING)], 0, ""),
        ([("r", FAILING)], 1, ""),
        ([("r", FAILING)], 0, ""),
        ([("r", PASSING)], 1, "its report has no failure"),
        ([], 0, "wrote no report"),
        ([("r", PASSING), ("s", b"")], 0, "the report s cannot be read"),
        ([("r", PASSING[:-3])], 0, "it is no XML"),
        ([("r", b'<!DOCTYPE a [<!ENTITY e "x">]><testsuite/>')], 0, "declares entities"),
        ([("r", b"<a>" * 300)], 0, "nested too deeply"),
    ],
)
def test_a_report_counts_whole_or_not_at_all(reports: list[tuple[str, bytes]], code: int, trouble: str) -> None:
    """It has to be there, to be read to its end, and to fit the exit code."""
    found = read_xml(reports, ended(code), frozenset()).trouble
    assert trouble in found
    assert bool(trouble) == bool(found)


def test_text_that_looks_like_a_declaration_is_text() -> None:
    """A test may print a document type."""
    (found,) = read_cases(
        b"<s><testcase name='a'><failure><![CDATA[<!DOCTYPE html> <!ENTITY]]></failure></testcase></s>"
    )
    assert (found.result, found.text) == ("failure", "<!DOCTYPE html> <!ENTITY")


def test_what_lies_where_the_report_is_expected_is_taken_away() -> None:
    """Only that; and nothing for runners without such files."""
    file = TreeFile(REGULAR, "0" * 40)
    tree = dict.fromkeys(("app/out/a.xml", "app/other.xml", "out/a.xml", "app/out/deep/a.xml"), file)
    project = PROJECT.model_copy(update={"root": "app"})
    assert set(without_reports(project, tree)) == set(tree) - {"app/out/a.xml"}
    assert without_reports(ProjectSettings(), tree) == tree
    assert without_reports(PROJECT.model_copy(update={"report": "/tmp/a.xml"}), tree) == tree


# -- Node, as its own files say it; the program itself is not in the image that these tests use

TOP = b'<?xml version="1.0"?><testsuites>'
NODE_FAILURE = (
    '<testcase name="adds" classname="test"><failure type="testCodeFailure" message="%s">[Error [ERR_TEST_FAILURE]: x] '
    "{ failureType: 'testCodeFailure',\n  cause: %s\n      at TestContext.&lt;anonymous> "
    "(file:///workspace/%s:3:29)\n code: 'ERR_TEST_FAILURE' }</failure></testcase>"
)


def node_line(file: str, body: str, status: int | None = 0, log: str = "") -> bytes:
    """Return what the judge's part reports of one file."""
    import json

    xml = None if body == "none" else (TOP + body.encode() + b"</testsuites>").decode()
    return json.dumps({"file": file, "status": status, "signal": None, "xml": xml, "log": log}).encode() + b"\n"


def node_report(*lines: bytes) -> CommandResult:
    """Return a whole report with the judge's own test in it."""
    control = node_line("control.test.mjs", NODE_FAILURE % ("x", "AssertionError: x", "control.test.mjs"), 1)
    return ended(1, b"".join((*lines, control, b'{"end": 1}\n')))


RUN = replace(prepare_node(ProjectSettings(runner="node"), frozenset({"a.test.js"}), ()), control="control.test.mjs")


def test_what_node_says() -> None:
    """Suites become part of the id; the error behind a failure says whether an expectation was false."""
    body = (
        '<testcase name="ok" classname="test"/><testsuite name="group"><testcase name="in"/></testsuite>'
        + NODE_FAILURE % ("x", "AssertionError [ERR_ASSERTION]: 1 !== 2", "test/a.test.js")
        + (NODE_FAILURE % ("x", "TypeError [Error]: boom", "lib/a.js")).replace("adds", "thrown")
        + (NODE_FAILURE % ("x", "TypeError [Error]: f is not a function", "test/a.test.js")).replace("adds", "absent")
        + '<testcase name="later"><skipped type="todo"/><failure/></testcase>'
    )
    report = read_node(node_report(node_line("test/a.test.js", body, 1)), RUN)
    assert report.trouble == ""
    found = {o.id: (o.passed, o.failure, o.raised_in) for o in report.outcomes}
    assert found == {
        "test/a.test.js::ok": (True, "none", ""),
        "test/a.test.js::group::in": (True, "none", ""),
        "test/a.test.js::adds": (False, "assertion", "test/a.test.js"),
        "test/a.test.js::thrown": (False, "error", "lib/a.js"),
        "test/a.test.js::absent": (False, "import", "test/a.test.js"),
        "test/a.test.js::later": (False, "none", ""),
    }


def test_files_of_node_that_are_tests_themselves_or_fail_as_a_whole() -> None:
    """A file without tests is one; one whose process fails lets none of its tests pass."""
    whole = '<testcase name="/workspace/%s" classname="test"/>'
    crash = (
        '<testcase name="/workspace/%s"><failure type="testCodeFailure" message="test failed">x</failure></testcase>'
    )
    log = "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/workspace/lib/new.js'"
    report = read_node(
        node_report(
            node_line("a.test.js", whole % "a.test.js"),
            node_line("b.test.js", crash % "b.test.js", 1, log),
            node_line("c.test.js", '<testcase name="one"/>' + crash % "c.test.js", 1),
            node_line("d.test.js", crash % "d.test.js", 1, "AssertionError [ERR_ASSERTION]: 1 !== 2"),
        ),
        RUN,
    )
    found = {o.id: (o.passed, o.failure) for o in report.outcomes}
    assert found == {
        f"a.test.js::{WHOLE_FILE}": (True, "none"),
        "b.test.js": (False, "import"),
        f"b.test.js::{WHOLE_FILE}": (False, "import"),
        "c.test.js::one": (False, "error"),
        "d.test.js": (False, "import"),
        f"d.test.js::{WHOLE_FILE}": (False, "assertion"),
    }


def test_reports_of_node_that_do_not_count() -> None:
    """Cut short, without the test that must fail or with it passing, or at odds with how the process ended."""
    ok, fine = '<testcase name="ok"/>', node_line("a.test.js", '<testcase name="ok"/>')
    passing = ended(0, fine + node_line("control.test.mjs", ok) + b'{"end": 1}\n')
    troubles = {
        "a test that must fail passed": passing,
        "was not run once": ended(0, fine + b'{"end": 1}\n'),
        "was ended before its tests": ended(1, fine),
        "no list of JSON lines": ended(1, b"forged\n"),
        "does not fit 0 failures": node_report(node_line("a.test.js", ok, 1)),
        "does not fit 1 failures": node_report(node_line("a.test.js", "<testcase name='x'><failure/></testcase>", 0)),
        "its runner wrote none": node_report(node_line("a.test.js", "none", None)),
        "it is no XML": node_report(node_line("a.test.js", "<testcase")),
    }
    for trouble, result in troubles.items():
        assert trouble in read_node(result, RUN).trouble
    killed = node_report(fine).model_copy(update={"ending": Signalled(signal=9)})
    assert read_node(killed, RUN).outcomes == ()
    assert read_node(node_report(fine), RUN).trouble == ""


def test_which_files_node_runs() -> None:
    """Those that it takes for tests by name, or those that the repository's command names; one more that must fail."""
    names = ("lib/a.test.js", "test/b.js", "test/deep/c.mjs", "x-test.cjs", "test-y.js", "test.js")
    others = ("lib/a.js", "testing/b.js", "node_modules/m/test/a.test.js", "lib/latest.js", "test/data.json")
    assert [n for n in (*names, *others) if is_node_test(n)] == list(names)
    known = frozenset((*names, *others, "checks/one.js"))
    plain_run = prepare_node(ProjectSettings(runner="node"), known, ())
    files = plain_run.argv[plain_run.argv.index("--") + 1 :]
    assert files[:-1] == tuple(sorted(names))
    assert files[-1] == plain_run.control
    named = ProjectSettings(runner="node", test_command=("--import", "./hook.mjs", "./checks/"))
    run = prepare_node(named, known, ())
    assert run.argv[2:6] == ("--import", "./hook.mjs", "--", "checks/one.js")
    assert prepare_node(named, known, ("test.js",)).argv[5] == "test.js"
    assert prepare_node(named, frozenset({"lib/a.js"}), ()).control == ""
