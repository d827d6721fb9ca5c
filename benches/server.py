"""A PostgreSQL server of the benchmark's own: it is started on a free port, and stopped at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from failure import Failure, execute

# Those of `tests/scale.sh`. Nothing but the peers is to cost the server CPU time: its workers do not tidy up meanwhile.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
}
TICKS = os.sysconf("SC_CLK_TCK")


def find_programs() -> Path:
    """The folder of the programs of the PostgreSQL on the path, or else of Debian's newest."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=major, reverse=True)
    if shutil.which("pg_config"):
        asked = subprocess.run(["pg_config", "--bindir"], check=False, capture_output=True, text=True)
        folders.insert(0, Path(asked.stdout.strip()))
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "psql")):
            return folder
    raise Failure(
        "find PostgreSQL",
        "neither `pg_config --bindir` nor `/usr/lib/postgresql/*/bin` has `initdb`, `pg_ctl` and `psql`",
        "install Debian's `postgresql`",
    )


def major(programs: Path) -> int:
    """The version in a path such as `/usr/lib/postgresql/15/bin`."""
    name = programs.parent.name
    return int(name) if name.isdecimal() else 0


class Server:
    """A cluster in a folder. `start` makes the cluster if the folder is empty."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.data = folder / "data"
        self.port = 0
        self._owner = owner()
        self._postmaster = 0
        self._at_rest = 0

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts the server. One that an interrupted benchmark left in the folder is stopped first."""
        if not (self.data / "PG_VERSION").exists():
            self._make()
        self.stop()
        self.port = free_port()
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        log = self.data / "server.log"
        try:
            self._control("start", "--log", log, "--options", f"-p {self.port} {options}")
        except Failure as failure:
            said = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
            raise Failure("start PostgreSQL", "\n  ".join([str(failure), *said]), failure.hint) from None
        self._postmaster = self._recorded()
        time.sleep(0.5)
        self._at_rest = len(self._children())

    def stop(self) -> None:
        if self._running():
            self._control("stop", "--mode", "fast")

    def pin(self, core: int) -> None:
        """Keeps the server, and every connection that it will have, on one core."""
        for process in [self._postmaster, *self._children()]:
            os.sched_setaffinity(process, {core})

    def psql(self, *arguments: str | Path) -> list[str]:
        """The command line of a client that stops at the first error."""
        begin = [self.programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.url]
        return [str(part) for part in (*begin, *arguments)]

    def query(self, sql: str) -> str:
        return execute(f"query the server: `{sql}`", self.psql("-At", "-c", sql), self.where()).strip()

    def settle(self) -> None:
        """Waits until the connections that were closed have ended: then their CPU time is complete."""
        latest = time.monotonic() + 10
        while len(self._children()) > self._at_rest:
            if time.monotonic() > latest:
                raise Failure(
                    "count the server's CPU time",
                    "a connection is still open 10 seconds after its client ended",
                    f"let nothing but the benchmark use the server on port {self.port}",
                )
            time.sleep(0.005)

    def cpu(self) -> float:
        """The CPU seconds of the server until now, with those of the connections that have ended."""
        own, ended = cpu_times(self._postmaster)
        return own + ended + sum(sum(cpu_times(child)) for child in self._children())

    def _recorded(self) -> int:
        """The process that the cluster names as its own. After a crash of the machine it may be gone, or another."""
        file = self.data / "postmaster.pid"
        return int(file.read_text().split()[0]) if file.exists() else 0

    def _running(self) -> bool:
        program = Path(f"/proc/{self._recorded()}/comm")
        return program.exists() and program.read_text().strip() == "postgres"

    def _children(self) -> list[int]:
        return [process for process in processes() if parent(process) == self._postmaster]

    def _make(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if self._owner:
            os.chown(self.data, self._owner.pw_uid, self._owner.pw_gid)
        make = ["initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._as_owner("make a PostgreSQL cluster", *make, "-D", self.data)

    def _control(self, action: str, *more: str | Path) -> None:
        self._as_owner(f"{action} PostgreSQL", "pg_ctl", action, "-D", self.data, "--wait", "--silent", *more)

    def _as_owner(self, step: str, program: str, *arguments: str | Path) -> None:
        """Runs a program as the cluster's owner: PostgreSQL's refuse to run as root."""
        become: list[str] = []
        hint = self.where()
        if self._owner:
            uid, gid = self._owner.pw_uid, self._owner.pw_gid
            become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env", "HOME=/tmp"]
            hint += f"; the user `{self._owner.pw_name}` must be allowed to enter the folder"
        execute(step, [*become, self.programs / program, *arguments], hint, folder=Path("/"))

    def where(self) -> str:
        """A hint at what the server itself says."""
        return f"look into the server's log, `{self.data}/server.log`"


def owner() -> pwd.struct_passwd | None:
    """The user that the server runs as, if root started the benchmark: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def parent(process: int) -> int:
    return int(status(process)[1])


def cpu_times(process: int) -> tuple[float, float]:
    """The CPU seconds of a process, and those of its children that ended."""
    user, system, user_of_ended, system_of_ended = (int(field) for field in status(process)[11:15])
    return (user + system) / TICKS, (user_of_ended + system_of_ended) / TICKS


def status(process: int) -> list[str]:
    """The kernel's numbers about a process, from its state on. All are zero, if it has ended."""
    try:
        # The name before them, in brackets, may hold blanks.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 15
