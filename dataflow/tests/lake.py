"""Part files that the real program writes, orders for them, and what becomes of an order."""

import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from sluice_dataflow import pipeline

from needs import needs
from servers import BUCKET, DATASET, PROJECT, Postgres, Storage, Warehouse

# Beam's DirectRunner tries to fetch another runner, in Go, from the network first; this is what it is without that one.
RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
# Types that a staging table has as text.
STAGED = ("JSON", "INTERVAL", "RANGE<DATE>", "RANGE<DATETIME>", "RANGE<TIMESTAMP>")
COUNTER = itertools.count()


@dataclasses.dataclass
class Table:
    """A table as Sluice has moved it into a folder: its columns as the manifest writes them, and its parts."""

    columns: list[dict]
    parts: list[pathlib.Path]

    def read(self) -> pa.Table:
        return read(self.parts)


@dataclasses.dataclass
class Lake:
    """The bucket, and what fills it and takes from it."""

    storage: Storage
    warehouse: Warehouse
    folder: pathlib.Path

    def upload(self, content: bytes, name: str) -> str:
        """Makes an object of a name that no other has, and returns its URL."""
        return self.storage.upload(content, f"{next(COUNTER):05}/{name}")

    def move(self, postgres: Postgres, table: str, **job) -> Table:
        """Has Sluice move a table, or as much of it as the job says."""
        folder = self.folder / f"moved-{next(COUNTER)}"
        folder.mkdir()
        document = {
            "name": "dataflow",
            "source": {"url": "${SOURCE_URL}", "table": f"public.{table}"},
            "target": {"table": f"file://{folder}/{table}"},
            "bucket": f"file://{folder}/bucket",
            **job,
        }
        (folder / "job.yaml").write_text(json.dumps(document))
        environment = {**os.environ, "SOURCE_URL": postgres.own}
        ended = subprocess.run(
            [needs("TEST_SLUICE", "the program"), "run", "--json", "job.yaml"],
            env=environment,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        [manifest] = folder.glob("bucket/runs/*/manifest.json")
        columns = json.loads(manifest.read_text())["tables"][0]["columns"]
        return Table(columns, sorted((folder / table).glob("*.parquet")))

    def order(self, table: Table, **changes) -> dict:
        """An order for a table's parts. Its staging table is named after its run."""
        run = str(uuid.uuid4())
        document = {
            "version": 1,
            "run": run,
            "table": 0,
            "generation": 0,
            "job": f"sluice-{run}-0",
            "columns": table.columns,
            "schema": staging_schema(table.columns),
            "parts": [self.upload(part.read_bytes(), part.name) for part in table.parts],
            "rows": sum(pq.read_metadata(part).num_rows for part in table.parts),
            "bytes": sum(part.stat().st_size for part in table.parts),
            "dedup": None,
            "staging": {
                "project": PROJECT,
                "dataset": DATASET,
                "table": f"staging_{run.replace('-', '')}",
                "location": "US",
            },
            "output": f"gs://{BUCKET}/runs/{run}/dataflow/0/",
        }
        return {key: value for key, value in {**document, **changes}.items() if value is not ...}

    def write(self, order: dict) -> str:
        """Writes an order, and returns its URL."""
        return self.upload(json.dumps(order).encode(), "order.json")

    def carry_out(self, order: dict) -> dict:
        """Carries an order out, and returns its result."""
        pipeline.run([RUNNER, f"--order={self.write(order)}"])
        return self.result(order)

    def result(self, order: dict) -> dict | None:
        path = self.storage.path(order["output"]) / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    def files(self, order: dict) -> list[pathlib.Path]:
        return sorted(self.storage.path(order["output"]).glob("*.parquet"))

    def jobs(self, order: dict) -> list:
        """The load jobs of an order, by number."""
        found, stem = [], f"sluice_{order['run']}_{order['table']}_dataflow_{order['generation']}"
        known = {job.job_id: job for job in self.warehouse.client.list_jobs()}
        while f"{stem}_{len(found)}" in known:
            found.append(self.warehouse.client.get_job(f"{stem}_{len(found)}"))
        return found


def read(parts) -> pa.Table:
    """All rows of some files, which have one schema."""
    tables = [pq.read_table(part, partitioning=None) for part in parts]
    assert all(table.schema.equals(tables[0].schema) for table in tables)
    return pa.concat_tables(tables)


def staging_schema(columns: list[dict]) -> list[dict]:
    """BigQuery's schema of a staging table of these columns."""
    schema = []
    for column in columns:
        kind = column["target_type"]
        field = {
            "name": column["name"],
            "type": "STRING" if kind in STAGED else kind,
            "mode": "REPEATED" if column.get("repeated") else "NULLABLE",
        }
        if kind == "STRUCT":
            field["fields"] = staging_schema(column["fields"])
        schema.append(field)
    return schema


def write(folder: pathlib.Path, columns: list[dict], *tables: pa.Table, group: int | None = None) -> Table:
    """Parts that no program of Sluice's has written, for what its sources do not give here."""
    parts = [folder / f"{next(COUNTER):05}.parquet" for _ in tables]
    for part, table in zip(parts, tables):
        pq.write_table(table, part, row_group_size=group)
    return Table(columns, parts)
