"""Runs a peer once, and measures what it cost the client, the server and the clock."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from failure import Failure, ending
from peers import Peer, check
from server import TICKS, Server
from words import say

# A peer is measured again if other processes took more of the machine.
BUSY = 0.05
REPEATS = 3
# Seconds before it is measured again: what disturbed it may end.
PAUSE = 2
# The kernel counts in ticks: with less than this, the share of others in a short run would be chance.
LEAST_OTHERS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """What one run cost. Times are in seconds, sizes in bytes."""

    client_cpu: float
    server_cpu: float
    wall: float
    memory: int
    """The most that all processes of the client held at one moment, sampled. Pages that they share count for each."""
    largest_process: int
    """The most that any one process of the client held, as the kernel counts it."""
    written: int | None
    """The size of the Parquet files, if the peer writes any."""
    others: float
    """The share of the machine that other processes took meanwhile."""
    busy: bool
    """Whether others took so much that the run means little."""


def measure(peer: Peer, server: Server, table: str, rows: int, connections: int, folder: Path) -> Run:
    """Runs a peer, again if the machine was busy, and checks its rows. Returns the run that was disturbed least."""
    runs: list[Run] = []
    for attempt in range(REPEATS + 1):
        run = measure_once(peer, server, table, connections, folder)
        check(peer, table, folder, rows)
        runs.append(run)
        if not run.busy:
            break
        disturbed = f"{peer.name}, {table}: other processes took {run.others:.0%} of the machine"
        if attempt == REPEATS:
            say(f"{disturbed}; giving up")
        else:
            say(f"{disturbed}; measuring again")
            time.sleep(PAUSE)
    return min(runs, key=lambda run: (run.busy, run.others))


def measure_once(peer: Peer, server: Server, table: str, connections: int, folder: Path) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    commands = peer.commands(server, table, connections, folder)
    server.settle()
    server_before, idle_before, own_before = server.cpu(), idle(), own_cpu()
    began = time.monotonic()
    group = Group(commands, folder)
    try:
        group.wait()
    finally:
        group.kill()
    wall = time.monotonic() - began
    server.settle()
    took = time.monotonic() - began
    server_cpu = server.cpu() - server_before
    cores = os.cpu_count() or 1
    used = took * cores - (idle() - idle_before)
    others = max(0.0, used - group.cpu - server_cpu - (own_cpu() - own_before))
    group.check(f"run {peer.name} on `{table}`")
    return Run(
        client_cpu=group.cpu,
        server_cpu=server_cpu,
        wall=wall,
        memory=max(group.memory, group.largest_process),
        largest_process=group.largest_process,
        written=size(folder / "table") if peer.writes else None,
        others=others / (took * cores),
        busy=others > max(LEAST_OTHERS, BUSY * took * cores),
    )


class Group:
    """Commands that run at the same time, with all processes that they start."""

    def __init__(self, commands: list[list[str]], folder: Path) -> None:
        self.cpu = 0.0
        self.memory = 0
        self.largest_process = 0
        self._alive: dict[int, subprocess.Popen[bytes]] = {}
        self._failed: list[tuple[int, Path]] = []
        self._logs: dict[int, Path] = {}
        for at, command in enumerate(commands):
            # Standard output is an answer to read later. What goes wrong is said on the other one.
            with open(folder / f"{at}.log", "wb") as out, open(folder / f"{at}.errors", "wb") as errors:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
                )
            self._alive[process.pid] = process
            self._logs[process.pid] = folder / f"{at}.errors"

    def wait(self) -> None:
        """Waits until all commands have ended, and samples their memory meanwhile."""
        poll = select.poll()
        ends = {os.pidfd_open(pid): pid for pid in self._alive}
        for end in ends:
            poll.register(end, select.POLLIN)
        while self._alive:
            for end, _ in poll.poll(50):
                poll.unregister(end)
                os.close(end)
                self._take(ends[end])
            sizes = [size for pid in self._alive for size in resident(pid)]
            self.memory = max(self.memory, sum(sizes))
            self.largest_process = max(self.largest_process, *sizes, 0)

    def kill(self) -> None:
        """Ends what still runs, as after an interruption."""
        for pid in list(self._alive):
            os.killpg(pid, signal.SIGKILL)
            self._take(pid)

    def check(self, step: str) -> None:
        for code, log in self._failed:
            said = "".join(file.read_text(errors="replace") for file in (log.with_suffix(".log"), log))
            hint = "`benches/peers.py` has the command; `--keep` keeps the server's data"
            raise Failure(step, ending(said, code), hint)

    def _take(self, pid: int) -> None:
        """Adds up what a command used, together with the processes that it waited for."""
        _, status, usage = os.wait4(pid, 0)
        process = self._alive.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            self._failed.append((process.returncode, self._logs[pid]))
        self.cpu += usage.ru_utime + usage.ru_stime
        # The process was forked from the benchmark, whose own size it has had too. If it became no larger, the kernel
        # does not know how large it was, and the sample has to do. Linux counts in KiB.
        if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self.largest_process = max(self.largest_process, usage.ru_maxrss * 1024)


def resident(pid: int) -> list[int]:
    """The memory of a process and of each that it started. A process that has just ended counts as 0."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (OSError, IndexError):
        return []
    started = [int(child) for of_thread in children for child in of_thread]
    return [pages * PAGE, *(size for child in started for size in resident(child))]


def idle() -> float:
    """The seconds that the machine's cores were idle, added up. The kernel counts them more exactly than the others."""
    with open("/proc/stat") as file:
        fields = file.readline().split()
    return (int(fields[4]) + int(fields[5])) / TICKS


def own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))
