"""What tests share: one of each server, and the tables that Sluice moves into the lake."""

import os
import pathlib
import sys
import tempfile

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[2] / "tests" / "fidelity")]

import servers  # noqa: E402
from lake import Lake  # noqa: E402


@pytest.fixture(scope="session")
def folder():
    """A folder that other users may enter, as PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="sluice-dataflow-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


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
    yield Lake(storage, warehouse)
    warehouse.stop()
    storage.stop()
