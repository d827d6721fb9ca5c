"""What a value has to be in the target, computed from the server's own text for it.

This module shares no code with Sluice: texts are parsed again, by PostgreSQL's rules for its
output (https://www.postgresql.org/docs/current/datatype.html) and BigQuery's for what a type holds.
"""

import decimal
import json
import re
import struct
from decimal import Decimal

decimal.getcontext().prec = 5000
decimal.getcontext().Emax = 200_000
decimal.getcontext().Emin = -200_000

MICROS_A_DAY = 86_400_000_000


class Invalid:
    """The target cannot hold the value."""

    def __repr__(self):
        return "invalid"


INVALID = Invalid()


# Dates and times


def days_of(year, month, day):
    """Days since 1970-01-01 in the proleptic Gregorian calendar, for any year."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def date_of(text):
    """Days since 1970, or INVALID; `text` in the style ISO."""
    if "infinity" in text or text.endswith(" BC"):
        return INVALID
    year, month, day = (int(part) for part in text.split("-"))
    return days_of(year, month, day) if 1 <= year <= 9999 else INVALID


def micros_of(text):
    hours, minutes, seconds = text.split(":")
    whole, _, fraction = seconds.partition(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0") or 0)


def time_of(text):
    micros = micros_of(text)
    return INVALID if micros >= MICROS_A_DAY else micros


def moment_of(text):
    """Microseconds since 1970, or INVALID. The zone is always UTC, because the session sets it."""
    text = text.removesuffix("+00")
    if "infinity" in text or text.endswith("BC") or text.endswith("+00 BC"):
        return INVALID
    day, _, clock = text.partition(" ")
    days = date_of(day)
    return INVALID if days is INVALID else days * MICROS_A_DAY + micros_of(clock)


def range_of(text, moments):
    """Returns the two bounds of a range, with None for an open one, or INVALID if BigQuery cannot hold the range."""
    if text == "empty":
        return INVALID
    bounds = []
    for bound in text[1:-1].split(","):
        bound = bound.strip('"')
        bounds.append(None if not bound else moment_of(bound) if moments else date_of(bound))
    lower, upper = bounds
    if INVALID in bounds or lower is not None and text[0] != "[" or upper is not None and text[-1] != ")":
        return INVALID
    return bounds


RANGE = re.compile(r"\[(UNBOUNDED|[-:. 0-9]+?)(\+00)?, (UNBOUNDED|[-:. 0-9]+?)(\+00)?\)")


def literal_range_of(text, of):
    """The same of a text that BigQuery reads as RANGE<of>: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#range_literals"""
    found = RANGE.fullmatch(text)
    if not found:
        raise ValueError("not a range")
    bounds = []
    for bound, zone in (found.group(1, 2), found.group(3, 4)):
        if (zone is not None) != (of == "TIMESTAMP" and bound != "UNBOUNDED"):
            raise ValueError("a zone that is missing or not known")
        bounds.append(None if bound == "UNBOUNDED" else date_of(bound) if of == "DATE" else moment_of(bound))
    return bounds


UNITS = {"year": 12, "mon": 1, "day": None}


def interval_of(text):
    """(months, days, microseconds) of a finite interval in the style `postgres`."""
    months, days, micros = 0, 0, 0
    words = text.split()
    while words:
        number = words.pop(0)
        if ":" in number:
            sign = -1 if number.startswith("-") else 1
            micros = sign * micros_of(number.lstrip("+-"))
            continue
        unit = words.pop(0).removesuffix("s")
        if unit == "day":
            days = int(number)
        else:
            months += int(number) * UNITS[unit]
    return months, days, micros


def bounded_interval_of(text):
    """The same, or INVALID if BigQuery's INTERVAL does not hold it."""
    if "infinity" in text:
        return INVALID
    months, days, micros = interval_of(text)
    held = abs(months) <= 120_000 and abs(days) <= 3_660_000 and abs(micros) <= 3_660_000 * MICROS_A_DAY
    return (months, days, micros) if held else INVALID


ISO_INTERVAL = re.compile(
    r"P(?=.)(?:([+-]?\d+)Y)?(?:([+-]?\d+)M)?(?:([+-]?\d+)D)?"
    r"(?:T(?=.)(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?)(\d+)(?:\.(\d{1,6}))?S)?)?"
)


