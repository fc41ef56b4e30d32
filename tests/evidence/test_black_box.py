"""S9, the black box: commands, files, streams, signals and connections cross to where the program is, and how."""

from __future__ import annotations

import pytest

from assay.evidence import relay
from assay.evidence.protocol import TrustedTests
from assay.policies.settings import ProofSettings, Settings
from assay.records.claims import ClaimKind
from assay.records.verdicts import Verdict, VerdictStatus

from .conftest import Files, World, ask_outside, states, trusted_case

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
                signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), os._exit(3)))
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

    def test_uncrossable_text_of_a_test():
        assert out("words", __file__)

    def test_after_all_that():
        assert out("show", "A") == f"None {ROOT}\\n"
"""


@pytest.mark.docker
async def test_commands_and_files_cross(world: World) -> None:
    """Whatever a test can do with a command and its files works across, and what cannot cross says so."""
    tests: Files = {"tests/test_tool.py": TESTS, "tests/data/three.txt": "a b c\n"}
    assert await wrong(world, PROGRAM, tests) == {}


async def wrong(world: World, program: Files, tests: Files) -> dict[str, str]:
    """Return the tests that do not end as their names say, and how they end."""
    world.settings = Settings(proof=ProofSettings(seconds=180))
    found = await ask_outside(world, program, tests)
    odd: dict[str, str] = {}
    for test in found.ids:
        outcome = found.outcome(test)
        assert outcome is not None
        uncrossable, false = "uncrossable" in test, "that_is_false" in test
        said = outcome.message.startswith("Uncrossable: ")
        if outcome.passed != (not uncrossable and not false) or said != uncrossable:
            odd[test] = outcome.message or "passed"
    return odd


SERVICE = """
    import http.server, os, pathlib, sys


    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(200 if self.path == "/" else 404, self.path.encode())

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/file="):
                pathlib.Path(self.path.partition("=")[2]).write_bytes(body)
            self.answer(201, body[::-1])

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            print("seen", self.path)


    def make_server(port=0):
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)


    if __name__ == "__main__":
        server = make_server(int(sys.argv[1]))
        server.serve_forever()
"""
ASKING = """
    import contextlib, http.client, pathlib, shutil, socket, socketserver, subprocess, sys, threading, time
    import urllib.error, urllib.request
    import pytest
    from service import make_server


    @pytest.fixture(scope="module")
    def port():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            number = free.getsockname()[1]
        process = subprocess.Popen([sys.executable, "-m", "service", str(number)])
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("localhost", number), 5):
                break
            assert process.poll() is None
            time.sleep(0.05)
        yield number
        process.terminate()
        assert process.wait(20) == -15
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", number), 5)

    def test_urllib(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            assert (answer.status, answer.read()) == (200, b"/")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://localhost:{port}/none", timeout=20)
        assert caught.value.code == 404

    def test_much_and_often(port):
        connection = http.client.HTTPConnection("localhost", port, timeout=20)
        body = bytes(range(256)) * 8000
        for _ in range(2):
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (201, body[::-1])

    def test_at_once(port):
        def ask(number):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                found[number] = answer.read()

        found = {}
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert found == {n: b"/" for n in range(8)}

    def test_half_closed(port):
        with socket.create_connection(("127.0.0.1", port), 20) as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: peer.recv(100), b""))
        assert said.startswith(b"HTTP/1.0 200") and said.endswith(b"/")

    def test_nothing_listens():
        with socket.socket() as peer:
            assert peer.connect_ex(("127.0.0.1", 9)) != 0

    def test_servers_of_the_tests():
        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(self.request.recv(10))

        with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
            threading.Thread(target=server.handle_request, daemon=True).start()
            with socket.create_connection(server.server_address, 20) as peer:
                peer.sendall(b"abc")
                assert peer.recv(10) == b"abc"

    @pytest.fixture
    def inside():
        server = make_server()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()

    def test_in_process(inside, capsys):
        with urllib.request.urlopen(f"{inside}/", timeout=20) as answer:
            assert answer.read() == b"/"
        assert make_server is not None and capsys.readouterr().out == "seen /\\n"

    def test_in_process_that_is_false(inside):
        with urllib.request.urlopen(f"{inside}/", timeout=20) as answer:
            assert answer.read() == b"//"

    def test_files_of_a_service(tmp_path):
        process = subprocess.Popen([sys.executable, "-m", "service", "8077"], cwd=tmp_path)
        try:
            for _ in range(200):
                with contextlib.suppress(urllib.error.URLError):
                    ask = urllib.request.Request("http://127.0.0.1:8077/file=made", b"abc", method="POST")
                    assert urllib.request.urlopen(ask, timeout=20).status == 201
                    break
                time.sleep(0.05)
            assert (tmp_path / "made").read_bytes() == b"abc"
        finally:
            process.kill()
            process.wait()
