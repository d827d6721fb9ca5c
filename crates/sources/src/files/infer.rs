//! Telling from a sample what the texts of a column are.

use sluice_contracts::documents::{Decimal, TargetType};

use super::kind::Kind;
use super::value;

/// The kinds that text may have, the narrowest first.
const CANDIDATES: [Kind; 8] = [
    Kind::Integer,
    Kind::Decimal,
    Kind::Float,
    Kind::Boolean,
    Kind::Date,
    Kind::Datetime,
    Kind::Timestamp,
    Kind::Time,
];
/// More digits than any type has, so that only the later ones of a value count.
const ALL_DIGITS: Decimal = Decimal::BIGNUMERIC;

/// What was seen of a column's values.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Whether all values so far may be of each of [`CANDIDATES`].
    may_be: [bool; CANDIDATES.len()],
    /// Digits before and after the point, of decimals.
    whole: usize,
    scale: usize,
    /// Whether a number without an exponent has what NUMERIC does not hold: programs print doubles so.
    has_double: bool,
    /// Values that are not NULL.
    values: u64,
    json: Tokens,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a token that may have been seen")]
/// Which tokens of JSON a column's values begin with.
#[derive(Debug, Clone, Copy, Default)]
struct Tokens {
    string: bool,
    number: bool,
    float: bool,
    truth: bool,
    nested: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            may_be: [true; CANDIDATES.len()],
            whole: 0,
            scale: 0,
            has_double: false,
            values: 0,
            json: Tokens::default(),
        }
    }
}

impl Seen {
    /// Adds a text.
    pub(super) fn add(&mut self, text: &[u8]) {
        self.values += 1;
        for (may_be, kind) in self.may_be.iter_mut().zip(CANDIDATES) {
            *may_be = *may_be && is(kind, text);
        }
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
        self.whole = self.whole.max(point);
        self.scale = self.scale.max(digits.len().saturating_sub(point + 1));
        let is_beyond = digits.len().saturating_sub(point + 1) > 9 || text.starts_with(b"-0");
        self.has_double |= is_beyond && value::float(Kind::Float, text).is_ok();
    }

    /// Adds a value of JSON, as it stands in the file.
    pub(super) fn add_json(&mut self, raw: &str) {
        match raw.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'"') => {
                self.json.string = true;
                // No kind but text has characters that JSON escapes.
                self.add(raw.trim_matches('"').as_bytes());
            }
            Some(b't' | b'f') => {
                self.json.truth = true;
                self.add(raw.as_bytes());
            }
            Some(b'{' | b'[') => {
                self.json.nested = true;
                self.values += 1;
            }
            Some(_) => {
                self.json.number = true;
                self.json.float |= raw.contains(['e', 'E']);
                self.add(raw.as_bytes());
            }
        }
    }

    /// What the texts of the column are, and the type that they become.
    pub(super) fn told(&self) -> (Kind, TargetType) {
        if self.values == 0 {
            return (Kind::Text, TargetType::String);
        }
        let first = CANDIDATES.into_iter().zip(self.may_be).find(|(_, may_be)| *may_be);
        let kind = first.map_or(Kind::Text, |(kind, _)| kind);
        let target = kind.target(self.digits());
        let float = self.may_be_float();
        match kind {
            // More digits than NUMERIC has are seldom meant as such.
            Kind::Decimal if target != TargetType::Numeric && float && self.has_double => {
                return (Kind::Float, TargetType::Float64);
            }
            // An exponent alone is text, which may mean something else.
            Kind::Float if !self.has_double => return (Kind::Text, TargetType::String),
            _ => {}
        }
        // Decimals of more digits than any type has stay text.
        if target == TargetType::String { (Kind::Text, target) } else { (kind, target) }
    }

    /// The same of values of JSON.
    pub(super) fn told_of_json(&self) -> (Kind, TargetType) {
        let Tokens { string, number, float, truth, nested } = self.json;
        let kinds = [string, number, truth, nested].into_iter().filter(|seen| *seen).count();
        match kinds {
            0 => (Kind::Text, TargetType::String),
            1 if nested => (Kind::Json, TargetType::Json),
            1 if number => match self.told() {
                // In JSON, a number with an exponent can be nothing else.
                (Kind::Text, _) if float && self.may_be_float() => {
                    (Kind::Float, TargetType::Float64)
                }
                (Kind::Text, _) => (Kind::Json, TargetType::Json),
                told => told,
            },
            1 if string => match self.told() {
                // In quotes, digits are text.
                (Kind::Integer | Kind::Decimal | Kind::Float | Kind::Boolean, _) => {
                    (Kind::Text, TargetType::String)
                }
                told => told,
            },
            1 => self.told(),
            _ => (Kind::Json, TargetType::Json),
        }
    }

    fn may_be_float(&self) -> bool {
        let mut kinds = CANDIDATES.into_iter().zip(self.may_be);
        kinds.any(|(kind, may_be)| kind == Kind::Float && may_be)
    }

    fn digits(&self) -> Decimal {
        let digits = |count: usize| u8::try_from(count).unwrap_or(u8::MAX / 2);
        let (whole, scale) = (digits(self.whole).min(100), digits(self.scale).min(100));
        Decimal { precision: whole + scale, scale }
    }
}

