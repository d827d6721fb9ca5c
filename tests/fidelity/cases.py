"""Every type that a column can have, with its extremes and a generator of more.

A case says which target type it expects, so that a refusal of the type is not taken for success.
Values are texts for the server's own input functions.
"""

import dataclasses
import decimal
import json
import random
import string
import uuid
from collections.abc import Callable


@dataclasses.dataclass
class Case:
    """One column of one type."""

    name: str
    declared: str
    # `TYPE`, `TYPE(precision,scale)`, or `TYPE[]` for REPEATED; None if the plan has to refuse.
    target: str | None
    values: list[str]
    more: Callable[[random.Random], str] | None = None
    # What the texts are compared as; see the checks of outcomes.py.
    kind: object = "text"
    setup: str = ""
    since: int = 12
    wanted: str | None = None
    # Texts that the refusal contains.
    says: tuple[str, ...] = ()
    # The extension that the type needs.
    extension: str | None = None
    # SQL around the inserted text, if the type's input function is not enough.
    through: str | None = None
    # The SQL expression that replaces the type's own text when values are compared.
    asked: str | None = None

    @property
    def table(self):
        """The table's name. It also names a type, so it must differ from the names of other types."""
        return f"of_{self.name}"


@dataclasses.dataclass
class Spelled:
    """Texts that depend on the server's search path, and the spelling that is right under every path."""

    texts: dict[str, str]


CASES: list[Case] = []


def case(name, declared, target, values, more=None, **rest):
    CASES.append(Case(name, declared, target, [str(value) for value in values], more, **rest))


# Numbers


def integers(width):
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    values = [low, high, 0, -1, 1, low + 1, high - 1, *(2**n for n in range(width - 1)), *(-(2**n) - 1 for n in range(width - 1))]
    return values, lambda r: str(r.randint(low, high) >> r.randrange(width))


def digits(r, most, least=1):
    return "".join(r.choices(string.digits, k=r.randint(least, most)))


def number(whole, fraction):
    """Numbers with at most the given numbers of digits."""
    def make(r):
        text = digits(r, whole) if whole else "0"
        if fraction and r.random() < 0.8:
            text += "." + digits(r, fraction)
        return r.choice(["", "-"]) + text
    return make


for width, name in ((16, "int2"), (32, "int4"), (64, "int8")):
    values, more = integers(width)
    case(name, name, "INT64", values, more, kind="integer")
case("oid", "oid", "INT64", [0, 1, 4294967295, 2147483648], lambda r: str(r.randrange(2**32)), kind="integer")

SPECIAL_FLOATS = ["NaN", "Infinity", "-Infinity", "0", "-0", "1", "-1", "0.1", "-0.1", "1e15", "1e16", "123456789012345678"]
case("float8", "float8", "FLOAT64",
     [*SPECIAL_FLOATS, "5e-324", "-5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1.7976931348623157e308",
      "-1.7976931348623157e308", "9007199254740993", "0.30000000000000004"],
     lambda r: repr(r.choice([r.uniform(-1e9, 1e9), r.random() * 10.0 ** r.randint(-320, 300), float(r.getrandbits(60))])),
     kind="float")
case("float4", "float4", "FLOAT64",
     [*SPECIAL_FLOATS, "1e-45", "-1e-45", "1.17549435e-38", "3.4028235e38", "-3.4028235e38", "16777217"],
     lambda r: f"{r.uniform(-1, 1) * 10.0 ** r.randint(-37, 37):.9g}", kind="single")

LONG = "1234567890" * 20
case("numeric_12_2", "numeric(12,2)", "NUMERIC(12,2)", ["0", "NaN", "-9999999999.99", "9999999999.99", "0.01", "-0.01", "1.10"],
     number(10, 2), kind="decimal")
case("numeric_38_9", "numeric(38,9)", "NUMERIC(38,9)", ["9" * 29 + "." + "9" * 9, "-" + "9" * 29 + "." + "9" * 9, "0.000000001", "NaN"],
     number(29, 9), kind="decimal")
case("numeric_38_10", "numeric(38,10)", "BIGNUMERIC(38,10)",
     ["1234567890123456789012345678.0123456789", "0.0000000001", "-" + "9" * 28 + "." + "9" * 10], number(28, 10), kind="decimal")
case("numeric_38_0", "numeric(38)", "BIGNUMERIC(38,0)", ["9" * 38, "-" + "9" * 38, "0", "10000", "NaN"], number(38, 0), kind="decimal")
case("numeric_76_38", "numeric(76,38)", "BIGNUMERIC(76,38)",
     ["9" * 38 + "." + "9" * 38, "-" + "9" * 38 + "." + "9" * 38, "0." + "0" * 37 + "1", "1" + "0" * 37, "NaN"], number(38, 38), kind="decimal")
case("numeric_9_9", "numeric(9,9)", "NUMERIC(9,9)", ["0.999999999", "-0.999999999", "0.000000001", "0"], number(0, 9), kind="decimal")
case("numeric_1_38", "numeric(38,38)", "BIGNUMERIC(38,38)", ["0." + "9" * 38, "-0." + "0" * 37 + "1"], number(0, 38), kind="decimal")
case("numeric_negative", "numeric(5,-3)", "NUMERIC", ["99999000", "-99999000", "0", "1000", "123499", "NaN"],
     lambda r: str(r.randint(-99999, 99999) * 1000), kind="decimal", since=15)
case("numeric_above", "numeric(3,6)", "NUMERIC", ["0.000999", "-0.000999", "0.000001", "0"],
     lambda r: f"{r.randint(-999, 999) / 1e6:.6f}", kind="decimal", since=15)
