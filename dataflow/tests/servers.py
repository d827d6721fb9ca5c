"""PostgreSQL, Cloud Storage and BigQuery, or what stands in for them on this machine."""

import os
import pathlib
import pwd
import socket
import subprocess
import time
import urllib.error
import urllib.request

import psycopg
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from needs import needs

BUCKET, PROJECT, DATASET = "lake", "shop", "sales"
# The server's own port is for whoever runs the suite.
POSTGRES_PORT = os.environ.get("TEST_POSTGRES_PORT", "54777")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """The server of TEST_POSTGRES_URL, or one in a folder that is stopped and deleted."""

    def __init__(self, folder: pathlib.Path):
        self.url, self._folder, self._stop = os.environ.get("TEST_POSTGRES_URL"), folder, None
        if not self.url:
            self._start(pathlib.Path(needs("TEST_POSTGRES_BIN", "PostgreSQL")))
        self.database = f"dataflow_{os.getpid()}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {self.database} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
        self.own = self.url.rpartition("/")[0] + "/" + self.database

    def _start(self, programs: pathlib.Path):
        data = self._folder / "postgres"
        data.mkdir(mode=0o700)
        # PostgreSQL refuses to run as root.
        as_user = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            as_user = [
                "setpriv",
                f"--reuid={user.pw_uid}",
                f"--regid={user.pw_gid}",
                "--clear-groups",
                "env",
                "HOME=/tmp",
            ]
        log = data / "log"

        def run(*command):
            subprocess.run([*as_user, *command], check=True, capture_output=True, cwd="/")

        run(programs / "initdb", "-D", data / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {POSTGRES_PORT} -h 127.0.0.1 -k {data} -c fsync=off -c max_wal_size=4GB"
        # Its output must not be captured: the server keeps the pipe open.
        start = [*as_user, programs / "pg_ctl", "-D", data / "data", "-l", log, "-w", "-o", options, "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        self._stop = lambda: run(programs / "pg_ctl", "-D", data / "data", "-m", "immediate", "stop")
        self.url = f"postgresql://postgres@127.0.0.1:{POSTGRES_PORT}/postgres"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.own, autocommit=True)

    def stop(self):
        if self._stop:
            self._stop()
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {self.database} WITH (FORCE)")


class Program:
    """A server that is another process."""

    def __init__(self, command, log: pathlib.Path, **options):
        with log.open("wb") as sink:
            self._process = subprocess.Popen(list(map(str, command)), stdout=sink, stderr=sink, **options)
        self._log = log

    def wait_for(self, url: str):
        for _ in range(600):
            try:
                urllib.request.urlopen(url).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"no answer at {url}:\n{self._log.read_text(errors='replace')}")

    def stop(self):
        self._process.kill()
        self._process.wait()


class Storage(Program):
    """fake-gcs-server. It keeps the bucket `lake` as a folder, where BigQuery's stand-in finds the objects."""

    def __init__(self, folder: pathlib.Path):
        self.root = folder / "objects"
        self.root.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [needs("TEST_FAKE_GCS", "fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", port]
        command += ["-backend", "filesystem", "-log-level", "error", "-filesystem-root", self.root]
        super().__init__(
            [*command, "-external-url", self.url, "-public-host", f"127.0.0.1:{port}"], folder / "storage.log"
        )
        self.wait_for(f"{self.url}/storage/v1/b/{BUCKET}")
        client = storage.Client("shop", AnonymousCredentials(), client_options={"api_endpoint": self.url})
        self._bucket = client.create_bucket(BUCKET)

    def upload(self, content: bytes, name: str) -> str:
        """Makes an object, and returns its URL. The server knows none that is only a file."""
        self._bucket.blob(name).upload_from_string(content)
        return f"gs://{BUCKET}/{name}"

    def path(self, url: str) -> pathlib.Path:
        """Where the server keeps an object."""
        return self.root / url.removeprefix("gs://")


class Warehouse(Program):
    """local-bigquery with one dataset.

    It differs from BigQuery: BYTES are not loaded if a schema is given, BIGNUMERIC is read wrongly from Parquet, and
    every dataset lies in `US`. The tests look at such columns in the files that are loaded.
    """

    def __init__(self, folder: pathlib.Path, objects: pathlib.Path):
        ports = free_port(), free_port()
        self.url = f"http://127.0.0.1:{ports[0]}"
        (folder / "bigquery").mkdir()
        command = [needs("TEST_LOCAL_BIGQUERY", "local-bigquery"), "serve", "--host", "127.0.0.1", "--port", ports[0]]
        command += ["--grpc-port", ports[1], "--project", PROJECT, "--data-dir", folder / "bigquery"]
        super().__init__(command, folder / "bigquery.log", env={**os.environ, "GCS_LOCAL_ROOT": str(objects)})
        self.wait_for(f"{self.url}/bigquery/v2/projects/{PROJECT}/datasets")
        self.client = bigquery.Client(
            PROJECT, AnonymousCredentials(), client_options={"api_endpoint": self.url}, location="US"
        )
        self.client.create_dataset(DATASET)

    def count(self, table: str) -> int:
        return self.client.get_table(f"{PROJECT}.{DATASET}.{table}").num_rows

    def has(self, table: str) -> bool:
        return table in {item.table_id for item in self.client.list_tables(DATASET)}
