"""Tables that other people's programs write, and that have to arrive value for value."""

import dataclasses
import datetime
import decimal
import random

D = decimal.Decimal
UTC = datetime.timezone.utc


@dataclasses.dataclass
class Column:
    """A column of Python's values, and the type that the program tells from what is written of it."""

    name: str
    told: str
    values: list


LONG = "long ü " * 20_000
TEXTS = [
    "plain", "", None, "a,b", "a;b", "a|b", "tab\tbed", 'say "hi"', '"', '""', '","', "line\nfeed", "crlf\r\nend", "\n", "it's", "#x", " lead",
    "trail ", "  ", "\t", "back\\slash", "\\", "\\N", "\\n", "ends\\", 'q\\"', "NULL", "null", "NaN", "NA", "0123", "1e5", "+1", "1,000", "2024-13-01",
    "true", "grüße", "😀👩‍👩‍👧", "e\u0301", "\u00a0", "\u2028", "\ufeffmark", "零", "🇩🇪", "=1+1", "-", LONG,
]


def repeated(values, count):
    """So many values, from the beginning again where there are too few."""
    return [values[at % len(values)] for at in range(count)]


def texts():
    """Texts of all kinds, in two columns so that each stands at both ends of a record."""
    return [
        Column("a", "STRING", TEXTS), Column("number", "INT64", list(range(len(TEXTS)))), Column("b", "STRING", TEXTS[::-1]),
    ]


def typed():
    """A column of each type that is told."""
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    columns = [
        Column("whole", "INT64", [0, -1, 2**63 - 1, -(2**63), None, 10, 99]),
        Column("money", "NUMERIC", [D("0.01"), D("-1.10"), D("99999999999999999999999999999.999999999"), None, D("12.50")]),
        Column("large", "BIGNUMERIC", [D("0." + "1" * 38), D("9" * 38 + "." + "9" * 37 + "8"), None, D("-1.5")]),
        Column("truth", "BOOL", [True, False, None]),
        Column("day", "DATE", [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None, datetime.date(2024, 2, 29)]),
        Column("at", "DATETIME", [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), None,
                                  datetime.datetime(2024, 2, 29, 12, 0, 0, 1)]),
        Column("moment", "TIMESTAMP", [datetime.datetime(2024, 2, 29, 12, tzinfo=UTC), datetime.datetime(1969, 12, 31, 23, 59, 59, 500000, zone),
                                       None, datetime.datetime(1900, 1, 1, tzinfo=zone)]),
        Column("clock", "TIME", [datetime.time(0), datetime.time(23, 59, 59, 999999), None, datetime.time(12, 30, 1)]),
    ]
    count = 24
    return [dataclasses.replace(column, values=repeated(column.values, count)) for column in columns]


def western():
    """Texts that all character sets of western Europe have."""
    return [Column("schl\u00fcssel", "STRING", ["gr\u00fc\u00dfe", "\u00ff\u00a1", "a,\u00e9", None, "line\n\u00a7"]), Column("b", "INT64", [1, 2, 3, 4, 5])]


def wide():
    """300 columns."""
    r = random.Random(300)
    return [Column(f"column {number}", "INT64", [r.randrange(1000) for _ in range(5)]) for number in range(300)]


def single():
    """One column, whose NULL is a blank line."""
    return [Column("only", "STRING", ["x", None, "y", None, None, "z"])]


def empty():
    """No rows."""
    return [Column("a", "STRING", []), Column("b", "STRING", [])]


TABLES = {"texts": texts, "typed": typed, "western": western, "wide": wide, "single": single, "empty": empty}


def rows_of(columns):
    return list(zip(*(column.values for column in columns)))
