"""What cannot be read is not loaded."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import storage
from sluice_dataflow import commit, files, parts, pipeline
from sluice_dataflow.failure import Failure
from sluice_dataflow.order import parse

from lake import RUNNER, staging_schema, write
from test_newest import COLUMNS, numbers

SECRET = 8675309.5


@pytest.fixture
def table(lake):
    rows = [(id, float(id), SECRET) for id in range(500)]
    return write(lake.folder, COLUMNS, numbers(*rows[:200]), numbers(*rows[200:]), group=100)


def fails(lake, order: dict, says: str):
    """Whether an order fails with these words, and leaves nothing behind."""
    with pytest.raises(Exception) as failed:
        lake.carry_out(order)
    told = str(failed.value)
    assert says in told and str(SECRET) not in told, told
    assert lake.result(order) is None and lake.jobs(order) == []
    assert not lake.warehouse.has(order["staging"]["table"])


@pytest.mark.parametrize("dedup", [None, {"keys": ["id"], "order": "at"}], ids=["passing", "newest"])
@pytest.mark.parametrize("rows", [499, 501])
def test_another_number_of_rows(lake, table, rows, dedup):
    order = lake.order(table, rows=rows, dedup=dedup)
    fails(lake, order, f"check run `{order['run']}`: the parts have 500 rows, and the order says {rows}")


def test_a_part_is_missing(lake, table):
    order = lake.order(table)
    storage.Client().bucket("lake").blob(order["parts"][1].removeprefix("gs://lake/")).delete()
    fails(lake, order, f"read `{order['parts'][1]}`: there is no such object")


@pytest.mark.parametrize("kept", [0.9, 0.5, 0])
def test_a_part_is_cut_off(lake, table, kept):
    content = table.parts[1].read_bytes()
    url = lake.upload(content[: int(len(content) * kept)], "cut.parquet")
    order = lake.order(table)
    order["parts"][1] = url
    fails(lake, order, f"read `{url}`: it is not a whole Parquet file")


def test_a_part_has_other_columns(lake, table):
    order = lake.order(table, columns=[COLUMNS[0] | {"encoding": "int4"}, *COLUMNS[1:]])
    fails(lake, order, "column `id` is `int64`, and the order says `int32`")
    order = lake.order(table, columns=COLUMNS[:2], schema=order["schema"][:2])
    fails(lake, order, "it has 3 columns, and the order 2")
    order = lake.order(table, columns=COLUMNS[::-1], schema=staging_schema(COLUMNS[::-1]))
    fails(lake, order, "column 1 of the order, `at`, is not column 1 of the part")


def test_rows_that_are_lost_on_the_way(lake, table):
    """A file that is not named, as if a step had lost it."""
    plan = parse(lake.order(table)).plan()
    with pytest.raises(Failure, match="500 rows were read and 499 were written"):
        commit.commit(plan, [files.File("gs://lake/a.parquet", 499)], 500, 0)


def test_the_command_tells_what_failed(lake, table):
    """Without a traceback where the order is wrong, and with another exit code than 0 in any case."""
    wrong = lake.write(lake.order(table, version=2))
    ended = subprocess.run(
        [sys.executable, "-m", "sluice_dataflow", RUNNER, "--order", wrong], capture_output=True, text=True
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert f"error: read order `{wrong}`: `version` is 2, and this image knows 1\n\nhint: " in ended.stderr
    short = lake.write(lake.order(table, rows=7))
    ended = subprocess.run(
        [sys.executable, "-m", "sluice_dataflow", RUNNER, "--order", short], capture_output=True, text=True
    )
    assert ended.returncode != 0 and "the parts have 500 rows, and the order says 7" in ended.stderr
    assert str(SECRET) not in ended.stderr


def test_an_order_that_is_carried_out_is_not_carried_out_again(lake, table):
    order = lake.order(table)
    url = lake.write(order)
    pipeline.run([RUNNER, f"--order={url}"])
    result, made = lake.result(order), lake.files(order)
    pipeline.run([RUNNER, f"--order={url}"])
    assert lake.result(order) == result == {
        "version": 1, "rows_read": 500, "rows_written": 500, "rows_dropped": 0, "ties": 0, "files": 1
    }  # fmt: skip
    assert lake.files(order) == made and len(lake.jobs(order)) == 1


def test_files_that_nobody_names_are_not_loaded(lake, table, monkeypatch):
    """What a bundle leaves that was carried out twice: a whole file of the same shard."""
    order = lake.order(table)
    name = order["output"].removeprefix("gs://lake/") + "00000-0123456789abcdef0123456789abcdef.parquet"
    left = lake.storage.upload(table.parts[0].read_bytes(), name)
    monkeypatch.setattr(files, "SHARD_BYTES", order["bytes"] // 3)
    result = lake.carry_out(order)
    [job] = lake.jobs(order)
    assert result["files"] == len(job.source_uris) == len(lake.files(order)) - 1 and result["files"] > 1
    assert left not in job.source_uris and lake.warehouse.count(order["staging"]["table"]) == 500


def test_a_result_stays_as_it_is(lake, table):
    """Two jobs carry one order out; the result is the one that was first."""
    order = lake.order(table)
    lake.storage.upload(b'{"version": 1}', order["output"].removeprefix("gs://lake/") + "result.json")
    plan = parse(order).plan()
    url = lake.upload(table.parts[0].read_bytes(), "a.parquet")
    commit.commit(
        plan, [files.File(url, 200), files.File(lake.upload(table.parts[1].read_bytes(), "b.parquet"), 300)], 500, 0
    )
    assert lake.result(order) == {"version": 1}


def test_a_row_group_that_is_larger_than_its_batches(lake, monkeypatch):
    monkeypatch.setattr(parts, "BATCH", 7)
    # A row has 24 bytes.
    monkeypatch.setattr(parts, "PIECE", 100)
    rows = numbers(*[(id, float(id), 1.0) for id in range(100)])
    for dedup in (None, {"keys": ["id"], "order": "at"}):
        order = lake.order(write(lake.folder, COLUMNS, rows), dedup=dedup)
        assert lake.carry_out(order)["rows_written"] == 100
        assert pa.concat_tables(map(pq.read_table, lake.files(order))).sort_by("id").equals(rows)
