# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A command ``python`` that has imported torch and MONAI already, for what notebooks and benchmarks start."""

from __future__ import annotations

import json
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import processes

CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{address}")
    command = sys.argv[sys.argv.index("-m") + 1 :]
    server.sendall(json.dumps([command, os.getcwd(), "/proc/%d/fd/1" % os.getpid()]).encode() + b"\\n")
    sys.exit(int(server.recv(9)))
"""


@contextmanager
def preloaded_python() -> Iterator[Path]:
    """An executable that runs ``[OPTIONS] -m MODULE ARGUMENTS``; errors go where the output goes."""
    with tempfile.TemporaryDirectory() as folder:  # a short path, as a socket needs
        python, address = Path(folder, "python"), f"{folder}/socket"
        python.write_text(CLIENT.format(python=sys.executable, address=address))
        python.chmod(0o700)
        with socketserver.ThreadingUnixStreamServer(address, _Run) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield python
            server.shutdown()


class _Run(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        command, folder, output = json.loads(self.rfile.readline())
        code = processes.run(command, Path(folder), Path(output))
        self.wfile.write(str(code).encode())
