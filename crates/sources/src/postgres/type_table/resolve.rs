//! From a column of the catalogue, and what the job wants of it, to what it becomes.

use sluice_contracts::job::ColumnFile;
use sluice_contracts::schema::{Decimal, TargetType};
use sluice_contracts::{Error, Result};

use super::{ENUM, Row, SERVER_TEXT, Wire};

use TargetType::{Bignumeric, Int64, Numeric, String as Text};

/// What makes a whole array invalid.
const ARRAYS: &str = "NULL elements, more than one dimension, a lower bound other than 1";

/// A column's type as the catalogue has it.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct PgType<'a> {
    /// The text of `format_type()`.
    pub display: &'a str,
    /// `typname` below every domain; of the element for arrays.
    pub base: &'a str,
    /// `typtype` of `base`.
    pub typtype: char,
    /// Of the column or its domain; -1 for none.
    pub typmod: i32,
    /// Whether it is an array of `base`.
    pub array: bool,
}

/// What a column becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Resolved {
    /// Name of the row that reads it.
    pub encoding: String,
    pub target_type: TargetType,
    pub repeated: bool,
    pub decimal: Option<Decimal>,
    /// Which values are invalid.
    pub invalid: Option<String>,
    /// Whether the query has to cast it to `text`.
    pub as_text: bool,
}

/// Finds what a column becomes by its type and by what the job wants of it.
///
/// # Errors
/// `Invalid` where the type is not known, or where the wanted type cannot hold it.
pub(in crate::postgres) fn resolve(
    column: &str,
    pg: &PgType<'_>,
    wanted: Option<&ColumnFile>,
) -> Result<Resolved> {
    let wanted = wanted.and_then(|column| column.target_type);
    let row = match pg.typtype {
        'b' => Row::named(pg.base),
        'e' => Row::named(ENUM),
        _ => None,
    };
    // An array as STRING is one text: it holds what REPEATED cannot.
    let direct = row.filter(|row| !pg.array && row.target(Text).is_some());
    if wanted == Some(Text) && direct.is_none() {
        return Ok(server_text());
    }
    let Some(row) = row else {
        let what = format!("describe column `{column}`: type `{}` is not known", pg.display);
        return Err(Error::invalid(what).hint(format!(
            "set `columns.{column}.type` to `STRING` to load the text that the server makes of it"
        )));
    };
    let (target_type, decimal, invalid) = match row.wire {
        Wire::Numeric => decimal(column, pg, row, wanted)?,
        _ => plain(column, pg, row, wanted)?,
    };
    let invalid = match (pg.array, invalid) {
        (true, Some(invalid)) => Some(format!("{ARRAYS}, {invalid}")),
        (true, None) => Some(ARRAYS.to_owned()),
        (false, invalid) => invalid,
    };
    Ok(Resolved {
        encoding: row.name.to_owned(),
        target_type,
        repeated: pg.array,
        decimal,
        invalid,
        as_text: row.wire == Wire::ServerText,
    })
}

fn server_text() -> Resolved {
    Resolved {
        encoding: SERVER_TEXT.to_owned(),
        target_type: Text,
        repeated: false,
        decimal: None,
        invalid: None,
        as_text: true,
    }
}

type Outcome = (TargetType, Option<Decimal>, Option<String>);

/// A type whose rows of the table say everything.
fn plain(column: &str, pg: &PgType<'_>, row: &Row, wanted: Option<TargetType>) -> Result<Outcome> {
    let target = match wanted {
        None => row.targets.first(),
        Some(to) => row.target(to),
    };
    let target = target.ok_or_else(|| cannot_become(column, pg, row, wanted))?;
    let decimal = matches!(target.to, Numeric | Bignumeric).then_some(Decimal {
        precision: match row.wire {
            Wire::Int2 => 5,
            Wire::Int4 | Wire::Oid => 10,
            _ => 19,
        },
        scale: 0,
    });
    Ok((target.to, decimal, target.invalid.map(str::to_owned)))
}

fn cannot_become(column: &str, pg: &PgType<'_>, row: &Row, wanted: Option<TargetType>) -> Error {
    let mut names: Vec<&str> = row.targets.iter().map(|target| target.to.name()).collect();
    if !names.contains(&Text.name()) {
        names.push(Text.name());
    }
    let known = match names.split_last() {
        Some((last, [])) => format!("`{last}`"),
        Some((last, others)) => format!("`{}` or `{last}`", others.join("`, `")),
        None => String::new(),
    };
    let wanted = wanted.map_or("nothing", TargetType::name);
    Error::invalid(format!(
        "describe column `{column}`: type `{}` cannot become `{wanted}`",
        pg.display
    ))
    .hint(format!("set `columns.{column}.type` to {known}"))
}

