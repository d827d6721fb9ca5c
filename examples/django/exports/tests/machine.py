"""What the tests run against: Google's emulator of Pub/Sub, and Sluice's planner with what it calls."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import SkipTest

LOCATION = "projects/demo/locations/europe-west1"


def needed(variable: str) -> str:
    """The program that a variable names. Where it is missing, the test is skipped; in CI that is a failure."""
    program = os.environ.get(variable)
    if program:
        return program
    if os.environ.get("CI") == "true":
        raise AssertionError(f"{variable} is not set")
    print(f"skipped: what needs {variable}", file=sys.stderr)
    raise SkipTest(f"{variable} is not set")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(what: str, holds, patience: float = 60.0):
    """Waits until `holds()` is true, and returns it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {patience} s")


def call(url: str, body: dict | bytes | None = None) -> int:
    """Calls a server of this machine. Returns the answer's status; 0 without an answer."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        # Without a proxy, even if the environment has one.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


class PubSub:
    """Google's emulator of Pub/Sub."""

    def __init__(self):
        archive, port = needed("TEST_PUBSUB_EMULATOR"), free_port()
        self.host = f"127.0.0.1:{port}"
        self._process = subprocess.Popen(
            ["java", "-jar", archive, "--host=127.0.0.1", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until("start the emulator of Pub/Sub", lambda: call(f"http://{self.host}/"))

    def stop(self):
        self._process.kill()
        self._process.wait()


class Planner:
    """Sluice's own planner over fake-gcs-server, with a stand-in for Cloud Tasks and Cloud Run."""

    def __init__(self, pubsub: PubSub, events_topic: str, job_files: list[Path]):
        program, storage = needed("TEST_PLANNER"), needed("TEST_FAKE_GCS")
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-django-")
        self.folder = Path(self._folder.name)
        # The server keeps each object as a file.
        buckets = self.folder / "buckets"
        self.runs = buckets / "lake" / "runs"
        self._google = _Google()
        storage_port, port = free_port(), free_port()
        self.url, self.log = f"http://127.0.0.1:{port}", self.folder / "planner.log"
        self._processes = [
            subprocess.Popen(
                [storage, "-scheme", "http", "-host", "127.0.0.1", "-port", str(storage_port)]
                + ["-backend", "filesystem", "-filesystem-root", str(buckets)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        ]
        storage_url = f"http://127.0.0.1:{storage_port}"
        until("start fake-gcs-server", lambda: call(f"{storage_url}/storage/v1/b?project=demo", {"name": "lake"}) == 200)
        for file in job_files:
            upload = f"{storage_url}/upload/storage/v1/b/lake/o?uploadType=media&name=jobs/{file.name}"
            assert call(upload, file.read_bytes()) == 200, file
        environment = {
            "PORT": str(port),
            "STORAGE_EMULATOR_HOST": storage_url,
            "PUBSUB_EMULATOR_HOST": pubsub.host,
            "SLUICE_TASKS_ENDPOINT": self._google.url,
            "SLUICE_RUN_ENDPOINT": self._google.url,
            "SLUICE_BIGQUERY_ENDPOINT": self._google.url,
            "SLUICE_BUCKET": "gs://lake",
            "SLUICE_EXTRACTOR_JOB": f"{LOCATION}/jobs/sluice-extractor",
            "SLUICE_QUEUE": f"{LOCATION}/queues/sluice",
            "SLUICE_PLANNER_URL": self.url,
            "SLUICE_LOADER_URL": "http://127.0.0.1:1",
            "SLUICE_INVOKER": "invoker@demo.iam.gserviceaccount.com",
            "SLUICE_TOPIC": events_topic,
            # A database that is not there: a run fails when it is planned.
            "SOURCE_URL": f"sqlite://{self.folder}/none.sqlite3",
            "SLUICE_JOB_VARIABLES": "SOURCE_URL",
            # As behind Cloud Run, which has checked the caller.
            "K_SERVICE": "sluice-planner",
        }
        with open(self.log, "w") as log:
            self._processes.append(subprocess.Popen([program], env=environment, stderr=log))
        until("start the planner", lambda: call(f"{self.url}/healthz") == 200)

    def requests(self) -> list[dict]:
        """The requests that the planner accepted: one document for each run."""
        return [json.loads(file.read_text()) for file in self.runs.glob("*/request.json")]

    def plan(self, run: str) -> int:
        """Calls the planner as Cloud Tasks does."""
        return call(f"{self.url}/runs/{run}/plan", {})

    def asked_to_plan(self) -> list[str]:
        """The URLs that Cloud Tasks was asked to call."""
        return [task["httpRequest"]["url"] for task in self._google.tasks]

    def stop(self):
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._google.stop()
        self._folder.cleanup()


class _Google:
    """A queue that keeps its tasks, and a Cloud Run job that is never executed."""

    def __init__(self):
        self.tasks = tasks = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not self.path.split("?")[0].endswith("/tasks"):
                    return self._answer(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
                tasks.append(body["task"])
                self._answer(200, body["task"])

            def do_GET(self):
                if "/jobs/" not in self.path:
                    return self._answer(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
                template = {"taskCount": 1, "parallelism": 2, "template": {"maxRetries": 3}}
                self._answer(200, {"name": f"{LOCATION}/jobs/sluice-extractor", "template": template})

            def _answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