fn is(kind: Kind, text: &[u8]) -> bool {
    match kind {
        Kind::Integer => value::integer(kind, text).is_ok(),
        Kind::Decimal => value::decimal(kind, text, ALL_DIGITS).is_ok(),
        Kind::Boolean => value::boolean(kind, text).is_ok(),
        Kind::Date => value::date(kind, text).is_ok(),
        Kind::Time => value::time(kind, text).is_ok(),
        Kind::Datetime => value::moment(kind, TargetType::Datetime, text).is_ok(),
        Kind::Timestamp => value::moment(kind, TargetType::Timestamp, text).is_ok(),
        Kind::Float => value::float(kind, text).is_ok(),
        Kind::Text | Kind::Json | Kind::Any => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> (Kind, TargetType) {
        let mut seen = Seen::default();
        for text in texts {
            seen.add(text.as_bytes());
        }
        seen.told()
    }

    fn told_of_json(values: &[&str]) -> TargetType {
        let mut seen = Seen::default();
        for value in values {
            seen.add_json(value);
        }
        seen.told_of_json().1
    }

    #[test]
    fn a_text_is_a_number_or_a_day_only_if_nothing_of_it_is_lost() {
        use TargetType as T;
        for (texts, kind, target) in [
            (&["1", "-20", "0"][..], Kind::Integer, T::Int64),
            (&["1", "0123"], Kind::Text, T::String),
            (&["1", "+1"], Kind::Text, T::String),
            (&["1e5"], Kind::Text, T::String),
            (&["1.5", "1e5"], Kind::Text, T::String),
            (&["3.3000000000000003", "1e-07"], Kind::Float, T::Float64),
            (&["1.5", "-0.0"], Kind::Float, T::Float64),
            (&["NaN"], Kind::Text, T::String),
            (&["1,000"], Kind::Text, T::String),
            (&["1", "2.50"], Kind::Decimal, T::Numeric),
            (&["0.1234567891"], Kind::Float, T::Float64),
            (&["1", "3.3000000000000003"], Kind::Float, T::Float64),
            (&["0.12345678912345678912"], Kind::Decimal, T::Bignumeric),
            (&["9223372036854775808"], Kind::Decimal, T::Numeric),
            (&["123456789012345678901234567890123456789012345"], Kind::Text, T::String),
            (&["true", "FALSE"], Kind::Boolean, T::Bool),
            (&["true", "0"], Kind::Text, T::String),
            (&["2026-11-30"], Kind::Date, T::Date),
            (&["2024-13-01"], Kind::Text, T::String),
            (&["2026-11-30", "2026-11-30 10:00:00"], Kind::Text, T::String),
            (&["2026-11-30 10:00:00"], Kind::Datetime, T::Datetime),
            (&["2026-11-30T10:00:00Z"], Kind::Timestamp, T::Timestamp),
            (&["2026-11-30T10:00:00Z", "2026-11-30T10:00:00"], Kind::Text, T::String),
            (&["10:00:00"], Kind::Time, T::Time),
            (&["10:00"], Kind::Text, T::String),
            (&[], Kind::Text, T::String),
            (&[""], Kind::Text, T::String),
        ] {
            assert_eq!(told(texts), (kind, target), "{texts:?}");
        }
    }

    #[test]
    fn values_of_json_are_told_by_their_tokens() {
        use TargetType as T;
        for (values, target) in [
            (&["1", "null", "-3"][..], T::Int64),
            (&["1", "2.5"], T::Numeric),
            (&["1", "2.5e3"], T::Float64),
            (&["1e400"], T::Json),
            (&["1e-400"], T::Json),
            (&["\"0.1234567891\""], T::String),
            (&["9007199254740993", "1e3"], T::Json),
            (&["\"1\""], T::String),
            (&["\"2026-11-30\"", "null"], T::Date),
            (&["\"a\\\"\""], T::String),
            (&["true", "false"], T::Bool),
            (&["\"true\""], T::String),
            (&["{\"a\": 1}"], T::Json),
            (&["[1]", "null"], T::Json),
            (&["1", "\"a\""], T::Json),
            (&["null"], T::String),
            (&[], T::String),
        ] {
            assert_eq!(told_of_json(values), target, "{values:?}");
        }
    }
}
