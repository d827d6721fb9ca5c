"""Every type, through both ways that rows take."""

import pytest

import every_type
from lake import read
from same import same

ROWS = 60


@pytest.fixture(scope="module")
def every(lake, postgres):
    with postgres.connect() as connection:
        cases = every_type.usable(connection)
        every_type.make(connection, cases, ROWS)
    # Without geography, there is still every type that the program's own table names.
    assert len(cases) > 120
    return lake.move(postgres, "every", columns=every_type.asked(cases))


@pytest.mark.parametrize("dedup", [None, {"keys": ["id"], "order": "timestamptz"}], ids=["passing", "newest"])
def test_every_value_arrives_as_it_was(lake, every, dedup):
    order = lake.order(every, dedup=dedup)
    assert lake.carry_out(order)["rows_written"] == ROWS
    same(read(lake.files(order)), every.read(), by="id")