/// What a `numeric` becomes: that depends on its digits.
fn decimal(
    column: &str,
    pg: &PgType<'_>,
    row: &Row,
    wanted: Option<TargetType>,
) -> Result<Outcome> {
    let declared = Declared::of(pg.typmod);
    let exact = declared.and_then(Declared::decimal).filter(|d| d.target_type().is_some());
    let outcome = |to, decimal, invalid: String| Ok((to, decimal, Some(invalid)));
    // The server keeps infinity out of a numeric whose size is declared.
    let never = if declared.is_some() { "NaN" } else { "NaN, infinity" };
    match (wanted, exact, declared) {
        (None, Some(exact), _) => {
            outcome(exact.target_type().unwrap_or(Bignumeric), Some(exact), never.to_owned())
        }
        (None, None, Some(Declared { whole, scale })) => Err(Error::invalid(format!(
            "describe column `{column}`: type `{}` has up to {whole} digits before the point and \
             {scale} after it, which neither NUMERIC nor BIGNUMERIC holds",
            pg.display
        ))
        .hint(format!("set `columns.{column}.type` to `STRING`"))),
        (Some(Int64), _, Some(Declared { whole: 0..=18, scale: 0 })) => {
            outcome(Int64, None, never.to_owned())
        }
        (Some(Int64), _, _) => {
            outcome(Int64, None, format!("{never}, fractions, more than 64 bits"))
        }
        (Some(Numeric), Some(exact), _) if exact.target_type() == Some(Numeric) => {
            outcome(Numeric, Some(exact), never.to_owned())
        }
        (Some(Bignumeric), Some(exact), _) => outcome(Bignumeric, Some(exact), never.to_owned()),
        (Some(Numeric), _, _) => {
            let (decimal, beyond) = clipped(declared, Decimal::NUMERIC);
            outcome(Numeric, Some(decimal), format!("{never}, {beyond}"))
        }
        (None | Some(Bignumeric), _, _) => {
            let (decimal, beyond) = clipped(declared, Decimal::BIGNUMERIC);
            outcome(Bignumeric, Some(decimal), format!("{never}, {beyond}"))
        }
        (Some(_), _, _) => Err(cannot_become(column, pg, row, wanted)),
    }
}

/// The digits of a target type, or the declared ones where they are fewer, and which values have
/// more.
fn clipped(declared: Option<Declared>, limit: Decimal) -> (Decimal, String) {
    let most =
        Declared { whole: i32::from(limit.precision - limit.scale), scale: i32::from(limit.scale) };
    let declared = declared.unwrap_or(Declared { whole: i32::MAX, scale: i32::MAX });
    let kept =
        Declared { whole: declared.whole.min(most.whole), scale: declared.scale.min(most.scale) };
    let beyond = match (declared.whole > most.whole, declared.scale > most.scale) {
        (true, true) => {
            format!("more than {} digits before the point or {} after it", most.whole, most.scale)
        }
        (true, false) => format!("more than {} digits before the point", most.whole),
        (false, _) => format!("more than {} digits after the point", most.scale),
    };
    (kept.decimal().unwrap_or(limit), beyond)
}

/// The size of a `numeric(p, s)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Declared {
    /// Digits before the point.
    whole: i32,
    /// Digits after it.
    scale: i32,
}

impl Declared {
    /// Reads a type modifier. Scales below zero and above the precision exist since PostgreSQL 15.
    fn of(typmod: i32) -> Option<Self> {
        let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
        let precision = (packed >> 16) & 0xffff;
        // Eleven bits, the highest of which is the sign.
        let scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
        Some(Self { whole: (precision - scale).max(0), scale: scale.max(0) })
    }

