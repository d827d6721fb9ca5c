#!/usr/bin/env python3
"""Compares each value that the program makes of Parquet and Avro with what other people's programs were given to write.

    typed.py --sluice PROGRAM [--seed N]
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import io
import itertools
import json
import os
import random
import sys
from functools import partial

import polars
import pyarrow
import pyarrow.parquet as parquet

from loading import Loader, differences, text_of
from tables import repeated
from typed_tables import (
    CLOCKS, CODECS, D, DAYS, IDS, Kind, MOMENTS, NEAR, NULLED, SECRET, avro, by_arrow, by_duckdb,
    by_fastavro, column, container, encoded, filled, named, nested, record, scalars, zoned,
)


class Check:
    """Loads and compares, and counts."""

    def __init__(self, program, seed):
        self.loader = Loader(program)
        self.seed = seed
        self.failures = []
        self.counts = {"equal": 0, "values": 0, "ranges": 0, "refused": 0}

    def equal(self, which, files, rows, told=None, invalid=None, is_sorted=False, **arguments):
        files = {"a.parquet": files} if isinstance(files, bytes) else files
        outcome = self.loader.load(files, **arguments)
        if outcome.code:
            return self.failures.append(f"{which}: {outcome.error}")
        if told and outcome.types != told:
            self.failures.append(f"{which}: types {outcome.types} instead of {told}")
        if outcome.invalid != (invalid or {}):
            self.failures.append(f"{which}: {outcome.invalid} instead of {invalid}")
        found = sorted(outcome.rows, key=repr) if is_sorted else outcome.rows
        self.failures.extend(f"{which}: {difference}" for difference in differences(found, sorted(rows, key=repr) if is_sorted else rows))
        self.counts["equal"] += 1
        self.counts["values"] += sum(map(len, rows))
        self.counts["ranges"] += outcome.units > 1

    def refused(self, which, files, *words, **arguments):
        outcome = self.loader.load(files, **arguments)
        if not outcome.code:
            return self.failures.append(f"{which}: is read, {outcome.rows[:3]}")
        self.failures.extend(f"{which}: no {word!r} in {outcome.error}" for word in (*words, '"hint":"') if word not in outcome.said)
        self.clear(which, files, outcome)

    def clear(self, which, files, outcome):
        """A refusal names a file and no value."""
        if not any(file in outcome.error for file in files) or any(word in outcome.said for word in (SECRET, "panicked", "the reader stopped")):
            self.failures.append(f"{which}: {outcome.error}")
        self.counts["refused"] += 1

    def column(self, which, content, values, **arguments):
        """A file of one column `v`."""
        self.equal(which, content, [(text_of(value),) for value in values], **arguments)

    def by_arrow(self):
        kinds = list(filled([*scalars(), *nested()], 42))
        told, rows = [kind.told for kind in kinds], list(zip(*map(Kind.rows, kinds)))
        plain = {"use_dictionary": False}
        options = [{"compression": codec} for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4")]
        options += [{"version": version, "data_page_version": page, "use_dictionary": has_dictionary}
                    for version in ("2.4", "2.6") for page in ("1.0", "2.0") for has_dictionary in (True, False)]
        options += [{"row_group_size": 1}, {"row_group_size": 7}, {"use_compliant_nested_type": False}, {"store_decimal_as_integer": True},
                    {"write_page_index": True, "write_page_checksum": True, "data_page_size": 64}, {"write_statistics": False, "store_schema": False}]
        for option in options:
            yield partial(self.equal, f"Arrow, {option}", by_arrow(kinds, **option), rows, told)
        old = [kind for kind in kinds if "ns" not in kind.name and kind.name not in ("nanos", "uint32")]
        yield partial(self.equal, "Arrow, version 1.0", by_arrow(old, version="1.0"), list(zip(*map(Kind.rows, old))))
        full = [dataclasses.replace(kind, values=[value for value in kind.values if value is not None] * 100,
                                    loaded=kind.loaded and [value for value in kind.loaded if value is not None] * 100) for kind in scalars()[:-1]]
        full = list(filled([kind for kind in full if kind.values], 3000))
        yield partial(self.equal, "required", by_arrow(full, nullable=False, row_group_size=1000), list(zip(*map(Kind.rows, full))))
        for encoding, names in (("DELTA_BINARY_PACKED", ["int32", "int64"]), ("DELTA_LENGTH_BYTE_ARRAY", ["text", "blob"]),
                                ("DELTA_BYTE_ARRAY", ["text", "fixed"]),
                                ("BYTE_STREAM_SPLIT", ["float", "double", "half", "int32", "int64", "fixed", "money"]), ("RLE", ["truth"])):
            some = [kind for kind in kinds if kind.name in names]
            encodings = {"column_encoding": dict.fromkeys(names, encoding), **plain}
            yield partial(self.equal, encoding, by_arrow(some, **encodings, data_page_version="2.0"), list(zip(*map(Kind.rows, some))))
        days = pyarrow.timestamp("us")
        old = [Kind("a", days, "TIMESTAMP", MOMENTS + NEAR, zoned(MOMENTS + NEAR)),
               Kind("b", pyarrow.struct([("c", days)]), "", [{"c": one} for one in MOMENTS + NEAR], [{"c": one} for one in zoned(MOMENTS + NEAR)]),
               Kind("d", pyarrow.list_(days), "", [[one] for one in MOMENTS + NEAR], [[one] for one in zoned(MOMENTS + NEAR)])]
        for kind in old:
            yield partial(self.equal, f"INT96 as {kind.type}", by_arrow([kind], use_deprecated_int96_timestamps=True), list(zip(kind.rows())))
        finer = Kind("v", pyarrow.timestamp("ns"), "", [1000, 1001])
        # What INT96 has below microseconds is left out.
        yield partial(self.equal, "INT96, finer", by_arrow([finer], use_deprecated_int96_timestamps=True), [("1970-01-01 00:00:00.000001+00",)] * 2)
        yield partial(self.refused, "nanoseconds, finer", {"a.parquet": by_arrow([finer])}, "row 2", "`v`")

    def by_others(self):
        values = {
            "18446744073709551615::UBIGINT": "18446744073709551615", "255::UTINYINT": "255", "1.5::DECIMAL(38, 10)": "1.5", "-7::HUGEINT": "-7.0",
            "INTERVAL '1 month 2 days 3 seconds'": "P1M2DT3S", "'b'::ENUM('a', 'b')": "b", f"'{IDS[2]}'::UUID": str(IDS[2]),
            "TIME '23:59:59.5'": "23:59:59.500000",
            "TIMESTAMP_NS '2024-01-01 00:00:00.000001'": "2024-01-01 00:00:00.000001", "TIMESTAMP_S '0001-01-01'": "0001-01-01 00:00:00",
            "TIMESTAMP_MS '9999-12-31'": "9999-12-31 00:00:00", "TIMESTAMPTZ '2024-01-01 00:00:00+01'": "2023-12-31 23:00:00+00",
            "'\\x00\\xFF'::BLOB": "00ff",
            "[1, 2]": "['1', '2']", "{'a': [{'b': DATE '2024-01-01'}]}": repr({"a": text_of([{"b": DAYS[2].replace(month=1, day=1)}])}), "NULL": None,
            "MAP {'k': [1]}": text_of([{"key": "k", "value": [1]}]), "[[1], []]": text_of([{"element": [1]}, {"element": []}]),
            "'[1.10]'::JSON": "[1.10]",
        }
        select = "SELECT " + ", ".join(f"{value} AS c{number}" for number, value in enumerate(values))
        yield partial(self.equal, "DuckDB", by_duckdb(f"{select} FROM range(3)"), [tuple(values.values())] * 3)
        span = datetime.timedelta(days=1)
        frame = polars.DataFrame([
            polars.Series("span", [span, None], polars.Duration("us")), polars.Series("word", ["a", None], polars.Categorical),
            polars.Series("clock", CLOCKS[1:]),
            polars.Series("money", [D("1.10"), None], polars.Decimal(20, 2)), polars.Series("pair", [[1, 2], [3, 4]], polars.Array(polars.Int8, 2)),
            polars.Series("state", ["b", "a"], polars.Enum(["a", "b"])), polars.Series("at", zoned(NEAR[:2])), polars.Series("none", [None, None])])
        sink = io.BytesIO()
        frame.write_parquet(sink)
        rows = [("86400000000", "a", CLOCKS[1], D("1.1"), [1, 2], "b", zoned(NEAR)[0], None),
                (None, None, CLOCKS[2], None, [3, 4], "a", zoned(NEAR)[1], None)]
        yield partial(self.equal, "Polars", sink.getvalue(), [tuple(map(text_of, row)) for row in rows])
        frame = polars.DataFrame({"a": [1, None], "b": ["ü", ""], "c": [0.5, None], "d": [DAYS[0], None], "e": [[1, 2], []],
                                  "f": [{"x": True}, {"x": None}], "g": [b"\x00", None], "h": [NEAR[0], None]})
        for codec in ("uncompressed", "snappy", "deflate"):
            sink = io.BytesIO()
            frame.write_avro(sink, codec)
            yield partial(self.equal, f"Avro by Polars, {codec}", {"a.avro": sink.getvalue()}, [tuple(map(text_of, row)) for row in frame.rows()])

    def by_avro(self):
        fields = avro()
        rows = [dict(zip((name.replace(" ", "_") for name, *_ in fields), row)) for row in zip(*(repeated(values, 60) for _, _, values, _ in fields))]
        loaded = list(zip(*(repeated([text_of(value) for value in found or values], 60) for _, _, values, found in fields)))
        schema = named(fields)
        for options in ({"codec": "snappy"}, {"sync_interval": 1}, {"sync_interval": 10, "codec": "bzip2"}, {"codec": "deflate"}):
            yield partial(self.equal, f"Avro, {options}", {"a.avro": by_fastavro(schema, rows, **options)}, loaded)
        data = [encoded(schema, row) for row in rows]
        for codec, pack in CODECS.items():
            blocks = [(20, b"".join(data[:20])), (0, b""), (39, b"".join(data[20:59])), (1, data[59])]
            yield partial(self.equal, f"Avro of blocks, {codec}", {"a.avro": container(schema, blocks, codec, pack)}, loaded)
        yield partial(self.equal, "Avro, no block", {"a.avro": container(schema, [])}, [])
        yield partial(self.equal, "Avro, NULL alone", {"a.avro": container(record(("v", "null")), [(3, b"")])}, [(None,)] * 3)
        union = record(("v", ["null", "long", "string"]))
        first = [{"long_value": one if type(one) is int else None, "string_value": one if type(one) is str else None} for one in (None, 1, "x")]
        first = [(None,), *((text_of(one),) for one in first[1:])]
        yield partial(self.equal, "Avro, NULL of a union", {"a.avro": by_fastavro(union, [{"v": one} for one in (None, 1, "x")])}, first)
        tree = record(("v", "long"), ("next", ["null", "r"]))
        yield partial(self.refused, "a record in itself", {"a.avro": by_fastavro(tree, [{"v": 1, "next": None}])}, "record", "itself")
        yield partial(self.refused, "no record", {"a.avro": by_fastavro("string", [SECRET])}, "record")
        yield partial(self.refused, "another codec", {"a.avro": container(record(("v", "long")), [(1, b"\2")], "lzma")}, "lzma")

    def by_files(self):
        p = pyarrow
        large = 2**53
        for which, one, other, values in (
            ("int32, int64", (p.int32(), [1]), (p.int64(), [2**40]), [1, 2**40]), ("float, double", (p.float32(), [0.5]),
            (p.float64(), [0.1]), [0.5, 0.1]),
            ("int64, decimal", (p.int64(), [2**63 - 1]), (p.decimal128(9, 2), [D("1.25")]), [2**63 - 1, D("1.25")]),
            ("int64, double", (p.int64(), [large]), (p.float64(), [0.5]), [float(large), 0.5]), ("null, list", (p.null(), [None]),
            (p.list_(p.int8()), [[1]]), [None, [1]]),
            ("list, null", (p.list_(p.int8()), [[1]]), (p.null(), [None]), [[1], None]), ("null, text", (p.null(), [None]),
            (p.string(), ["x"]), [None, "x"]),
            ("uuid, text", (p.uuid(), [IDS[0].bytes]), (p.string(), ["x"]), [str(IDS[0]), "x"]),
        ):
            yield partial(self.column, which, {"a.parquet": column(*one), "b.parquet": column(*other)}, values)
        rounded = {"a.parquet": column(p.int64(), [large + 1]), "b.parquet": column(p.float64(), [0.5])}
        yield partial(self.refused, "an integer no double has", rounded, "row 1", "`v`")
        yield partial(self.equal, "an integer no double has, NULL", rounded, [(None,), ("0.5",)], invalid={"v": 1}, columns=NULLED)
        mixed = {"a.parquet": column(p.int64(), [7]), "b.parquet": column(p.string(), ["x"])}
        yield partial(self.refused, "int and text", mixed, "a.parquet", "b.parquet", "`columns.v.type`")
        yield partial(self.equal, "int and text as STRING", mixed, [("7",), ("x",)], ["STRING"], columns={"v": {"type": "STRING"}})
        x, y = Kind("x", p.int8(), "", [1]), Kind("y", p.string(), "", ["b"])
        odd = Kind("z", p.decimal256(76, 60), "", [D(1)])
        other_order = {"a.parquet": by_arrow([x, y]), "b.parquet": by_arrow([y, x])}
        yield partial(self.equal, "another order", other_order, [("1", "b")] * 2)
        fewer = {"a.parquet": by_arrow([x, y]), "b.parquet": by_arrow([x])}
        yield partial(self.refused, "a missing column", fewer, "b.parquet", "`y`")
        yield partial(self.equal, "a missing column, NULL", fewer, [("1", "b"), ("1", None)], form={"missing": "null"})
        more = {"a.parquet": by_arrow([x]), "b.parquet": by_arrow([y, odd, x])}
        yield partial(self.refused, "an unknown column", more, "b.parquet", "`y`")
        yield partial(self.equal, "an unknown column, ignored", more, [("1",)] * 2, form={"unknown": "ignore"})
        inner = {"a.parquet": column(p.struct([("x", p.int8())]), [{"x": 1}]),
                 "b.parquet": column(p.struct([("x", p.int8()), ("y", p.int8())]), [{"x": 1, "y": 2}])}
        yield partial(self.equal, "an unknown field, ignored", inner, [(text_of({"x": 1}),)] * 2, form={"unknown": "ignore"})
        twice = {"a.parquet": by_arrow([x, x, y])}
        yield partial(self.refused, "a name twice", twice, "`x`")
        yield partial(self.refused, "a name twice, chosen", twice, "`x`", chosen=["x"])

    def by_asking(self):
        p = pyarrow
        for kind, values, wanted, loaded in (
            (p.int64(), [-2**63, 7], "STRING", ["-9223372036854775808", "7"]), (p.int64(), [2**63 - 1], "NUMERIC", [2**63 - 1]),
            (p.int64(), [large := 2**53], "FLOAT64", [float(large)]),
            (p.decimal128(9, 2), [D("19.90")], "STRING", ["19.90"]), (p.decimal128(9, 2), [D("19.90")], "BIGNUMERIC", [D("19.9")]),
            (p.string(), ["007", "-1"], "INT64", ["7", "-1"]),
            (p.string(), ["2024-02-29"], "DATE", DAYS[2:3]), (p.string(), ["2024-01-01T00:00:00+01:00"], "TIMESTAMP", ["2023-12-31 23:00:00+00"]),
            (p.binary(), ["ü".encode()], "STRING", ["ü"]), (p.uuid(), [IDS[2].bytes], "BYTES", [IDS[2].bytes]),
            (p.uint64(), [2**64 - 1], "STRING", [str(2**64 - 1)]),
            (p.timestamp("us", "UTC"), [1], "STRING", ["1970-01-01 00:00:00.000001+00"]),
            (p.timestamp("ns"), [1], "STRING", ["1970-01-01 00:00:00.000000001"]),
            (p.float64(), [0.1, 1e-9], "NUMERIC", ["0.1", "0.000000001"]), (p.bool_(), [True], "STRING", ["true"]),
            (p.date32(), DAYS[:1], "STRING", ["0001-01-01"]),
        ):
            yield partial(self.column, f"{kind} as {wanted}", column(kind, values), loaded, columns={"v": {"type": wanted}})
        far = p.array([2**31 - 1, 0, -2**31], p.int32()).view(p.date32())
        late = p.array([2**62, 0, -2**62])
        thousand = p.array([D("100000.1"), D("1.5")], p.decimal128(9, 1))
        text = p.Array.from_buffers(p.string(), 2, p.array([b"\xff\xfe", b"ok"]).buffers())
        for which, array, rows in (
            ("days", far, [None, "1970-01-01", None]), ("moments", late.view(p.timestamp("us")), [None, "1970-01-01 00:00:00", None]),
            ("digits", p.Array.from_buffers(p.decimal128(3, 1), 2, thousand.buffers()), [None, "1.5"]),
            ("a NULL element", p.array([[1, None], [2]]), [None, "['2']"]),
            ("text that is not UTF-8", text, [None, "ok"]), ("malformed JSON", p.array(["{", "1"]).cast(p.json_()), [None, "1"]),
        ):
            sink = io.BytesIO()
            parquet.write_table(p.table({"v": array}), sink)
            yield partial(self.refused, which, {"a.parquet": sink.getvalue()}, "`v`", "row 1")
            invalid = {"v": rows.count(None)}
            yield partial(self.equal, f"{which}, NULL", sink.getvalue(), [(row,) for row in rows], invalid=invalid, columns=NULLED)

    def by_ranges(self):
        r = random.Random(self.seed)
        for table in range(40):
            rows = [(str(row), r.choice([None, "", "x" * r.randrange(60)])) for row in range(r.choice([0, 1, 30, 500, 2000]))]
            ends = sorted({0, len(rows), *r.choices(range(len(rows) + 1), k=r.randrange(8))})
            files = {}
            for some in [rows[one:other] for one, other in itertools.pairwise(ends)] or [[]]:
                name = f"{len(files):04}.{('parquet', 'avro')[table % 2]}"
                if table % 2:
                    options = {"sync_interval": r.choice([1, 100, 4000]), "codec": r.choice(["null", "deflate"])}
                    schema = record(("n", "long"), ("t", ["null", "string"]))
                    files[name] = by_fastavro(schema, [{"n": int(n), "t": t} for n, t in some], **options)
                else:
                    options = {"row_group_size": r.choice([1 + len(some) // 50, 50, 10_000]), "compression": r.choice(["none", "zstd"])}
                    kinds = [Kind("n", pyarrow.int64(), "", [int(n) for n, _ in some]), Kind("t", pyarrow.string(), "", [t for _, t in some])]
                    files[name] = by_arrow(kinds, **options)
            for strategy in ("file", "file_range"):
                partitioning = {"strategy": strategy, "target_rows": r.choice([1, 10, 300])}
                which = f"seed {self.seed}, table {table}, {partitioning}"
                yield partial(self.equal, which, files, rows, is_sorted=True, partitioning=partitioning)

    def by_damage(self):
        """A file is what it was, or refused."""
        ids = [Kind("n", pyarrow.int32(), "", list(range(9))), Kind("t", pyarrow.string(), "", [SECRET] * 9)]
        rows = list(zip(*map(Kind.rows, ids)))
        good = by_arrow(ids, row_group_size=3, write_page_checksum=True, use_dictionary=False, store_schema=False)
        footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
        packed = by_fastavro(record(("n", "int"), ("t", "string")), [{"n": n, "t": SECRET} for n in range(9)], sync_interval=1, codec="snappy")
        marker = packed[-16:]
        whole = [at for at in range(len(packed) + 1) if packed[:at].endswith(marker)]
        # Nothing tells of a footer or a schema that another one was meant, nor of a file that it had more blocks.
        for name, content, places in (("a.parquet", good, [*range(footer), *range(len(good) - 8, len(good))]),
                                      ("a.avro", packed, [*range(4), *range(whole[0] - 16, len(packed))])):
            for length in set(range(1, len(content), 1 + len(content) // 60)).difference(whole if content is packed else []):
                yield partial(self.refused, f"{name}, {length} of {len(content)} bytes", {name: content[:length]})
            for at in places[::1 + len(places) // 120]:
                flipped = bytearray(content)
                flipped[at] ^= 1 << at % 8
                yield partial(self.whole_or_refused, f"{name}, byte {at} of {len(content)}", {name: bytes(flipped)}, rows)
        for count in (0, 3, 5, 2**40):
            yield partial(self.refused, f"{count} records where 4 are", {"a.avro": container(record(("v", "int")), [(count, b"\0\2\4\6")])})
        text = SECRET.encode()
        for name, content, kind in (("a.parquet", text, None), ("a.avro", text, None), ("a", packed, "parquet"), ("a", good, "avro")):
            yield partial(self.refused, f"{name} of {content[:4]} as {kind}", {name: content}, form=kind and {"type": kind})
        for beside in (b"", text):
            yield partial(self.refused, f"{beside} beside a file", {"a.parquet": good, "b.parquet": beside}, "b.parquet")
        yield partial(self.equal, "Parquet without an ending", {"a": good}, rows)
        yield partial(self.equal, "Parquet named CSV", {"a.csv": good}, rows, form={"type": "parquet"})

    def whole_or_refused(self, which, files, rows):
        outcome = self.loader.load(files)
        if outcome.code:
            self.clear(which, files, outcome)
        elif outcome.rows != rows:
            self.failures.append(f"{which}: is read wrongly, {[*differences(outcome.rows, rows)][:2]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="of the tables that are read in ranges")
    options = parser.parse_args()
    check = Check(options.sluice, options.seed)
    parts = (check.by_arrow, check.by_others, check.by_avro, check.by_files, check.by_asking, check.by_ranges, check.by_damage)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda part: part(), itertools.chain.from_iterable(part() for part in parts)):
            pass
    for failure in check.failures:
        print(f"fails: {failure}")
    print(json.dumps({"failures": len(check.failures), "files": check.loader.runs, **check.counts}))
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