case("numeric", "numeric", "BIGNUMERIC",
     ["NaN", "0", "1.5", "0.1", "-0.00000000000000000001", "12345678901234567890.123456789", "9" * 38, "1" + "0" * 38, "9" * 39,
      "0." + "0" * 37 + "1", "0." + "0" * 38 + "1", "0." + "1" * 38, "0." + "1" * 39, "9" * 38 + "." + "9" * 38, LONG, "-" + LONG,
      "0." + LONG, LONG + "." + LONG, "1e30", "1e-30", "1." + "0" * 60, "10000", "9999.9999", "0.00010000", "1e131071",
      "578960446186580977117854925043439539266.34992332820282019728792003956564819967", "1e-16383"],
     lambda r: r.choice([number(20, 10), number(38, 38), number(60, 60), number(3, 0)])(r), kind="decimal")
case("numeric_infinity", "numeric", "BIGNUMERIC", ["Infinity", "-Infinity", "1"], kind="decimal", since=14)
case("numeric_60_20", "numeric(60,20)", None, ["1"], says=("`numeric(60,20)`", "STRING"))
case("numeric_200_0", "numeric(200)", None, ["1"], says=("`numeric(200,0)`", "STRING"))
case("numeric_as_text", "numeric", "STRING",
     ["NaN", LONG + "." + LONG, "1.10", "0.000", "-0.0", "1e131071", "1e-16383"], number(200, 200), wanted="STRING")
case("numeric_60_20_as_text", "numeric(60,20)", "STRING", ["1234567890123456789012345678901234567890.12345678901234567890", "-0.00000000000000000001"],
     number(40, 20), wanted="STRING")
case("numeric_60_20_as_big", "numeric(60,20)", "BIGNUMERIC(58,20)", ["1" * 38 + "." + "1" * 20, "1" * 39, "1" * 40 + ".5", "NaN"],
     number(40, 20), kind="decimal", wanted="BIGNUMERIC")
case("numeric_as_numeric", "numeric", "NUMERIC", ["NaN", "1.123456789", "1.1234567891", "9" * 29, "9" * 30, "1.1234567890"],
     number(32, 11), kind="decimal", wanted="NUMERIC")
case("numeric_as_int64", "numeric", "INT64",
     ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1.5", "1.0", "NaN", "1e18", "1e19", "0.1"],
     lambda r: str(r.randint(-(2**66), 2**66) >> r.randrange(66)) + r.choice(["", ".0", ".5"]), kind="integer", wanted="INT64")
case("int8_as_float64", "int8", "FLOAT64", [2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**62, 0],
     lambda r: str(r.randint(-(2**63), 2**63 - 1) >> r.randrange(64)), kind="whole_float", wanted="FLOAT64")
case("int8_as_text", "int8", "STRING", [2**63 - 1, -(2**63), 0], integers(64)[1], wanted="STRING")
case("float8_as_text", "float8", "STRING", [*SPECIAL_FLOATS, "5e-324", "0.30000000000000004"], lambda r: repr(r.uniform(-1e300, 1e300)),
     wanted="STRING")
case("float4_as_text", "float4", "STRING", [*SPECIAL_FLOATS, "0.3", "16777216"], lambda r: f"{r.uniform(-1e9, 1e9):.9g}", wanted="STRING")
case("money", "money", "NUMERIC", ["0", "-1234.56", "99999999.99", "92233720368547758.07", "-92233720368547758.08", "0.01", "-0.01"],
     lambda r: f"{r.randint(-(10**9), 10**9) >> r.randrange(30)}.{r.randrange(100):02}",
     kind="decimal", asked="v::numeric")

# Text

PLANES = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x590, 0x6FF), (0x4E00, 0x9FFF), (0xE000, 0xF8FF), (0xFE00, 0xFFFD), (0x1F300, 0x1FAFF),
          (0x20000, 0x2A6DF), (0xE0100, 0xE01EF), (0x100000, 0x10FFFD)]


def text(r, most=40):
    return "".join(chr(r.randint(*r.choice(PLANES))) for _ in range(r.randint(0, most)))


TEXTS = ["", " ", "NULL", "null", "\\N", "\\", "\\.", "'", '"', "a\tb\nc\rd", "\x01\x7f\x1f", "😀 émoji 𝄞", "e\u0301", "\ufeff", "\u200b",
         "\ufffd", "\uffff", "\U0010ffff", "ab  ", "  ab", "{}", "x" * 100_000, "{\"a\": 1}", "İstanbul ß ﬁ", "\u2028"]
case("text", "text", "STRING", TEXTS, text)
case("varchar", "varchar(50)", "STRING", ["", "x" * 50, "😀" * 50, "ab "], lambda r: text(r, 50))
case("bpchar", "char(5)", "STRING", ["ab", "", "abcde", "é", "😀😀😀😀😀"], lambda r: text(r, 5).replace("\n", ""))
case("name", "name", "STRING", ["", "x" * 63, "pg_class"], lambda r: text(r, 10)[:15])
case("char1", '"char"', "STRING", ["x", "", " ", "~"], lambda r: chr(r.randint(32, 126)))
case("char1_high", '"char"', "STRING", ["a", "\\200", "\\377"], kind="char", since=16)
case("citext", "citext", "STRING", ["HeLLo", "hello", "", "É"], text, extension="citext")
case("text_as_bytes", "text", "BYTES", TEXTS, text, kind="utf8", wanted="BYTES")
case("xml", "xml", "STRING", ["<a/>", "<b>é &amp; 😀</b>", "plain", ""], lambda r: f"<x y='{r.random()}'>{digits(r, 9)}</x>")
case("enum", "mood", "STRING", ["sad", "ok", "über 😀", "a,b", "with \"quotes\""], lambda r: r.choice(["sad", "ok"]),
     setup="CREATE TYPE mood AS ENUM ('sad', 'ok', 'über 😀', 'a,b', 'with \"quotes\"')")
