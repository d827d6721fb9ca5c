"""What ends a benchmark: which step failed, why, and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class Failure(Exception):
    """A step that failed. Its words are for the person who started the benchmark."""

    def __init__(self, step: str, reason: str, hint: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.hint = hint


def execute(step: str, command: Sequence[str | Path], hint: str, folder: Path | None = None) -> str:
    """Runs a command of the set-up and returns what it printed. Nothing that is measured is run here."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise Failure(step, f"`{command[0]}` cannot be started: {error.strerror}", hint) from error
    if done.returncode != 0:
        raise Failure(step, ending(done.stderr or done.stdout, done.returncode), hint)
    return done.stdout


def ending(said: str, code: int) -> str:
    """The last lines that a command printed before it failed."""
    lines = [line for line in said.splitlines() if line.strip()]
    meaning = f"signal {-code} ended it" if code < 0 else f"it ended with {code}"
    return "\n  ".join([meaning, *lines[-12:]])
