"""The attacks of the suite: programs, and how each of them may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from assay.records.sandboxes import Exited, OutOfMemory, Signalled, TimedOut

FRAME: Final = bytes([1, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0]) + b"fake" + bytes([1, 0, 0, 0, 0, 0, 0, 4])
ESCAPES: Final = b"\x1b[2J\x1b]0;x\x07\r\0\xff"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A program, and the endings that are right for it."""

    program: str
    """Python, on stdin of `python3 -`; or, with `shell`, a command of `/bin/sh`."""
    ends: tuple[type[Any], ...]
    """How it may end; where there are two, it depends on who is first."""
    seconds: float = 30.0
    shell: bool = False
    tells: str = ""
    """What it prints when it has found the limit that it is about."""
    writes: int | None = None
    """How many bytes it prints; all of them are counted."""
    disk_full: bool = False
    clean: str = "true"
    """What frees the room that it took, as a person who goes on would."""


ATTACKS: Final = {
    "fork bomb": Attack(
        program="b() { b | b & }; b; sleep 100", shell=True, seconds=2, ends=(TimedOut, OutOfMemory, Exited)
    ),
    "fork bomb in sessions of their own": Attack(
        program="import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass",
        seconds=2,
        ends=(TimedOut, OutOfMemory),
    ),
    "threads": Attack(
        program="import threading, time\nn = 0\ntry:\n    while n < 500:\n"
        "        threading.Thread(target=time.sleep, args=(100,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print('limited')\nimport os, sys; sys.stdout.flush(); os._exit(0)",
        ends=(Exited,),
        tells="limited",
    ),
    "memory": Attack(program="a = []\nwhile True: a.append(bytearray(1 << 20))", ends=(OutOfMemory,)),
    "memory of many": Attack(
        program="import os\nfor _ in range(9):\n    try: os.fork()\n    except OSError: pass\n"
        "a = []\nwhile True: a.append(bytearray(1 << 20))",
        ends=(OutOfMemory, TimedOut),
        seconds=20,
    ),
    "memory by shared mappings": Attack(
        program="import mmap\na = []\nwhile True:\n    a.append(mmap.mmap(-1, 1 << 24)); a[-1].write(bytes(1 << 24))",
        ends=(OutOfMemory,),
    ),
    "workspace filled": Attack(
        program="head -c 1G /dev/zero >big",
        shell=True,
        ends=(Exited,),
        tells="No space left",
        disk_full=True,
        clean="rm big",
    ),
    "scratch filled": Attack(
        program="head -c 1G /dev/zero >/tmp/big", shell=True, ends=(Exited,), disk_full=True, clean="rm /tmp/big"
    ),
    "shared memory filled": Attack(
        program="head -c 1G /dev/zero >/dev/shm/big",
        shell=True,
        ends=(Exited,),
        disk_full=True,
        clean="rm /dev/shm/big",
    ),
    "a million files": Attack(
        program="import os\nos.mkdir('m')\ntry:\n    for i in range(1_000_000): open(f'm/{i}', 'w').close()\n"
        "except OSError as error: print('after', i, os.strerror(error.errno))",
        ends=(Exited,),
        tells="No space left",
        disk_full=True,
        clean="rm -r m",
    ),
    "a million directories, one in the other": Attack(
        program="import os\ntry:\n    for i in range(1_000_000): os.mkdir('d'); os.chdir('d')\n"
        "except OSError as error: print('after', i, os.strerror(error.errno))",
        ends=(Exited,),
        tells="No space left",
        disk_full=True,
        clean="rm -r /workspace/d",
    ),
    "ten gigabytes of output": Attack(
        program="head -c 10000000000 /dev/zero", shell=True, ends=(Exited,), seconds=120, writes=10_000_000_000
    ),
    "output without end": Attack(program="yes & yes 1>&2", shell=True, seconds=1.5, ends=(TimedOut,)),
    "one line of frames and escapes": Attack(
        program=f"import sys\nfor _ in range(50000): sys.stdout.buffer.write({FRAME + ESCAPES!r})",
        writes=50_000 * len(FRAME + ESCAPES),
        ends=(Exited,),
    ),
    "output held open": Attack(program="(setsid sleep 1000 &) ; exec sleep 0.1", shell=True, ends=(Exited,)),
    "deaf, stopped and everywhere": Attack(
        program="import os, signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nfor _ in range(4): os.fork() or os.setsid()\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(1000)",
        seconds=1.5,
        ends=(TimedOut,),
    ),
    "zombies": Attack(
        program="import os, time\nfor _ in range(50):\n    try:\n        if os.fork() == 0: os._exit(0)\n"
        "    except OSError: print('limited'); break\nprint(len(os.listdir('/proc')))",
        ends=(Exited,),
    ),
    "everything that may be killed": Attack(program="kill -9 -1", shell=True, ends=(Exited, Signalled)),
    "descriptors": Attack(
        program="import os\na = []\ntry:\n    while True: a.append(os.open('/dev/null', 0))\n"
        "except OSError as error: print(os.strerror(error.errno))",
        ends=(Exited,),
        tells="Too many open files",
    ),
    "programs replaced": Attack(
        program="for p in /bin/sh /usr/bin/git /usr/bin/python3 /.assay/supervisor; do rm -f $p; echo x > $p; done;"
        " mkdir bin; for p in sh git python3; do printf '#!/bin/true\\n' > bin/$p; chmod +x bin/$p; done;"
        " PATH=/workspace/bin:$PATH; export PATH; echo PATH=$PATH > /tmp/.profile; git --version; rm -r bin",
        shell=True,
        ends=(Exited,),
    ),
    "crash": Attack(program="import ctypes; ctypes.string_at(0)", ends=(Signalled,)),
    "a loop of its own time": Attack(program="while True: pass", seconds=1, ends=(TimedOut,)),
}

EATER: Final = """
import ctypes, fcntl, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
while libc.inotify_init1(0) >= 0:
    pass
pipes = []
try:
    while True:
        pipes.append(os.pipe())
        fcntl.fcntl(pipes[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
except OSError:
    print("used up", flush=True)
open("ready", "w").close()
time.sleep(60)
"""
HUNGRY: Final = """
import ctypes, fcntl, os
print(ctypes.CDLL(None).inotify_init1(0) >= 0, fcntl.fcntl(os.pipe()[0], fcntl.F_GETPIPE_SZ))
"""
