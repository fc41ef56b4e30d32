"""S9, the black box: services are asked over connections that go to the same port where the program is."""

from __future__ import annotations

import pytest

from .conftest import Files, World, wrong_outside

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
    import asyncio, contextlib, http.client, pathlib, shutil, socket, socketserver, subprocess, sys, threading, time
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

    def test_asyncio(port):
        async def ask():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /a HTTP/1.0\\r\\n\\r\\n")
            said = await reader.read()
            writer.close()
            return said

        assert asyncio.run(ask()).endswith(b"/a")

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
    assert await wrong_outside(world, {"service.py": SERVICE}, tests) == {}
