"""Python that does a call of the probe for a person, in plain Docker (S11)."""

from __future__ import annotations

import shlex
from typing import Final

from assay.evidence.judge_side.probe_dress import place_of
from assay.evidence.probe_calls import Call

_LINE: Final = "\n"
ALIKE: Final = "answers the same whether a test runs or not"
"""What a witness expects of a call that is done both ways."""


def program_of(call: Call) -> str:
    """Return one line of Python that does a call, and prints what it gives and what it leaves of its arguments."""
    first = (f"placed, named = {call.before}", "call(*placed, **named)") if call.before else ()
    lines = (
        f"from {call.module} import {call.name.split('.')[0]}",
        f"call = {call.target}",
        *first,
        f"placed, named = {call.arguments}",
        "result = call(*placed, **named)",
        "print(list(result) if hasattr(result, '__next__') else repr(result))",
        "print('arguments after it:', placed, named)",
    )
    return "; ".join(lines)


def both_ways(call: Call) -> tuple[str, ...]:
    """Return a command that does a call first without a test, and then as its test does under pytest."""
    file, name = place_of(call.test)
    body = f"def {name}(): {program_of(call)}"
    test = (
        "import os",
        "def test_it():",
        f"    os.environ['PYTEST_CURRENT_TEST'] = {f'{call.test} (call)'!r}",
        "    names = {}",
        f"    exec(compile({body!r}, os.path.abspath({file!r}), 'exec'), names)",
        f"    names[{name!r}]()",
        "",
    )
    lines = (
        "import os, pathlib, sys, tempfile, pytest",
        "os.environ['PYTEST_VERSION'] = pytest.__version__",
        "sys.argv[:] = ['pytest', '-q']",
        "place = pathlib.Path(tempfile.mkdtemp())",
        "(place / 'pytest.ini').write_text('[pytest]')",
        f"(place / 'test_it.py').write_text({_LINE.join(test)!r})",
        "pytest.main(['-q', '-rA', '-p', 'no:cacheprovider', f'--rootdir={place}', str(place / 'test_it.py')])",
    )
    python = ("python3", "-B", "-c")
    plain, dressed = shlex.join((*python, program_of(call))), shlex.join((*python, "; ".join(lines)))
    return "sh", "-c", f"echo without a test:; {plain}; echo while a test runs:; {dressed}"
