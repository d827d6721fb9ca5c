"""Words for the person who watches."""

from __future__ import annotations

import sys


def say(progress: str) -> None:
    """Prints progress: standard output is for the tables only."""
    print(f"==> {progress}", file=sys.stderr, flush=True)


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