case("bool", "bool", "BOOL", ["true", "false"], lambda r: r.choice(["t", "f"]), kind="bool")
case("bytea", "bytea", "BYTES", ["", "\\x00", "\\x" + bytes(range(256)).hex(), "\\x" + "ff" * 70_000], lambda r: "\\x" + r.randbytes(r.randint(0, 60)).hex(),
     kind="bytes")
case("bytea_as_text", "bytea", "STRING", ["", "\\x00ff10"], lambda r: "\\x" + r.randbytes(r.randint(0, 60)).hex(), wanted="STRING")
case("uuid", "uuid", "STRING", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), "0cf81f90-3840-2e85-910c-fad17d0051b3"],
     lambda r: str(uuid.UUID(int=r.getrandbits(128))))
case("uuid_as_bytes", "uuid", "BYTES", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)], lambda r: str(uuid.UUID(int=r.getrandbits(128))),
     kind="uuid", wanted="BYTES")

# Dates and times

DATES = ["2024-02-29", "1900-01-01", "1582-10-04", "1582-10-15", "0001-01-01", "9999-12-31", "10000-01-01", "5874897-12-31",
         "0001-12-31 BC", "0001-01-01 BC", "0044-03-15 BC", "4713-01-01 BC", "infinity", "-infinity", "1970-01-01", "1969-12-31", "2000-01-01", "1999-12-31"]


def day(r):
    before = r.random() < 0.03
    year = r.choice([r.randint(1, 9999), r.randint(1900, 2100), r.randint(9990, 20000)])
    return f"{year % 4000 + 1 if before else year:04}-{r.randint(1, 12):02}-{r.randint(1, 28):02}" + " BC" * before


def clock(r):
    fraction = r.choice(["", f".{r.randrange(10**6):06}", f".{r.randrange(1000):03}"])
    return f"{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}{fraction}"


def moment(r, zone=""):
    whole = day(r)
    date, _, era = whole.partition(" ")
    return f"{date} {clock(r)}{zone} {era}".strip()


ZONES = ["+00", "+05:30", "-12", "+14", "+15:59:59", "-15:59:59", "+05:45", "-03:30"]
case("date", "date", "DATE", DATES, day, kind="date")
case("date_as_text", "date", "STRING", DATES, day, wanted="STRING")
case("time", "time", "TIME", ["00:00:00", "23:59:59.999999", "24:00:00", "12:00:00.000001", "12:00:00.1"], clock, kind="time")
case("time_as_text", "time", "STRING", ["00:00:00", "24:00:00", "12:00:00.100"], clock, wanted="STRING")
case("timetz", "timetz", "STRING", ["12:00:00+02", "00:00:00-12", "24:00:00+00", "23:59:59.999999+15:59:59", "00:00:00-15:59:59"],
     lambda r: clock(r) + r.choice(ZONES))
STAMPS = ["1999-12-31 23:59:59.999999", "0001-01-01 00:00:00", "0001-12-31 23:59:59.999999 BC", "9999-12-31 23:59:59.999999", "10000-01-01 00:00:00",
          "294276-12-31 23:59:59.999999", "4713-01-01 00:00:00 BC", "infinity", "-infinity", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999",
          "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2016-12-31 23:59:60", "2024-02-29 24:00:00"]
case("timestamp", "timestamp", "DATETIME", STAMPS, moment, kind="moment")
case("timestamp_as_text", "timestamp", "STRING", STAMPS, moment, wanted="STRING")
case("timestamp_3", "timestamp(3)", "DATETIME", ["1999-12-31 23:59:59.999", "2024-01-01 00:00:00.0005"], moment, kind="moment")
TZ_STAMPS = ["infinity", "-infinity", "2024-02-29 12:34:56.123456+05:30", "1900-01-01 00:00:00+00", "0001-01-01 00:00:00+00", "0001-01-01 00:00:00+01",
             "9999-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999-01", "1970-01-01 00:00:00+14", "0044-03-15 12:00:00+00 BC",
             "2024-03-31 02:30:00 Europe/Berlin", "2024-11-03 01:30:00 America/New_York", "1883-11-18 12:03:57 America/New_York",
             "1986-01-01 00:00:00 Asia/Kathmandu", "294276-12-31 23:59:59.999999+00", "1800-01-01 00:00:00 Europe/Amsterdam"]
case("timestamptz", "timestamptz", "TIMESTAMP", TZ_STAMPS, lambda r: moment(r, r.choice(ZONES)), kind="moment")
case("timestamptz_as_text", "timestamptz", "STRING", ["2024-02-29 12:34:56.123456+05:30", "infinity", "0044-03-15 12:00:00+00 BC"],
     lambda r: moment(r, r.choice(ZONES)), wanted="STRING")
