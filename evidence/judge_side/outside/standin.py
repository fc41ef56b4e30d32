"""The process that stands on the judge's side for a command of the program's, which runs where the program is (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it, and it is
executed as `python3 -I -S standin.py DESCRIPTOR`. It may use nothing but the standard library.

It has the streams that the test gave the command, carries them both ways, hands on its signals, and ends as the
command did. On the socket are frames: a letter, a length of four bytes, and bytes.
"""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading

HEAD = struct.Struct("<cI")
PIECE = 1 << 16
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGCONT")
"""Those that are handed on; the others cannot be caught, or end what stands here, and so the command."""


def take(connection: socket.socket, length: int) -> bytes:
    """Return so many bytes; fewer where the other end is closed."""
    taken = b""
    while len(taken) < length and (piece := connection.recv(length - len(taken))):
        taken += piece
    return taken


class Standin:
    """Carries streams and signals between the test and the command.

    Args:
        connection: to the judge's process.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def tell(self, letter: bytes, data: bytes = b"") -> None:
        """Send a frame."""
        with self._sending:
            self._connection.sendall(HEAD.pack(letter, len(data)) + data)

    def carry_input(self) -> None:
        """Send what the test gives on standard input."""
        try:
            while data := os.read(0, PIECE):
                self.tell(b"i", data)
        except OSError:
            pass  # none was given
        self.tell(b"I")

    def hand_on(self, number: int, frame: object) -> None:
        """Send a signal's number; not in this thread, which may be sending something."""
        threading.Thread(target=self.tell, args=(b"s", bytes([number])), daemon=True).start()

    def carry(self) -> int:
        """Write what the command prints, and return how it ended."""
        while len(head := take(self._connection, HEAD.size)) == HEAD.size:
            letter, length = HEAD.unpack(head)
            data = take(self._connection, length)
            if letter == b"x":
                return int(struct.unpack("<i", data)[0])
            if letter == b"c":
                with contextlib.suppress(OSError):  # none was given
                    os.close(0)  # nobody reads that there any more, and whoever writes it learns so
            else:
                self.write(letter, data)
        return -signal.SIGKILL

    def write(self, letter: bytes, data: bytes) -> None:
        """Write to one of the streams; where nobody reads it, the command learns so."""
        try:
            while data:
                data = data[os.write(1 if letter == b"o" else 2, data) :]
        except OSError:
            self.tell(b"p", letter)


def main() -> None:
    """Stand for a command until it has ended, and end as it did."""
    standin = Standin(socket.socket(fileno=int(sys.argv[1])))
    for name in SIGNALS:
        signal.signal(getattr(signal, name), standin.hand_on)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    threading.Thread(target=standin.carry_input, daemon=True).start()
    end(standin.carry())


def end(code: int) -> None:
    """End with an exit code, or by a signal where it is negative."""
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pause()
    os._exit(code)


if __name__ == "__main__":
    main()
