#!/usr/bin/env python3
"""Writes inputs for the fuzz target `copy_decoder` from streams that a PostgreSQL server sends.

    seeds.py URL FOLDER

Needs PostGIS and psycopg. Each input starts with the columns' types, as the target's list numbers
them.
"""

import pathlib
import re
import sys

import psycopg

TARGET = pathlib.Path(__file__).parent / "fuzz_targets/check.rs"
# By name: the columns as `encoding[:TARGET]`, with [] for an array; a query; the size of the pieces.
SEEDS = {
    "money": (["money", "money:Bignumeric", "money[]"], "VALUES ('1.25'::money, '-92233720368547758.08'::money, '{1,2}'::money[]), (NULL, 0::money, '{}')", 7),
    "intervals": (["interval", "interval[]"], "VALUES ('P1Y2M3DT4H5M6.789S'::interval, '{P0Y,PT-1S}'::interval[]), ('-10000 years', '{10001 years}')", 11),
    "ranges": (["daterange", "tsrange", "tstzrange", "tsrange[]"],
               """VALUES ('[2024-01-01,2024-02-01)'::daterange, '[2024-01-01,)'::tsrange, '(,)'::tstzrange, '{"[2024-01-01,2024-01-02)","(,)"}'::tsrange[]), """
               """('empty', '(2024-01-01,2024-01-02]', '[2024-01-01,infinity)', '{empty}')""", 6),
    "composites": (["composite", "array_json", "array_json"], """VALUES ('{"a":1,"b":null}'::text, '[[1,2],[3,null]]'::text, ''::text), (NULL, '[]', '')""", 5),
    "points": (["geometry", "geography", "geometry:Bytes"],
               "SELECT ST_AsEWKB(g), ST_AsEWKB(g), ST_AsEWKB(g) FROM (VALUES (ST_GeomFromText('POINT(1 2)', 4326)), (ST_GeomFromText('POINT(181 0)', 4326)), "
               "(ST_GeomFromText('POINT EMPTY', 4326)), (ST_GeomFromText('POINT Z (1 2 3)', 4326)), (ST_GeomFromText('POINT(1 2)', 3857)), (NULL)) AS v (g)", 9),
    "shapes": (["geometry", "geography"],
               "SELECT ST_AsEWKB(g), ST_AsEWKB(g, 'XDR') FROM (VALUES ('LINESTRING(0 0,1 1,2 0)'), ('POLYGON((0 0,0 9,9 9,9 0,0 0),(1 1,2 1,2 2,1 1))'), "
               "('MULTIPOINT((1 2),(3 4))'), ('MULTILINESTRING((0 0,1 1),(2 2,3 3))'), ('MULTIPOLYGON(((0 0,0 1,1 1,0 0)))'), "
               "('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'), ('CIRCULARSTRING(0 0,1 1,2 0)'), ('TIN(((0 0,0 1,1 1,0 0)))')) AS v (w), "
               "LATERAL (SELECT ST_GeomFromText(w, 4326) AS g) AS s", 13),
    "vectors": (["vector", "vector"], "VALUES ('{1,2.5,-0}'::float4[], '{}'::float4[]), ('{NaN}', NULL)", 3),
    "texts-of-servers": (["inet", "enum", "inet[]"], "VALUES ('10.0.0.1/8'::text, 'happy'::text, '{a,b}'::text[]), ('', NULL, '{NULL}')", 6),
    "numbers-of-arrays": (["int2[]", "int8[]", "float8[]", "bool[]"], "VALUES ('{1,-1}'::int2[], '[0:1]={1,2}'::int8[], '{NaN}'::float8[], '{t,f}'::bool[])", 4),
    "numerics-wide": (["numeric:Bignumeric", "numeric", "numeric:Int64"],
                      "VALUES (1e131071, 0.00010000, 9223372036854775808), (1e-16383, 'NaN', '-Infinity'), (10000, 99999999, -1)", 8),
    "documents-wide": (["jsonb:Text", "jsonb[]", "json[]"], """VALUES ('{"a": 1.10}'::jsonb, '{"1","null"}'::jsonb[], '{"{}"}'::json[])""", 2),
    "moments-of-arrays": (["date[]", "time[]", "timestamp[]", "timestamptz[]"],
                          "VALUES ('{2024-02-29,infinity}'::date[], '{24:00}'::time[], '{0001-01-01}'::timestamp[], '{9999-12-31 23:59:59.999999+00}'::timestamptz[])", 10),
    "bytes": (["bytea", "bytea[]", "char:Bytes", "uuid[]"], """VALUES ('\\x00ff'::bytea, '{"\\\\x00"}'::bytea[], 'x'::"char", '{00000000-0000-0000-0000-000000000000}'::uuid[])""", 12),
}


def number_of(column, rows):
    name, _, target = column.removesuffix("[]").partition(":")
    [first, *_] = [at for at, row in enumerate(rows) if row[0] == name and target in ("", row[1])]
    return first | (64 if column.endswith("[]") else 0)


def main():
    url, folder = sys.argv[1:]
    rows = re.findall(r'^    \("(\w+)", (\w+), \(', TARGET.read_text(), re.M)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for name, (columns, query, piece) in SEEDS.items():
            with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
                stream = b"".join(bytes(block) for block in copy)
            head = bytes([len(columns), *(number_of(column, rows) for column in columns), piece])
            (pathlib.Path(folder) / name).write_bytes(head + stream)


if __name__ == "__main__":
    main()