INTERVALS = ["1 year 2 mons 3 days 04:05:06.789", "-1 mons +1 day -00:00:01", "0", "-00:00:00.000001", "178000000 years", "-178000000 years",
             "1 day", "2147483647 days", "-2147483648 days", "11 mons", "13 mons", "-13 mons", "-1 year +1 mon", "2562047788:00:54.775807",
             "-2562047788:00:54.775807", "10000 years", "-10000 years", "10000 years 1 mon", "-10000 years -1 mon", "3660000 days", "-3660000 days", "3660001 days",
             "-3660001 days", "87840000:00:00", "-87840000:00:00", "87840000:00:00.000001", "-87840000:00:00.000001", "-87840000:01:00", "87839999:59:59.999999",
             "10000 years -3660000 days +87840000:00:00", "-10000 years +3660001 days -87840000:00:00", "00:00:00.1", "24:00:00", "100:59:59.999999", "-0.5 seconds", "1 mon -1 day +00:00:01.5"]


def duration(r, most=10**12):
    return f"{r.randint(-200, 200)} mons {r.randint(-4000, 4000)} days {r.randint(-most, most) / 1e6:.6f} seconds"


case("interval", "interval", "INTERVAL", INTERVALS, duration, kind="interval")
case("interval_as_text", "interval", "STRING", INTERVALS, duration, kind="interval", wanted="STRING")
case("interval_infinity", "interval", "INTERVAL", ["infinity", "-infinity", "1 day"], kind="interval", since=17)
case("interval_infinity_as_text", "interval", "STRING", ["infinity", "-infinity"], kind="interval", wanted="STRING", since=17)
case("interval_as_second", "interval day to second(3)", "INTERVAL", ["1 day 02:03:04.567", "-00:00:00.001"], kind="interval")

# Documents

DOCUMENTS = ["null", "{}", "[]", '"a"', "true", "0", "-0", "1.10", "1e400", "12345678901234567890123", '{"a": 1.10, "b": "é", "n": 12345678901234567890123}',
             '{"\\u00e9": "\\ud83d\\ude00 \\n\\t\\"\\\\/"}', '{"": {"": [[], {}, null]}}', "[" * 60 + "]" * 60, "1" * 500, "0." + "1" * 500, '"' + "x" * 100_000 + '"']


def document(r, depth=3):
    choice = r.randrange(8 if depth else 5)
    if choice == 0:
        return r.choice(["null", "true", "false"])
    if choice in (1, 2):
        return number(25, 25)(r)
    if choice in (3, 4):
        return json.dumps(text(r, 8), ensure_ascii=r.random() < 0.5)
    if choice in (5, 6):
        return "[" + ",".join(document(r, depth - 1) for _ in range(r.randrange(4))) + "]"
    return "{" + ", ".join(json.dumps(text(r, 4)) + ": " + document(r, depth - 1) for _ in range(r.randrange(4))) + "}"


def good_document(r):
    while True:
        made = document(r)
        try:
            json.loads(made)
        except ValueError:
            continue
        return made


case("json", "json", "JSON", [*DOCUMENTS, '{"a":1,  "a":2}', ' [ 1 ,\n 2 ] ', '{"b":1,"a":2}', '"\\u0000"', '"\\ud800"'], good_document)
case("jsonb", "jsonb", "JSON", DOCUMENTS[:8] + DOCUMENTS[9:], good_document)
case("json_as_text", "json", "STRING", ['{"a":1,  "a":2}', "1.10"], good_document, wanted="STRING")
case("jsonb_as_text", "jsonb", "STRING", ['{"b": 1.10}', "null"], good_document, wanted="STRING")
case("jsonpath", "jsonpath", "STRING", ["$", "$.a[*] ? (@.b > 1)", "strict $.\"é\""], lambda r: f"$.k{digits(r, 5)}[{r.randrange(99)}] ? (@ > {r.randrange(99)})")

# Network, bits, text search, geometry: the server's own text

case("inet", "inet", "STRING", ["10.0.0.1/8", "::1/128", "::1", "0.0.0.0/0", "255.255.255.255", "fe80::1/10", "::ffff:1.2.3.4"],
     lambda r: ".".join(str(r.randrange(256)) for _ in range(4)) + r.choice(["", f"/{r.randrange(33)}"]), asked="v::text")
