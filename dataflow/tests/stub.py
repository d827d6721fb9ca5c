"""A server that takes load jobs as BigQuery does, counts the rows of the files that they name, and keeps the requests.

It is for what local-bigquery does not load, BYTES and BIGNUMERIC, and for failures that happen when they are asked for.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq


class Stub:
    """The server. `failures` are the reasons why the next jobs fail; `lost` rows are missing from each load."""

    def __init__(self, path: Callable):
        self.tables, self.jobs, self.failures, self.lost = {}, {}, [], 0
        self._path = path
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer(*stub.get(self.path.partition("?")[0].split("/")[-2:]))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(*(stub.load(body) if self.path.partition("?")[0].endswith("/jobs") else stub.make(body)))

            def _answer(self, status, body):
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def make(self, table: dict) -> tuple[int, dict]:
        name = table["tableReference"]["tableId"]
        if name in self.tables:
            return _error(409, "duplicate")
        self.tables[name] = {**table, "numRows": "0"}
        return 200, self.tables[name]

    def get(self, place: list[str]) -> tuple[int, dict]:
        known = {"jobs": self.jobs, "tables": self.tables}[place[0]]
        return (200, known[place[1]]) if place[1] in known else _error(404, "notFound")

    def load(self, job: dict) -> tuple[int, dict]:
        name, load = job["jobReference"]["jobId"], job["configuration"]["load"]
        if name in self.jobs:
            return _error(409, "duplicate")
        self.jobs[name] = job
        job["configuration"]["jobType"] = "LOAD"
        job["status"] = {"state": "DONE"}
        if self.failures:
            job["status"]["errorResult"] = {"reason": self.failures.pop(0), "message": "the cell `secret` is bad"}
            return 200, job
        rows = sum(pq.read_metadata(self._path(url)).num_rows for url in load["sourceUris"]) - self.lost
        job["statistics"] = {"load": {"outputRows": str(rows)}}
        self.tables[load["destinationTable"]["tableId"]]["numRows"] = str(rows)
        return 200, job


def _error(status: int, reason: str) -> tuple[int, dict]:
    return status, {"error": {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}}