def iso_interval_of(text):
    """(months, days, microseconds) of a text in ISO 8601, as BigQuery's INTERVAL reads it."""
    found = ISO_INTERVAL.fullmatch(text)
    if not found:
        raise ValueError("not an ISO 8601 interval")
    years, months, days, hours, minutes, sign, seconds, fraction = found.groups()
    micros = int(seconds or 0) * 1_000_000 + int((fraction or "").ljust(6, "0") or 0)
    micros = -micros if sign == "-" else micros
    micros += (int(hours or 0) * 60 + int(minutes or 0)) * 60_000_000
    return int(years or 0) * 12 + int(months or 0), int(days or 0), micros


# Numbers


def decimal_of(text, precision, scale):
    """The number, or INVALID if it has more digits than that."""
    value = Decimal(text)
    if not value.is_finite():
        return INVALID
    sign, digits, exponent = value.as_tuple()
    digits = list(digits)
    while len(digits) > 1 and digits[-1] == 0 and exponent < 0:
        digits.pop()
        exponent += 1
    whole = len(digits) + exponent if any(digits) else 0
    if -exponent > scale or whole > precision - scale:
        return INVALID
    return value


def integer_of(text):
    value = Decimal(text)
    if not value.is_finite() or value != value.to_integral_value():
        return INVALID
    value = int(value)
    return value if -(2**63) <= value < 2**63 else INVALID


def float_of(text, single):
    """The bits of a double. All NaNs are equal, whatever their payload."""
    value = float(text)
    if single:
        value = struct.unpack(">f", struct.pack(">f", value))[0]
    return bits(value)


def bits(value):
    return "NaN" if value != value else struct.pack(">d", value).hex()


# Structures


def array_of(text, delimiter=","):
    """(nested lists of texts and None, whether each dimension begins at 1)."""
    bounds = re.match(r"((?:\[-?\d+:-?\d+\])+)=", text)
    usual = True
    if bounds:
        usual = all(low == "1" for low in re.findall(r"\[(-?\d+):", bounds.group(1)))
        text = text[bounds.end():]
    value, rest = braces(text, 0, delimiter)
    if rest != len(text):
        raise ValueError("text after the array")
    return value, usual


def braces(text, at, delimiter):
    assert text[at] == "{", text
    at += 1
    items = []
    if text[at] == "}":
        return items, at + 1
    while True:
        if text[at] == "{":
            item, at = braces(text, at, delimiter)
        elif text[at] == '"':
            item, at = quoted(text, at)
        else:
            end = at
            while text[end] not in delimiter + "}":
                end += 2 if text[end] == "\\" else 1
            item = re.sub(r"\\(.)", r"\1", text[at:end], flags=re.S)
            item, at = (None if item.upper() == "NULL" else item), end
        items.append(item)
        if text[at] == "}":
            return items, at + 1
        assert text[at] == delimiter, text
        at += 1


def quoted(text, at):
    at += 1
    found = []
    while True:
        if text[at] == "\\":
            found.append(text[at + 1])
            at += 2
        elif text[at] == '"' and text[at + 1:at + 2] == '"':
            found.append('"')
            at += 2
        elif text[at] == '"':
            return "".join(found), at + 1
        else:
            found.append(text[at])
            at += 1


def fields_of(text):
    """The texts of a composite's fields; None for NULL."""
    assert text[0] == "(" and text[-1] == ")", text
    fields, at = [], 1
    while True:
        if text[at] in ",)":
            field = None
        else:
            # Only a part of a field may be quoted.
            field = ""
            while text[at] not in ",)":
                if text[at] == '"':
                    part, at = quoted(text, at)
                    field += part
                elif text[at] == "\\":
                    field, at = field + text[at + 1], at + 2
                else:
                    field, at = field + text[at], at + 1
        fields.append(field)
        if at == len(text) - 1:
            return fields
        at += 1


def shape_of(text):
    """A shape in WKT or GeoJSON as (kind, coordinates as bits), or INVALID if GEOGRAPHY has no such shape."""
    if text.startswith("{"):
        found = json.loads(text)
        if found["type"] == "GeometryCollection":
            return found["type"].upper(), [shape_of(json.dumps(part)) for part in found["geometries"]]
        return found["type"].upper(), bits_of(found["coordinates"])
    shape, rest = well_known(text.upper(), 0)
    if shape is not INVALID and rest != len(text):
        raise ValueError("text after the shape")
    return shape


