"""A measurement in a process of its own, over services that this process has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from langchain_bedrock_opt import BedrockEmulator


def in_a_process(emulator: BedrockEmulator, module: str, *arguments: object) -> Any:
    """Run a benchmark's `main` in a new process.

    Args:
        emulator: What the process has for AWS.
        module: The benchmark's name.
        arguments: The command's arguments.

    Returns:
        What it printed, read as JSON.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        env={**os.environ, **emulator.environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


class PeakMemory:
    """The most memory that a process has had since this was made, beyond what it had then.

    Linux only. `getrusage` would not do: its peak is inherited from the process that started this
    one.
    """

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        self._start = _resident("VmRSS")

    @property
    def megabytes(self) -> float:
        """The peak so far."""
        return _resident("VmHWM") - self._start


def _resident(name: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) / 1024
