"""What tests need to start servers of their own on the loopback interface."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time


def free_port() -> int:
    """A port that nobody listens on, nor on the one 10,000 above, which a cluster's node takes too.

    Both are below those that the system gives to outgoing connections, so that no connection takes
    them before the server starts, or while it is stopped.
    """
    while True:
        port = random.randint(10_000, 22_000)
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was started listens on a port."""
    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start on port {port}")
        time.sleep(0.02)