def bits_of(coordinates):
    if isinstance(coordinates, list):
        return [bits_of(part) for part in coordinates]
    return bits(float(coordinates))


def well_known(text, at):
    """The shape that begins at `at`, and the position where it ends."""
    kind = re.compile(r"[A-Z]+").match(text, at)
    at = kind.end()
    while text[at] == " ":
        at += 1
    if text[at] != "(":
        return INVALID, len(text)
    if kind.group() != "GEOMETRYCOLLECTION":
        coordinates, at = tuples(text, at, kind.group() == "MULTIPOINT")
        if kind.group() == "POINT":
            [coordinates] = coordinates
        return (kind.group(), coordinates), at
    parts = []
    while text[at] != ")":
        part, at = well_known(text, at + 1)
        parts.append(part)
    return (kind.group(), parts), at + 1


def tuples(text, at, points):
    """The items in a pair of parentheses; in a MULTIPOINT each point may have its own parentheses."""
    items = []
    while text[at] != ")":
        at += 1
        while text[at] == " ":
            at += 1
        if text[at] == "(":
            item, at = tuples(text, at, False)
            items.append(item[0] if points else item)
        else:
            end = re.compile(r"[^,)]*").match(text, at).end()
            items.append([bits(float(word)) for word in text[at:end].split()])
            at = end
    return items, at + 1


SHAPES = ("POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION")


def on_earth(shape):
    """Whether every coordinate is a longitude and a latitude."""
    if shape is INVALID:
        return False
    if isinstance(shape, tuple):
        if shape[0] not in SHAPES:
            return False
        return all(map(on_earth, shape[1])) if shape[0] == "GEOMETRYCOLLECTION" else on_earth(shape[1])
    if isinstance(shape[0], list):
        return all(map(on_earth, shape))
    if len(shape) != 2 or "NaN" in shape:
        return False
    longitude, latitude = (struct.unpack(">d", bytes.fromhex(word))[0] for word in shape)
    return abs(longitude) <= 180 and abs(latitude) <= 90


class Number(str):
    """A number of a JSON document, as it is written."""


def json_of(text):
    """A document whose objects are lists of pairs and whose numbers are texts."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=bad_constant, object_pairs_hook=lambda pairs: ("{}", pairs)
    )


def bad_constant(word):
    raise ValueError(f"{word} is not JSON")


def same_document(found, expected, kind):
    """Whether a part of a JSON document has the value of the server's text.

    `kind` is a scalar's function (see SCALARS), `[kind, delimiter]` for an array, or a dict of the
    fields' kinds for a composite.
    """
    if expected is None:
        return found is None
    if isinstance(kind, list):
        if isinstance(expected, str):
            expected, _ = array_of(expected, kind[1])
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(same_document(f, e, kind if isinstance(e, list) else kind[0]) for f, e in zip(found, expected))
        )
    if isinstance(kind, dict):
        fields = fields_of(expected)
        if not (isinstance(found, tuple) and [name for name, _ in found[1]] == list(kind)):
            return False
        return all(same_document(f, e, k) for (_, f), e, k in zip(found[1], fields, kind.values()))
    if kind == "json":
        return found == json_of(expected)
    if kind == "bool":
        return found is (expected in ("t", "true"))
    if kind == "integer":
        return isinstance(found, Number) and found == expected
    if kind == "decimal":
        if expected in ("NaN", "Infinity", "-Infinity"):
            return type(found) is str and found == expected
        return isinstance(found, Number) and Decimal(found) == Decimal(expected)
    if kind in ("float", "single"):
        if expected in ("NaN", "Infinity", "-Infinity"):
            return type(found) is str and found == expected
        return isinstance(found, Number) and float_of(found, kind == "single") == float_of(expected, kind == "single")
    if kind == "moment":
        return type(found) is str and found.replace("T", " ").removesuffix(":00") == expected.removesuffix(":00") or found == expected
    return type(found) is str and found == expected


def hstore_of(text):
    """The pairs of an hstore, sorted."""
    pairs, at = [], 0
    while at < len(text):
        key, at = quoted(text, at)
        assert text[at:at + 2] == "=>", text
        at += 2
        if text[at] == '"':
            value, at = quoted(text, at)
        else:
            value, at = None, at + 4
        pairs.append((key, value))
        at += 2
    return sorted(pairs, key=lambda pair: pair[0])
