"""Commands from a process that has imported already: each starts by a fork of it, not by four seconds of imports.

`start` puts programs named `genesis` and `python` into a folder, for the front of a PATH. Each hands its words, its
folder, its environment and its three streams to one server, which forks; the fork runs the words as the real program
does, and the program ends with its status.

The server must not compute anything by itself: PyTorch's threads do not outlive a fork.
"""

import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGE = ("torch.utils.tensorboard", "monai.transforms", "monai.losses", "matplotlib.pyplot", "numba", "scipy.stats")
PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [b" "], [0, 1, 2])
    server.sendall(asked)
    server.shutdown(socket.SHUT_WR)
    status = int(server.recv(16) or 1)
    sys.exit(status if status >= 0 else 128 - status)  # as a shell tells the end by a signal
"""


@contextmanager
def start(folder: Path) -> Iterator[Path]:
    """Serve until the end of the block; yield the folder with the programs."""
    short = Path(tempfile.mkdtemp())  # a socket's path has at most a hundred letters
    address = short / "socket"
    for name in ("genesis", "python"):
        program = folder / name
        program.write_text(PROGRAM.format(python=sys.executable, address=str(address)), encoding="utf-8")
        program.chmod(0o755)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-m", "tests.warm", str(address)]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield folder
        server.stdin.close()  # by which it ends, as it does when whoever started it is killed
    shutil.rmtree(short)


def serve(address: str) -> None:
    """Import what takes time, then fork for each that connects, until the standard input ends.

    Returns, in a fork, once that has become what was asked for: its words are in `sys.argv`.
    """
    from modelsgenesis.cli import VERBS

    for name in (*LARGE, *(f"modelsgenesis.commands.{verb}" for verb in VERBS)):
        importlib.import_module(name)
    gc.freeze()  # else a fork copies and looks through all of it when it ends, which takes two seconds
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
        while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [])[0]):
            asking, _ = ready[0].accept()
            if os.fork() == 0:
                listening.close()
                become(asking)
                return
            asking.close()
    os._exit(0)


def become(asking: socket.socket) -> None:
    """Fork again: wait for what was asked for and tell its status, and in the other process return as that."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(asking, 1, 3)
    program, words, folder, environment = json.loads(b"".join(iter(lambda: asking.recv(65536), b"")))
    if child := os.fork():
        asking.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        os._exit(0)
    asking.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *words]


def run() -> int:
    """Do what `sys.argv` says: a verb, or the Python program of a file or of the standard input."""
    from modelsgenesis.cli import main

    program, *words = sys.argv
    if program == "genesis":
        return main(words)
    sys.argv = words
    sys.path[0] = ""
    if words == ["-"]:
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(words[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
    sys.exit(run())
