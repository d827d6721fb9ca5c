"""What tests share: one of each server, and the tables that Sluice moves into the lake."""

import os
import pathlib
import sys
import tempfile

import hypothesis
import pytest

# The same examples every time, however busy the machine is, and no folder of them.
hypothesis.settings.register_profile("sluice", derandomize=True, deadline=None, database=None, max_examples=200)
hypothesis.settings.load_profile("sluice")

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[2] / "tests" / "fidelity")]

import every_type  # noqa: E402
import servers  # noqa: E402
from lake import Lake  # noqa: E402
from stub import Stub  # noqa: E402


@pytest.fixture(scope="session")
def folder():
    """A folder that other users may enter, as PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="sluice-dataflow-") as path:
        os.chmod(path, 0o755)
        # Beam leaves a folder for each pipeline.
        before, tempfile.tempdir = tempfile.tempdir, path
        yield pathlib.Path(path)
        tempfile.tempdir = before


@pytest.fixture(scope="session")
def postgres(folder):
    server = servers.Postgres(folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lake(folder):
    storage = servers.Storage(folder)
    warehouse = servers.Warehouse(folder, storage.root)
    os.environ |= {"STORAGE_EMULATOR_HOST": storage.url, "SLUICE_BIGQUERY_ENDPOINT": warehouse.url}
    yield Lake(storage, warehouse, folder)
    warehouse.stop()
    storage.stop()


@pytest.fixture(scope="session")
def every(lake, postgres):
    """A table with a column of each type, and NULL where a value does not fit."""
    with postgres.connect() as connection:
        cases = every_type.usable(connection)
        every_type.make(connection, cases)
    return lake.move(postgres, "every", columns=every_type.asked(cases))


@pytest.fixture
def stub(lake, monkeypatch):
    """A BigQuery that takes every type, for one test."""
    server = Stub(lake.storage.path)
    monkeypatch.setenv("SLUICE_BIGQUERY_ENDPOINT", server.url)
    yield server
    server.stop()