case("cidr", "cidr", "STRING", ["10.0.0.0/8", "::/0", "192.168.1.1/32", "2001:db8::/32"], lambda r: f"{r.randrange(256)}.{r.randrange(256)}.0.0/{r.randint(16, 32)}")
case("macaddr", "macaddr", "STRING", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"], lambda r: r.randbytes(6).hex(":"))
case("macaddr8", "macaddr8", "STRING", ["00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"], lambda r: r.randbytes(8).hex(":"))
case("bit", "bit(8)", "STRING", ["00000000", "11111111", "10000001"], lambda r: f"{r.randrange(256):08b}")
case("varbit", "bit varying(70)", "STRING", ["", "101", "1" * 70], lambda r: "".join(r.choices("01", k=r.randint(0, 70))))
case("bit_1", "bit", "STRING", ["0", "1"])
case("tsvector", "tsvector", "STRING", ["a fat cat", "'it''s':1A,2B 'é':3", ""], lambda r: " ".join(digits(r, 5) for _ in range(4)))
case("tsquery", "tsquery", "STRING", ["fat & (rat | cat)", "!a <-> b", "'it''s':AB*"], lambda r: " & ".join(f"{r.choice([chr(33), str()])}w{digits(r, 4)}" for _ in range(r.randint(1, 4))))
case("point", "point", "STRING", ["(1,2)", "(NaN,Infinity)", "(0.30000000000000004,-0)", "(5e-324,1.7976931348623157e308)"],
     lambda r: f"({r.uniform(-1e9, 1e9)!r},{r.random()!r})")
def corners(r):
    return ",".join(f"({r.uniform(-1e9, 1e9)!r},{r.random()!r})" for _ in range(r.randint(1, 5)))


case("line", "line", "STRING", ["{1,2,3}", "{-1,0,0.1}"], lambda r: f"{{{r.random()!r},{r.uniform(1, 1e9)!r},{r.uniform(-1e9, 1e9)!r}}}")
case("lseg", "lseg", "STRING", ["[(1,2),(3,4)]"], lambda r: f"[({r.random()!r},{r.random()!r}),({r.random()!r},1)]")
case("box", "box", "STRING", ["(3,4),(1,2)"], lambda r: f"({r.random()!r},{r.random()!r}),({r.random()!r},1)")
case("path", "path", "STRING", ["[(0,0),(1,1),(2,0)]", "((0,0),(1,1))"], lambda r: r.choice(["[{}]", "({})"]).format(corners(r)))
case("polygon", "polygon", "STRING", ["((0,0),(1,1),(2,0))"], lambda r: f"({corners(r)})")
case("circle", "circle", "STRING", ["<(1,2),3>", "<(0,0),0>"], lambda r: f"<({r.random()!r},{r.uniform(-1e9, 1e9)!r}),{r.random()!r}>")
case("pg_lsn", "pg_lsn", "STRING", ["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"], lambda r: f"{r.randrange(2**32):X}/{r.randrange(2**32):X}")
for name, texts in {
    "regclass": {"pg_class": "pg_catalog.pg_class", "of_int4": "public.of_int4", "-": "-", "4294967295": "4294967295"},
    "regtype": {"integer": "integer", "text[]": "pg_catalog.text[]", "mood": "public.mood", "-": "-"},
    "regproc": {"now": "pg_catalog.now()", "-": "-"},
    "regprocedure": {"sum(integer)": "pg_catalog.sum(integer)"},
    "regoper": {"||/": "pg_catalog.||/(NONE,double precision)"},
    "regoperator": {"+(integer,integer)": "pg_catalog.+(integer,integer)"},
    "regnamespace": {"pg_catalog": "pg_catalog"},
    "regrole": {"pg_monitor": "pg_monitor"},
    "regcollation": {'"C"': 'pg_catalog."C"'},
    "regconfig": {"simple": "pg_catalog.simple"},
    "regdictionary": {"simple": "pg_catalog.simple"},
}.items():
    case(name, name, "STRING", list(texts), kind=Spelled(texts), since=13 if name == "regcollation" else 12)
for name, values in {
    "tid": ["(0,0)", "(4294967295,65535)"], "oidvector": ["", "1 2 4294967295"], "int2vector": ["", "1 -32768 32767"],
    "refcursor": ["", "c1"], "txid_snapshot": ["10:20:10,14,15"], "aclitem": ["postgres=r/postgres"],
}.items():
    case(name, name, "STRING", values)
case("xid", "xid", "INT64", [0, 2**32 - 1], lambda r: str(r.randrange(2**32)), kind="integer")
case("cid", "cid", "INT64", [0, 2**32 - 1], lambda r: str(r.randrange(2**32)), kind="integer")
case("gtsvector", "gtsvector", None, [], says=("gtsvector", "index"))
case("xid8", "xid8", "STRING", ["0", str(2**64 - 1)], lambda r: str(r.getrandbits(64) >> r.randrange(64)), since=13)
case("pg_snapshot", "pg_snapshot", "STRING", ["10:20:10,14,15"], since=13)

# Ranges


def range_of(bound, order):
    """Ranges between any two values, with every kind of bounds; `order` is the sort key of texts."""
    def make(r):
        low, high = sorted((bound(r), bound(r)), key=order)
        whole = f'{r.choice("[(")}{r.choice(["", chr(34) + low + chr(34)])},{r.choice(["", chr(34) + high + chr(34)])}{r.choice(")]")}'
        return r.choice(["empty", "(,)", whole, whole, whole, whole])
    return make


def multirange_of(bound, order):
    one = range_of(bound, order)
    return lambda r: "{" + ",".join(made for made in (one(r) for _ in range(r.randrange(4)))) + "}"


def usual_day(r):
    return f"{r.randint(1, 9999):04}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"


def usual_moment(r):
    return f"{usual_day(r)} {clock(r)}"


def whole(width):
    return lambda r: str(r.randint(-(2 ** (width - 2)), 2 ** (width - 2)) >> r.randrange(width - 1))


WHOLE, PLAIN_NUMBER = int, decimal.Decimal


case("int4range", "int4range", "STRING", ["empty", "(,)", "[1,10)", "[1,1]", "(,5]", "[-2147483648,2147483646]"],
     lambda r: f"[{r.randint(-100, 0)},{r.randint(1, 100)}{r.choice(')]')}")
case("int8range", "int8range", "STRING", ["empty", "[-9223372036854775808,9223372036854775807)"], range_of(whole(64), WHOLE))
case("numrange", "numrange", "STRING", ["empty", "[1.10,2.200]", "[NaN,)", f"[0,{LONG}]"], range_of(number(20, 10), PLAIN_NUMBER))
DATE_RANGES = ["empty", "[2024-01-01,2024-02-01)", "[2024-01-01,2024-02-01]", "(2024-01-01,2024-02-01)", "[-infinity,infinity]", "[0044-03-15 BC,)", "[2024-01-01,infinity)", "[2024-01-01,infinity]",
               "(-infinity,2024-01-01)", "(,)", "(,2024-01-01)", "[2024-01-01,)", "[0001-01-01,9999-12-31)", "[0001-01-01,9999-12-31]", "[0001-12-31 BC,2024-01-01)", "[2024-01-01,10000-01-01)",
               "[2024-01-01,10000-01-02)", "(0001-12-31 BC,2024-01-01)", "[10000-01-01,)"]
STAMP_RANGES = ["empty", "(,)", "[2024-01-01,2024-02-01)", "(2024-01-01,2024-02-01)", "[2024-01-01,2024-02-01]", "(2024-01-01,)", "(,2024-01-01]", "[2024-01-01,)", "(,2024-01-01)",
                '[2024-01-01 00:00:00,"infinity"]', '["-infinity",2024-01-01)', "[2024-01-01,infinity)", "[2024-01-01 00:00:00.000001,2024-01-01 00:00:00.5)", "[2024-01-01,2024-01-01]",
                "[0001-01-01,9999-12-31 23:59:59.999999)", "[0001-01-01,10000-01-01)", "[0001-12-31 23:59:59.999999 BC,2024-01-01)", "[10000-01-01,)", "(,0001-12-31 BC)"]
ZONED_RANGES = [*STAMP_RANGES, "[2024-03-31 02:30:00 Europe/Berlin,infinity]", "[0001-01-01 00:00:00+01,2024-01-01)",
                "[2024-01-01,9999-12-31 23:59:59.999999-01)", "[2024-01-01 00:00:00+01,2024-01-02 00:00:00+05:30)"]
case("daterange", "daterange", "RANGE<DATE>", DATE_RANGES, range_of(usual_day, str), kind="range")
case("daterange_as_text", "daterange", "STRING", DATE_RANGES, range_of(usual_day, str), wanted="STRING")
case("tsrange", "tsrange", "RANGE<DATETIME>", STAMP_RANGES, range_of(usual_moment, str), kind="range")
case("tstzrange", "tstzrange", "RANGE<TIMESTAMP>", ZONED_RANGES, range_of(lambda r: usual_moment(r) + "+00", str), kind="range")
case("tstzrange_as_text", "tstzrange", "STRING", ZONED_RANGES, range_of(lambda r: usual_moment(r) + "+00", str), wanted="STRING")
case("range_own", "floatrange", "STRING", ["[0.30000000000000004,1e300]", "empty"], range_of(lambda r: repr(r.uniform(-1e9, 1e9)), float), setup="CREATE TYPE floatrange AS RANGE (subtype = float8)")
case("int4multirange", "int4multirange", "STRING", ["{}", "{[1,3),[5,8)}", "{(,)}"], multirange_of(whole(32), WHOLE), since=14)
case("nummultirange", "nummultirange", "STRING", ["{}", "{[1.10,2.20),[3,)}"], multirange_of(number(20, 10), PLAIN_NUMBER), since=14)
case("tstzmultirange", "tstzmultirange", "STRING", ["{}", "{[2024-01-01,2024-02-01)}"], multirange_of(lambda r: usual_moment(r) + "+00", str), since=14)
case("datemultirange", "datemultirange", "STRING", ["{[2024-01-01,2024-02-01),[2025-01-01,)}"], multirange_of(usual_day, str), since=14)
case("int8multirange", "int8multirange", "STRING", ["{[1,2)}"], multirange_of(whole(64), WHOLE), since=14)
case("tsmultirange", "tsmultirange", "STRING", ["{[2024-01-01,2024-02-01)}"], multirange_of(usual_moment, str), since=14)

# Arrays


def array_text(items):
    def one(item):
        if item is None:
            return "NULL"
        return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "{" + ",".join(one(item) for item in items) + "}"


def array(element, nulls=0.1):
    return lambda r: array_text([None if r.random() < nulls else element(r) for _ in range(r.randint(0, 6))])


def matrix(element, bounds=False):
    """Arrays of two dimensions; with `bounds`, some arrays do not begin at 1."""
    def make(r):
        high, wide = r.randint(1, 3), r.randint(1, 4)
        rows = [array_text([None if r.random() < 0.1 else element(r) for _ in range(wide)]) for _ in range(high)]
        low = r.choice([0, 1, 2, -5]) if bounds and r.random() < 0.2 else 1
        head = "" if low == 1 else f"[{low}:{low + high - 1}][1:{wide}]="
        return head + "{" + ",".join(rows) + "}"
    return make


case("int4_array", "int4[]", "INT64[]", ["{1,-2147483648,2147483647}", "{}", "{1,NULL,3}", "[2:3]={1,2}", "[0:1]={1,2}", "{{1,2},{3,4}}", "{NULL}"],
     array(integers(32)[1]), kind=["integer", ","])
case("int8_array", "int8[]", "INT64[]", ["{9223372036854775807}", "{}"], array(integers(64)[1], 0), kind=["integer", ","])
case("text_array", "text[]", "STRING[]", ['{"a,b","","NULL","null",NULL}', "{}", '{"\\\\","\\"","{}"," "}', "{{a,b},{c,NULL}}", "[5:5]={x}"],
     array(text), kind=["text", ","])
case("uuid_array", "uuid[]", "STRING[]", ["{0cf81f90-3840-2e85-910c-fad17d0051b3,NULL}", "{0cf81f90-3840-2e85-910c-fad17d0051b3}"],
     array(lambda r: str(uuid.UUID(int=r.getrandbits(128)))), kind=["text", ","])
case("numeric_array", "numeric(10,2)[]", "NUMERIC(10,2)[]", ["{1.10,-0.01}", "{NaN}", "{}"], array(number(8, 2)), kind=["decimal", ","])
case("float8_array", "float8[]", "FLOAT64[]", ["{NaN,Infinity,-0,5e-324}"], array(lambda r: repr(r.uniform(-1e9, 1e9))), kind=["float", ","])
case("bool_array", "bool[]", "BOOL[]", ["{t,f}", "{NULL}"], array(lambda r: r.choice("tf")), kind=["bool", ","])
case("date_array", "date[]", "DATE[]", ["{2024-02-29}", "{infinity}", "{10000-01-01}", "{9999-12-31,0001-01-01}"], array(day, 0), kind=["date", ","])
case("timestamptz_array", "timestamptz[]", "TIMESTAMP[]", ['{"2024-02-29 12:34:56.123456+05:30"}', "{infinity}"],
     array(lambda r: moment(r, "+00"), 0), kind=["moment", ","])
case("timestamp_array", "timestamp[]", "DATETIME[]", ['{"2024-02-29 12:34:56.123456"}', "{infinity}"], array(moment, 0), kind=["moment", ","])
case("time_array", "time[]", "TIME[]", ["{23:59:59.999999}", "{24:00:00}"], array(clock, 0), kind=["time", ","])
case("bytea_array", "bytea[]", "BYTES[]", ['{"\\\\x00ff",""}', "{}"], array(lambda r: "\\x" + r.randbytes(5).hex(), 0), kind=["bytes", ","])
case("json_array", "json[]", "JSON[]", ['{"{\\"a\\": 1.10,  \\"a\\": 2}"}', "{}"], array(good_document, 0), kind=["text", ","])
case("jsonb_array", "jsonb[]", "JSON[]", ['{"{\\"a\\": 1.10}"}'], array(good_document, 0), kind=["text", ","])
case("enum_array", "mood[]", "STRING[]", ['{sad,ok,"über 😀"}', "{}"], array(lambda r: r.choice(["sad", "ok", "with \"quotes\""])), kind=["text", ","])
case("inet_array", "inet[]", "STRING[]", ["{10.0.0.1/8,::1,1.2.3.4}"], array(lambda r: ".".join(str(r.randrange(256)) for _ in range(4)), 0), kind=["inet", ","])
case("interval_array", "interval[]", "INTERVAL[]", ['{"1 year 2 mons","-00:00:00.5"}', '{"1 day","3660001 days"}', '{"10000 years","87840000:00:00.000001"}'],
     array(lambda r: duration(r, 10**9), 0), kind=["interval", ","])
case("tstzrange_array", "tstzrange[]", "RANGE<TIMESTAMP>[]", ['{"[2024-01-01,2024-02-01)",empty}', '{"[2024-01-01,2024-02-01)","(,)"}', '{"[2024-01-01,infinity)"}', "{}"],
     array(range_of(lambda r: usual_moment(r) + "+00", str), 0), kind=["range", ","])
case("box_array", "box[]", "STRING[]", ["{(3,4),(1,2);(2,2),(1,1)}"], kind=["text", ";"])
case("money_array", "money[]", "NUMERIC[]", ["{1.50,-2.25}"], array(number(9, 2), 0), kind=["decimal", ","], asked="v::numeric[]")
case("array_as_text", "int4[]", "STRING", ["{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}", "{}"], matrix(integers(32)[1], bounds=True), wanted="STRING")
case("int4_matrix", "int4[][]", "JSON", ["{{1,2},{3,4}}", "{{1,NULL},{NULL,4}}", "{}", "{1,2}", "{{{1}},{{2}}}", "[2:3]={1,2}", "[1:1][0:1]={{1,2}}"], matrix(integers(32)[1], bounds=True), kind=["integer", ","])
case("text_matrix", "text[][]", "JSON", ["{{a,b},{c,NULL}}", '{{"x,y","\\"q\\""},{"😀",""}}', "{}"],
     matrix(lambda r: text(r, 5)), kind=["text", ","])
case("numeric_matrix", "numeric[][]", "JSON", [f"{{{{1.10,{LONG}}},{{0.001,-5}}}}"], matrix(number(60, 60)), kind=["decimal", ","])

# Domains and composites

case("domain_text", "email", "STRING", ["a@b", "é@é"], lambda r: text(r, 5) + "@" + text(r, 5), setup="CREATE DOMAIN email AS varchar(100) CHECK (value LIKE '%@%')")
case("domain_of_domain", "cents", "NUMERIC(12,2)", ["1.10", "NaN", "-9999999999.99"], number(10, 2), kind="decimal",
     setup="CREATE DOMAIN amounts AS numeric(12,2); CREATE DOMAIN cents AS amounts")
case("domain_array", "tags", "STRING[]", ["{a,b}", "{}", "{a,NULL}"], array(text), kind=["text", ","], setup="CREATE DOMAIN tags AS text[]")
case("array_of_domain", "email[]", "STRING[]", ["{a@b,c@d}"], array(lambda r: text(r, 3) + "@", 0), kind=["text", ","])
PAIR = {"a": "integer", "b c": "text", "d": "decimal"}
case("composite", "pair", "JSON", ['(1,"x ""y"", z",1.10)', "(,,)", f'(-5,"",{LONG})', '(7,"é😀\\\\",0.000)'],
     lambda r: f'({r.randint(-9, 9)},"{digits(r, 9)}",{number(30, 30)(r)})', kind=PAIR, setup='CREATE TYPE pair AS (a int, "b c" text, d numeric)')
case("composite_deep", "outer_pair", "JSON", ['("(1,x,2.50)","{1,NULL,3}","{""k"": 1.10, ""n"": 12345678901234567890123}","2024-02-29 12:34:56.123456")'], lambda r: f'("({r.randint(-9, 9)},{digits(r, 5)},{number(9, 9)(r)})","{{{r.randint(-9, 9)},NULL}}","{{""k"": [{r.random()!r}]}}","{usual_moment(r)}")',
     kind={"p": PAIR, "l": ["integer", ","], "j": "json", "t": "moment"}, setup="CREATE TYPE outer_pair AS (p pair, l int[], j json, t timestamp)")
case("composite_array", "pair[]", "JSON", ['{"(1,x,2.50)","(,,)"}', "{}", "{NULL}"], array(lambda r: f'({r.randint(-9, 9)},"{digits(r, 9)}",{number(30, 30)(r)})'), kind=[PAIR, ","])
case("composite_as_text", "pair", "STRING", ['(1,"x ""y"", z",1.10)', "(,,)"], lambda r: f'({r.randint(-9, 9)},"{digits(r, 9)}",{number(30, 30)(r)})', wanted="STRING")

# Extensions

def pairs(r):
    def quoted(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return ", ".join(f"{quoted(text(r, 6))}=>{r.choice(['NULL', quoted(text(r, 9))])}" for _ in range(r.randrange(4)))


case("hstore", "hstore", "JSON", ['"a"=>"1", "b"=>NULL', "", '"é \\"q\\" \\\\"=>"\\"x\\""'], pairs, kind="hstore", extension="hstore")
case("ltree", "ltree", "STRING", ["a.b.c", "", "Top.Science_1"], lambda r: ".".join(digits(r, 3) for _ in range(3)), extension="ltree")
case("lquery", "lquery", "STRING", ["*.a|b.*{1,2}"], lambda r: ".".join(r.choice(["*", "a*", "!b", "*{1,3}", "c|d"]) for _ in range(3)), extension="ltree")
case("ltxtquery", "ltxtquery", "STRING", ["a & b"], extension="ltree")
case("cube", "cube", "STRING", ["(1, 2, 3)", "(0.30000000000000004, 1e300),(1, 2)"], lambda r: f"({r.random()!r}, {r.uniform(-1e9, 1e9)!r}),({r.random()!r}, 2)", extension="cube")
case("query_int", "query_int", "STRING", ["1&(2|3)"], lambda r: f"{r.randrange(9)}&({r.randrange(9)}|!{r.randrange(9)})", extension="intarray")
case("vector", "vector(3)", "FLOAT64[]", ["[1,2,3]", "[0.1,-0.5,1e-30]"], lambda r: f"[{r.random():.7g},{r.random():.7g},-1]", kind="vector", extension="vector")
case("geometry", "geometry(Geometry,4326)", "GEOGRAPHY",
     ["POINT(1 2)", "POINT(13.377704 52.516275)", "LINESTRING(0 0,1 1,2 0)", "POLYGON((0 0,0 1,1 1,1 0,0 0))", "MULTIPOINT((1 2),(3 4))", "POINT EMPTY",
      "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))", "POINT(0.30000000000000004 -0.1)", "POINT(181 0)", "POINT(0 90.1)", "POINT(NaN 1)", "LINESTRING EMPTY",
      "POLYGON((0 0,0 9,9 9,9 0,0 0),(1 1,2 1,2 2,1 2,1 1))", "MULTIPOLYGON(((0 0,0 1,1 1,0 0)),((5 5,5 6,6 6,5 5)))", "POINT(-180 90)",
      "MULTILINESTRING((0 0,1 1),(2 2,3 3))", "GEOMETRYCOLLECTION EMPTY", "CIRCULARSTRING(0 0,1 1,2 0)", "POINT(5e-324 -0)"],
     lambda r: f"POINT({r.uniform(-180, 180)!r} {r.uniform(-90, 90)!r})", kind="geometry", extension="postgis", through="ST_GeomFromText({}, 4326)",
     asked="ST_AsText(v, 400)")
case("geometry_any", "geometry", "GEOGRAPHY",
     ["SRID=4326;POINT(1 2)", "SRID=3857;POINT(1 2)", "POINT(1 2)", "SRID=4326;POINT(1 2 3)", "SRID=4326;POINTM(1 2 3)", "SRID=4326;LINESTRING(1 2 3 4,5 6 7 8)"],
     kind="ewkt", extension="postgis", through="ST_GeomFromEWKT({})", asked="ST_AsEWKT(v)")
case("geography", "geography", "GEOGRAPHY", ["POINT(1 2)", "LINESTRING(0 0,1 1)"], lambda r: f"POINT({r.uniform(-180, 180)!r} {r.uniform(-90, 90)!r})",
     kind="geometry", extension="postgis", asked="ST_AsText(v, 400)")
case("halfvec", "halfvec(2)", "FLOAT64[]", ["[1,2.5]", "[-0.333,65504]"], lambda r: f"[{r.uniform(-1, 1):.4g},{r.uniform(-60000, 60000):.4g}]", kind="vector", extension="vector")
case("sparsevec", "sparsevec(5)", "STRING", ["{1:1.5,3:2}/5", "{}/5"], lambda r: f"{{1:{r.uniform(1, 2):.7g},4:{r.uniform(-2, -1):.7g}}}/5", extension="vector")
case("seg", "seg", "STRING", ["1.50 .. 2.5", "~3", "1 .. "], lambda r: f"{r.randint(0, 99)}.{r.randint(1, 9)} .. {r.randint(100, 200)}.50", extension="seg")
case("isbn13", "isbn13", "STRING", ["978-0-393-04002-9"], extension="isn")
case("money_as_text", "money", "STRING", ["-1234.56", "99999999.99"], kind="text", wanted="STRING", asked="v::numeric")
case("composite_of_money", "priced", None, ["(1,2.50)"], says=("money", "STRING"), setup="CREATE TYPE priced AS (id int, price money)")
