"""Finds or makes the programs that are measured: Sluice, and the environment of the peers from PyPI."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from failure import Failure, execute
from words import say

HERE = Path(__file__).resolve().parent
CLONE = HERE.parent


def find_sluice(named: Path | None) -> Path:
    """The program that was named, or else a release build of this clone."""
    if named is None:
        return build_sluice()
    if not os.access(named, os.X_OK) or named.is_dir():
        reason = "it is no program that may be run" if named.exists() else "it is not there"
        raise Failure(
            f"find Sluice at `{named}`",
            reason,
            "name a release build of `sluice` with `--sluice`, or leave the option out: then this clone is built",
        )
    return named.resolve()


def build_sluice() -> Path:
    hint = "install Rust from https://rustup.rs, or name a release build of `sluice` with `--sluice`"
    cargo = shutil.which("cargo") or Path.home() / ".cargo" / "bin" / "cargo"
    say("building Sluice")
    execute("build Sluice", [cargo, "build", "--release", "--locked", "-p", "sluice"], hint, CLONE)
    facts = execute("build Sluice", [cargo, "metadata", "--format-version", "1", "--no-deps", "--locked"], hint, CLONE)
    return Path(json.loads(facts)["target_directory"]) / "release" / "sluice"


def sluice_version(program: Path) -> str:
    """The version that the program says it is. Fails, if it is another program."""
    step, hint = f"ask `{program}` for its version", "name a release build of `sluice` with `--sluice`"
    name, _, version = execute(step, [program, "--version"], hint).strip().partition(" ")
    if name != "sluice":
        raise Failure(step, "it does not answer as Sluice does", hint)
    return version


def commit() -> str:
    """What this clone is at, if it is one of Git's."""
    try:
        describe = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
        return execute("ask Git for the commit", describe, "install `git`", CLONE).strip()
    except Failure:
        return "no commit"


def duckdb_version() -> str:
    packages = (line.partition("==") for line in (HERE / "requirements.txt").read_text().splitlines())
    return next(version for name, _, version in packages if name == "duckdb")


def find_python() -> Path:
    """The Python of the peers' environment, which is kept in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sluice" / "bench-venv"
    python, stamp = folder / "bin" / "python", folder / "installed"
    packages = HERE / "requirements.txt"
    wanted = f"{sys.version}\n{packages.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    say(f"installing the peers into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    execute("make the peers' environment", [sys.executable, "-m", "venv", folder], "install Debian's `python3-venv`")
    pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    hint = "`pip` must reach PyPI or a mirror of it; PIP_INDEX_URL names one"
    execute("install the peers", [*pip, "install", "-r", packages], hint)
    stamp.write_text(wanted)
    return python
