"""S9, the black box: what the program wrote or said is not executed on the judge's side, in whatever dress it comes."""

from __future__ import annotations

import pytest

from .conftest import Files, World, wrong_outside

TOOL = """
    import importlib.util, marshal, pathlib, zipfile

    TEXT = "X = 1"


    def text():
        return TEXT

    def told():
        return "('done', 1)"

    def pickled():
        return b"cbuiltins\\nint\\n."

    def compiled():
        return marshal.dumps(compile(TEXT, "<string>", "exec"))

    def write(kind, folder):
        folder = pathlib.Path(folder)
        if kind == "zip":
            with zipfile.ZipFile(folder / "made.zip", "w") as archive:
                archive.writestr("inzip.py", TEXT)
        elif kind == "pyc":
            code = compile(TEXT, "/workspace/tests/helper.py", "exec")
            data = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)
            (folder / "bare.pyc").write_bytes(data)
        else:
            (folder / "plain.py").write_text(TEXT)
"""
TESTS = """
    import ast, collections, dataclasses, enum, marshal, os, pathlib, pickle, runpy, shutil
    import subprocess, sys, timeit, typing
    import pytest
    import tool

    ROOT = pathlib.Path(__file__).parent.parent


    def test_what_the_library_executes():
        assert tool.text() == "X = 1"
        pair = collections.namedtuple("pair", "a b")
        made = dataclasses.make_dataclass("Made", [("a", int)])
        assert pair(1, 2).b == 2 and made(1) == made(1) and enum.Enum("E", "A B").A.name == "A"
        assert typing.get_type_hints(type("T", (), {"__annotations__": {"a": "int"}})) == {"a": int}
        assert ast.literal_eval(tool.told()) == ("done", 1)

    def test_modules_of_the_tests_are_imported(tmp_path, monkeypatch):
        tool.write("plain", str(tmp_path))
        monkeypatch.syspath_prepend(ROOT / "tests" / "late")
        import later, colorsys
        assert later.VALUE == 5 and pickle.loads(pickle.dumps([1])) == [1]

    def test_uncrossable_eval():
        assert eval(tool.told()) == ("done", 1)

    def test_uncrossable_exec():
        exec(tool.text())

    def test_uncrossable_compile():
        exec(compile(tool.text(), __file__, "exec"))

    def test_uncrossable_pickle():
        assert pickle.loads(tool.pickled()) is int

    def test_uncrossable_pickle_in_python():
        import io
        assert pickle._Unpickler(io.BytesIO(tool.pickled())).load() is int

    def test_uncrossable_marshal():
        assert marshal.loads(tool.compiled())

    def test_uncrossable_timeit():
        timeit.timeit(tool.text(), number=1)

    def test_uncrossable_even_if_nobody_notices():
        try:
            exec(tool.text())
        except BaseException:
            pass

    def test_uncrossable_zip(tmp_path, monkeypatch):
        tool.write("zip", str(tmp_path))
        monkeypatch.syspath_prepend(tmp_path / "made.zip")
        import inzip
        assert inzip.X == 1

    def test_uncrossable_byte_code(tmp_path, monkeypatch):
        tool.write("pyc", str(tmp_path))
        monkeypatch.syspath_prepend(tmp_path)
        import bare
        assert bare.X == 1

    def test_uncrossable_copied(tmp_path, monkeypatch):
        tool.write("plain", str(tmp_path))
        shutil.copy(tmp_path / "plain.py", tmp_path / "copied.py")
        monkeypatch.syspath_prepend(tmp_path)
        import copied
        assert copied.X == 1

    def test_uncrossable_moved_away(tmp_path, monkeypatch):
        tool.write("plain", str(tmp_path))
        shutil.move(tmp_path / "plain.py", ROOT / "tests" / "late" / "moved.py")
        monkeypatch.syspath_prepend(ROOT / "tests" / "late")
        import moved
        assert moved.X == 1

    def test_uncrossable_run_path(tmp_path):
        tool.write("plain", str(tmp_path))
        assert runpy.run_path(str(tmp_path / "plain.py"))["X"] == 1

    def test_uncrossable_import_path_of_a_command(tmp_path):
        tool.write("plain", str(tmp_path))
        subprocess.run([sys.executable, "-c", "import plain"], env={**os.environ, "PYTHONPATH": str(tmp_path)})

    def test_uncrossable_standard_input():
        subprocess.run(["sh", "-s"], input=tool.text(), text=True)
"""


@pytest.mark.docker
async def test_nothing_of_the_program_is_executed_here(world: World) -> None:
    """Texts, bytes, archives and moved files of the program's end a test; the library's own texts do not."""
    tests: Files = {"tests/test_execution.py": TESTS, "tests/late/later.py": "VALUE = 5\n", "tests/helper.py": ""}
    assert await wrong_outside(world, {"tool.py": TOOL}, tests) == {}