    fn decimal(self) -> Option<Decimal> {
        let precision = u8::try_from(self.whole.checked_add(self.scale)?).ok()?;
        Some(Decimal { precision, scale: u8::try_from(self.scale).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: PgType<'_> =
        PgType { display: "", base: "", typtype: 'b', typmod: -1, array: false };

    fn want(to: TargetType) -> ColumnFile {
        ColumnFile { target_type: Some(to), ..ColumnFile::default() }
    }

    /// `base[(p,s)][[]] [as TYPE]` and `TARGET[(p,s)] [REPEATED] [text] [| invalid]`, or the error.
    fn check(asked: &str, expected: &str) {
        let (kind, wanted) = match asked.split_once(" as ") {
            Some((kind, to)) => {
                (kind, Some(TargetType::ALL.into_iter().find(|t| t.name() == to).unwrap()))
            }
            None => (asked, None),
        };
        let (element, array) = match kind.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (kind, false),
        };
        let (base, typmod) = match element.split_once('(') {
            None => (element, -1),
            Some((base, digits)) => {
                let (p, s) = digits.trim_end_matches(')').split_once(',').unwrap();
                let (p, s): (i32, i32) = (p.parse().unwrap(), s.parse().unwrap());
                (base, ((p << 16) | (s & 0x7ff)) + 4)
            }
        };
        let typtype = match base {
            "mood" => 'e',
            "pair" => 'c',
            _ => 'b',
        };
        let pg = PgType { display: kind, base, typtype, typmod, array };
        let found = match resolve("c", &pg, wanted.map(want).as_ref()) {
            Ok(found) => shown(&found),
            Err(error) => format!("{error}; {}", error.remedy().unwrap()),
        };
        assert_eq!(found, expected, "{asked}");
    }

    fn shown(found: &Resolved) -> String {
        assert_eq!(found.as_text, super::super::as_text(&found.encoding));
        let digits = found.decimal.map(|d| format!("({},{})", d.precision, d.scale));
        let repeated = if found.repeated { " REPEATED" } else { "" };
        let text = if found.as_text { " text" } else { "" };
        let invalid = found.invalid.as_ref().map(|invalid| format!(" | {invalid}"));
        let (digits, invalid) = (digits.unwrap_or_default(), invalid.unwrap_or_default());
        format!("{}{digits}{repeated}{text}{invalid}", found.target_type)
    }

    #[test]
    fn types_of_an_ordinary_application() {
        check("int2", "INT64");
        check("int4 as NUMERIC", "NUMERIC(10,0)");
        check("int8 as FLOAT64", "FLOAT64 | integers that FLOAT64 would round");
        check("int8 as BIGNUMERIC", "BIGNUMERIC(19,0)");
        check("float4", "FLOAT64");
        check("float8 as STRING", "STRING text");
        check("text", "STRING");
        check("text as BYTES", "BYTES");
        check("varchar as STRING", "STRING");
        check("mood", "STRING");
        check("date", "DATE | infinity, years outside 1 to 9999");
        check("timestamp", "DATETIME | infinity, years outside 1 to 9999");
        check("timestamptz as STRING", "STRING text");
        check("uuid", "STRING");
        check("uuid as BYTES", "BYTES");
        check("jsonb", "JSON");
        check("json as STRING", "STRING");
    }

    #[test]
    fn decimals_go_by_their_digits() {
        check("numeric(12,2)", "NUMERIC(12,2) | NaN");
        check("numeric(38,10)", "BIGNUMERIC(38,10) | NaN");
        check("numeric(5,-2)", "NUMERIC(7,0) | NaN");
        check("numeric(2,5)", "NUMERIC(5,5) | NaN");
        check("numeric(76,38)", "BIGNUMERIC(76,38) | NaN");
        check(
            "numeric(77,38)",
            "describe column `c`: type `numeric(77,38)` has up to 39 digits before the point and \
             38 after it, which neither NUMERIC nor BIGNUMERIC holds; \
             set `columns.c.type` to `STRING`",
        );
        check("numeric(60,20) as STRING", "STRING text");
        check(
            "numeric(60,20) as BIGNUMERIC",
            "BIGNUMERIC(58,20) | NaN, more than 38 digits before the point",
        );
        check(
            "numeric",
            "BIGNUMERIC(76,38) | NaN, infinity, more than 38 digits before the point or 38 after it",
        );
        check(
            "numeric as NUMERIC",
            "NUMERIC(38,9) | NaN, infinity, more than 29 digits before the point or 9 after it",
        );
        check(
            "numeric(20,10) as NUMERIC",
            "NUMERIC(19,9) | NaN, more than 9 digits after the point",
        );
        check("numeric(12,2) as BIGNUMERIC", "BIGNUMERIC(12,2) | NaN");
        check("numeric(18,0) as INT64", "INT64 | NaN");
        check("numeric(19,0) as INT64", "INT64 | NaN, fractions, more than 64 bits");
        check(
            "numeric(1000,-1000)",
            &format!(
                "{}{}",
                "describe column `c`: type `numeric(1000,-1000)` has up to 2000 digits before the \
             point and 0 after it, which neither NUMERIC nor BIGNUMERIC holds; ",
                "set `columns.c.type` to `STRING`"
            ),
        );
    }

    #[test]
    fn arrays_are_repeated_or_one_text() {
        check("int4[]", &format!("INT64 REPEATED | {ARRAYS}"));
        check("numeric(12,2)[]", &format!("NUMERIC(12,2) REPEATED | {ARRAYS}, NaN"));
        check("text[] as STRING", "STRING text");
        check("uuid[] as BYTES", &format!("BYTES REPEATED | {ARRAYS}"));
        check("mood[]", &format!("STRING REPEATED | {ARRAYS}"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_way_out() {
        let hint = "set `columns.c.type` to `STRING` to load the text that the server makes of it";
        check("interval", &format!("describe column `c`: type `interval` is not known; {hint}"));
        check("pair", &format!("describe column `c`: type `pair` is not known; {hint}"));
        check("interval as STRING", "STRING text");
        check("pair[] as STRING", "STRING text");
        check(
            "bool as INT64",
            "describe column `c`: type `bool` cannot become `INT64`; \
             set `columns.c.type` to `BOOL` or `STRING`",
        );
        check(
            "numeric as DATE",
            "describe column `c`: type `numeric` cannot become `DATE`; \
             set `columns.c.type` to `BIGNUMERIC`, `NUMERIC`, `INT64` or `STRING`",
        );
        // A type of the user's own is no more than its text, whatever its name.
        let pg = PgType { display: "shop.text", base: "text", typtype: 'c', ..PLAIN };
        assert!(resolve("c", &pg, None).is_err());
    }
}