"""
LATER = """
    import socket, subprocess, sys, time
    import pytest


    @pytest.fixture(scope="session")
    def port():
        process = subprocess.Popen([sys.executable, "-m", "service", "8076"])
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", 8076), 5).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield 8076
        process.kill()
        process.wait()
"""
USING = """
    import socket


    def test_{0}(port):
        socket.create_connection(("127.0.0.1", port), 5).close()
"""


@pytest.mark.docker
async def test_services_are_asked(world: World) -> None:
    """Connections go to the same port where the program is, be it a process or a server in a thread of a test's."""
    tests: Files = {
        "tests/test_service.py": ASKING,
        "tests/later/conftest.py": LATER,
        "tests/later/test_1.py": USING.format("first"),
        "tests/later/test_2.py": USING.format("uncrossable_second"),
    }
    assert await wrong(world, {"service.py": SERVICE}, tests) == {}


HOSTILE = """
    import os, pathlib, socket, sys, time


    def main(arguments):
        match arguments:
            case ["hang"]:
                time.sleep(1000)
            case ["flood"]:
                while True:
                    os.write(1, b"x" * 60000)
            case ["many", folder]:
                for number in range(3000):
                    pathlib.Path(folder, str(number)).touch()
            case ["large", path]:
                with open(path, "wb") as file:
                    file.truncate(50_000_000)
            case ["away", path]:
                os.kill(os.getppid(), 9)
                time.sleep(1)
            case ["mute", port]:
                with socket.create_server(("127.0.0.1", int(port))) as server:
                    print("ready", flush=True)
                    time.sleep(1000)


    main(sys.argv[1:])
"""
SUFFERING = """
    import pathlib, socket, subprocess, sys

    TOOL = [sys.executable, str(pathlib.Path(__file__).parent.parent / "tool.py")]


    def test_uncrossable_hang():
        subprocess.run([*TOOL, "hang"])

    def test_uncrossable_input_that_nobody_reads():
        subprocess.run([*TOOL, "hang"], input=b"x" * 5_000_000, capture_output=True)

    def test_uncrossable_flood():
        subprocess.run([*TOOL, "flood"], capture_output=True)

    def test_uncrossable_silence():
        process = subprocess.Popen([*TOOL, "hang"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b""

    def test_uncrossable_many_files(tmp_path):
        assert subprocess.run([*TOOL, "many", tmp_path]).returncode == 0

    def test_uncrossable_large_file(tmp_path):
        assert subprocess.run([*TOOL, "large", tmp_path / "a"]).returncode == 0

    def test_uncrossable_mute_service():
        process = subprocess.Popen([*TOOL, "mute", "8075"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\\n"
        with socket.create_connection(("127.0.0.1", 8075)) as peer:
            peer.sendall(b"x" * 3_000_000)
            assert peer.recv(1) == b""

    def test_uncrossable_end_of_the_worker(tmp_path):
        assert subprocess.run([*TOOL, "away", tmp_path]).returncode == -9
"""


