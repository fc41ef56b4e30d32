"""S9, the black box: commands, files, streams, signals and connections cross to where the program is, and how."""

from __future__ import annotations

import pytest

from .conftest import Files, World, wrong_outside

TOOL = """
    import json, os, pathlib, signal, sys, threading, time


    def main(arguments):
        match arguments:
            case ["words", path]:
                print(len(pathlib.Path(path).read_text().split()))
            case ["upper", source, target]:
                pathlib.Path(target).write_text(pathlib.Path(source).read_text().upper())
            case ["build", folder]:
                out = pathlib.Path(folder, "out", "deep")
                out.mkdir(parents=True)
                (out / "page.sh").write_text("echo made")
                (out / "page.sh").chmod(0o750)
                pathlib.Path(folder, "old.txt").unlink()
            case ["beside", path]:
                pathlib.Path(path).with_suffix(".html").write_text("<p>")
            case ["link", folder]:
                pathlib.Path(folder, "link").symlink_to("/etc/passwd")
            case ["show", name]:
                print(os.environ.get(name), os.getcwd())
            case ["copy"]:
                for line in sys.stdin:
                    print(line.strip()[::-1], flush=True)
            case ["both"]:
                print("out", flush=True)
                print("err", file=sys.stderr, flush=True)
                print("more", flush=True)
            case ["abort"]:
                os.abort()
            case ["sleep"]:
                print("ready", flush=True)
                time.sleep(100)
            case ["polite"]:
                signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"bye\\n"), os._exit(3)))
                print("ready", flush=True)
                time.sleep(100)
            case ["touch", path]:
                pathlib.Path(path).write_text("there")
                time.sleep(100)
            case ["daemon"]:
                if os.fork() == 0:
                    time.sleep(1000)
            case ["pytest"]:
                print("PYTEST_CURRENT_TEST" in os.environ)
            case _:
                sys.exit(7)


    if __name__ == "__main__":
        main(sys.argv[1:])
"""
SHELL_TOOL = """
    #!/bin/sh
    . "$(dirname "$0")/../lib/words.sh"
    count "$@"
"""
PROGRAM: Files = {
    "tool.py": TOOL,
    "bin/pack.sh": SHELL_TOOL,
    "lib/words.sh": 'count() { echo "$# words"; }\n',
    "samples/a.txt": "one two\n",
}
TESTS = """
    import asyncio, os, pathlib, signal, subprocess, sys, threading, time
    import pytest

    ROOT = pathlib.Path(__file__).parent.parent
    TOOL = [sys.executable, str(ROOT / "tool.py")]


    def out(*words, **options):
        return subprocess.run([*TOOL, *words], capture_output=True, text=True, check=True, **options).stdout

    def test_a_file_is_read(tmp_path):
        (tmp_path / "in.txt").write_text("a b c")
        assert out("words", str(tmp_path / "in.txt")) == "3\\n"
        (tmp_path / "in.txt").write_text("a b c d")
        assert out("words", str(tmp_path / "in.txt")) == "4\\n"

    def test_a_file_is_written(tmp_path):
        (tmp_path / "in.txt").write_text("abc")
        out("upper", str(tmp_path / "in.txt"), str(tmp_path / "out.txt"))
        assert (tmp_path / "out.txt").read_text() == "ABC"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in.txt", "out.txt"]

    def test_folders_cross_with_modes(tmp_path):
        (tmp_path / "old.txt").write_text("old")
        out("build", str(tmp_path))
        made = tmp_path / "out" / "deep" / "page.sh"
        assert made.read_text() == "echo made" and made.stat().st_mode & 0o777 == 0o750
        assert not (tmp_path / "old.txt").exists()

    def test_what_lies_beside(tmp_path):
        (tmp_path / "page.md").write_text("p")
        out("beside", "page.md", cwd=tmp_path)
        assert (tmp_path / "page.html").read_text() == "<p>"

    def test_environment_and_cwd(tmp_path, monkeypatch):
        assert out("show", "COLOR", env={**os.environ, "COLOR": "red"}, cwd=tmp_path) == f"red {tmp_path}\\n"
        monkeypatch.setenv("COLOR", "blue")
        monkeypatch.chdir(tmp_path)
        assert out("show", "COLOR") == f"blue {tmp_path}\\n"
        assert out("show", "HOME", env={"PATH": os.environ["PATH"]}) == f"None {tmp_path}\\n"

    def test_nothing_of_pytest_is_there():
        assert out("pytest") == "False\\n"

    def test_data_of_the_tests():
        assert out("words", str(ROOT / "tests" / "data" / "three.txt")) == "3\\n"
        assert out("words", "tests/data/three.txt", cwd=ROOT) == "3\\n"

    def test_data_of_the_program():
        assert out("words", "samples/a.txt", cwd=ROOT) == "2\\n"

    def test_script_in_shell():
        assert subprocess.check_output(["sh", "bin/pack.sh", "a", "b c"], cwd=ROOT) == b"2 words\\n"
        assert subprocess.check_output("sh bin/pack.sh a 'b c' 2>&1", shell=True, cwd=ROOT) == b"2 words\\n"
        both = f"echo x | {ROOT}/bin/pack.sh a && cd {ROOT} && ./bin/pack.sh"
        assert subprocess.getoutput(both) == "1 words\\n0 words"
        assert subprocess.call([f"{ROOT}/bin/pack.sh"], stdout=subprocess.DEVNULL) == 0

    def test_os_system(tmp_path):
        assert os.waitstatus_to_exitcode(os.system(f"cd {ROOT} && python3 tool.py nothing")) == 7
        assert os.system(f"python3 -m tool show HOME > {tmp_path}/said") == 0
        assert (tmp_path / "said").read_text() == f"/tmp {ROOT}\\n"

    def test_commands_of_the_system_stay():
        assert subprocess.run(["sh", "-c", "echo $((1 + 1))"], capture_output=True).stdout == b"2\\n"

    def test_no_such_command():
        with pytest.raises(PermissionError):
            subprocess.run([ROOT / "samples" / "a.txt"])
        with pytest.raises(subprocess.CalledProcessError) as caught:
            out("nothing")
        assert caught.value.returncode == 7

    def test_streams_in_turn():
        with subprocess.Popen([*TOOL, "copy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for text in ("abc", "def"):
                print(text, file=process.stdin, flush=True)
                assert process.stdout.readline() == text[::-1] + "\\n"
            process.stdin.close()
            assert process.wait(20) == 0

    def test_both_streams_in_one():
        done = subprocess.run([*TOOL, "both"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.stdout == b"out\\nerr\\nmore\\n"

    def test_much_at_once():
        text = "abc" * 1000 + "\\n"
        assert out("copy", input=text * 300) == text[-2::-1] * 0 + (text.strip()[::-1] + "\\n") * 300

    def test_end_by_signal():
        assert subprocess.run([*TOOL, "abort"]).returncode == -signal.SIGABRT

    def test_time_outs():
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            subprocess.run([*TOOL, "sleep"], timeout=2, capture_output=True)
        assert caught.value.output == b"ready\\n"

    @pytest.mark.parametrize("how", ["terminate", "kill", "os.kill"])
    def test_signals(how):
        process = subprocess.Popen([*TOOL, "polite"], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\\n" and process.poll() is None
        if how == "os.kill":
            os.kill(process.pid, signal.SIGTERM)
        else:
            getattr(process, how)()
        said, _ = process.communicate(timeout=20)
        assert (process.returncode, said) == ((-9, "") if how == "kill" else (3, "bye\\n"))

    def test_files_of_what_still_runs(tmp_path):
        process = subprocess.Popen([*TOOL, "touch", tmp_path / "a"])
        until = time.monotonic() + 20
        while not (tmp_path / "a").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert (tmp_path / "a").read_text() == "there"

    def test_what_is_left_behind():
        assert subprocess.run([*TOOL, "daemon"], capture_output=True).returncode == 0

    def test_asyncio():
        async def ask():
            process = await asyncio.create_subprocess_exec(*TOOL, "copy", stdin=-1, stdout=-1)
            return (await process.communicate(b"abc"))[0], process.returncode

        assert asyncio.run(ask()) == (b"cba\\n", 0)

    def test_that_is_false():
        assert out("words", "samples/a.txt", cwd=ROOT) == "3\\n"

    def test_uncrossable_comparison_there(tmp_path):
        (tmp_path / "a").write_text("x")
        assert subprocess.run(["cmp", "samples/a.txt", tmp_path / "a"], cwd=ROOT).returncode == 1

    def test_uncrossable_mixed_shell():
        assert subprocess.run("./bin/pack.sh a | grep -q words", shell=True, cwd=ROOT).returncode == 0

    def test_uncrossable_code():
        assert subprocess.check_output([sys.executable, "-c", "import tool; print(tool.__name__)"]) == b"tool\\n"

    def test_uncrossable_execution_of_what_was_made(tmp_path):
        (tmp_path / "old.txt").touch()
        out("build", str(tmp_path))
        assert subprocess.check_output(["sh", tmp_path / "out/deep/page.sh"]) == b"made\\n"

    def test_uncrossable_import_of_what_was_made(tmp_path, monkeypatch):
        (tmp_path / "in.txt").write_text("x = 1")
        out("upper", str(tmp_path / "in.txt"), str(tmp_path / "made.py"))
        monkeypatch.syspath_prepend(tmp_path)
        import made
        assert made.X == 1

    def test_uncrossable_links(tmp_path):
        out("link", str(tmp_path))
        assert (tmp_path / "link").exists()

    def test_uncrossable_links_of_the_tests(tmp_path):
        (tmp_path / "a").symlink_to("b")
        out("show", "A", cwd=tmp_path)

    def test_uncrossable_text_of_a_test():
        assert out("words", __file__)

    def test_after_all_that():
        assert out("show", "A") == f"None {ROOT}\\n"
"""


@pytest.mark.docker
async def test_commands_and_files_cross(world: World) -> None:
    """Whatever a test can do with a command and its files works across, and what cannot cross says so."""
    tests: Files = {"tests/test_tool.py": TESTS, "tests/data/three.txt": "a b c\n"}
    assert await wrong_outside(world, PROGRAM, tests) == {}