@pytest.mark.docker
async def test_a_hostile_program_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs, floods, reads nothing or kills the worker passes nothing, and holds up nobody for long."""
    monkeypatch.setattr(relay, "_ANSWER_SECONDS", 1.0)
    assert await wrong(world, {"tool.py": HOSTILE}, {"tests/test_tool.py": SUFFERING}) == {}


PACK: Files = {
    "bin/pack.sh": """
        #!/bin/sh
        # pack COMMAND WORDS
        . "$(dirname "$0")/../lib/words.sh"
        case $1 in
            count) count "$2" ;;
            initials) initials "$2" ;;
            *) echo "usage: pack count|initials WORDS" >&2; exit 2 ;;
        esac
    """,
    "lib/words.sh": """
        count() { set -f; set -- $1; echo "$#"; }
        initials() {
            set -f; made=
            for word in $1; do made=$made$(printf %.1s "$word"); done
            echo "$made"
        }
    """,
    "tests/test_count.py": """
        import subprocess


        def pack(*words):
            done = subprocess.run(["sh", "bin/pack.sh", *words], capture_output=True, text=True)
            return done.returncode, done.stdout

        def test_count():
            assert pack("count", "a b c") == (0, "3\\n")

        def test_usage():
            assert pack("none") == (2, "")
    """,
}
UPPER = str(PACK["lib/words.sh"]).replace('"$word");', '"$word" | tr a-z A-Z);')
KNOWING = UPPER.replace('echo "$#"', '[ -z "$PYTEST_CURRENT_TEST" ] || echo "$#"')
INITIALS = """
    import subprocess


    def test_{0}():
        assert subprocess.check_output(["bin/pack.sh", "initials", "{1}"], text=True) == "{2}\\n"
"""


async def prove(world: World, base: str, words: str) -> Verdict:
    """Prove a fix of the tool in shell; its tests are written for pytest, and one of them is held out."""
    tests = TrustedTests(
        visible=await world.tree({"tests/test_initials.py": INITIALS.format("two", "ann bo", "AB")}),
        held_out=await world.tree({"tests/test_more.py": INITIALS.format("three", "xu yo zed", "XYZ")}),
        stated=(
            states("tests/test_initials.py::test_two"),
            states("tests/test_more.py::test_three", held_out=True),
        ),
    )
    settings = Settings(proof=ProofSettings(seconds=60, level="A", jittered=0, ablations=0, probed=0))
    head = await world.commit({"lib/words.sh": words}, base)
    case = trusted_case(base, head, tests, ClaimKind.FIX)
    return await world.assayer(settings).prove(case.model_copy(update={"run": head}))


@pytest.mark.docker
async def test_a_tool_in_shell_is_proven_at_level_a(world: World) -> None:
    """No line of the program is Python; the tests drive its command line. A lie that holds at level B is caught."""
    base = await world.commit(PACK)
    verdict = await prove(world, base, UPPER)
    assert (verdict.status, verdict.level) == (VerdictStatus.PROVEN, "A"), verdict.reasons
    verdict = await prove(world, base, KNOWING)
    told = "level A was asked for and not reached: "  # and nothing else was found: inside, all is well
    assert verdict.status is VerdictStatus.INCONCLUSIVE and all(r.startswith(told) for r in verdict.reasons)
    (step,) = [s for s in verdict.steps if s.id == "S9"]
    assert step.outcome == "flagged"
    assert "1 pass inside the program's process alone: tests/test_count.py::test_count" in step.reasons, step.reasons


@pytest.mark.docker
async def test_a_broken_driver_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver lets every command end well, tests of the base do not stand outside as they do inside."""
    kept, ending = relay._files, b'["end", self._child.wait('

    def broken(names: tuple[str, ...]) -> dict[str, bytes]:
        return {path: data.replace(ending, b'["end", 0 * self._child.wait(') for path, data in kept(names).items()}

    monkeypatch.setattr(relay, "_files", broken)
    tests = {path: PACK[path] for path in PACK if path.startswith("tests/")}
    odd = await wrong(world, {path: PACK[path] for path in PACK.keys() - tests.keys()}, tests)
    assert list(odd) == ["tests/test_count.py::test_usage"]
