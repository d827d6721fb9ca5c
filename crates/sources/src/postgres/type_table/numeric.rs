//! What a `numeric` becomes, which depends on its digits.

use sluice_contracts::documents::{Decimal, TargetType};
use sluice_contracts::{Error, Result};

use super::pg_type::PgType;

use TargetType::{Bignumeric, Int64, Numeric};

/// A target type, its digits, and which values it cannot hold.
pub(super) type NumericTarget = (TargetType, Option<Decimal>, Option<String>);

/// What a `numeric` becomes. `None` where it cannot become the wanted type.
///
/// # Errors
/// `Invalid` if no type of the target has its digits and the job asks for no type.
pub(super) fn decimal(
    column: &str,
    pg: &PgType<'_>,
    wanted: Option<TargetType>,
) -> Result<Option<NumericTarget>> {
    let declared = Declared::of(pg.typmod);
    let exact = declared.and_then(Declared::decimal).filter(|d| d.target_type().is_some());
    let outcome = |to, decimal, invalid: String| Ok(Some((to, decimal, Some(invalid))));
    // The server allows no infinity in a numeric whose size is declared.
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
        (Some(_), _, _) => Ok(None),
    }
}

/// The digits of `money`, whose declared size is that of the currency.
pub(super) fn of_money(typmod: i32) -> Decimal {
    const CENTS: Decimal = Decimal { precision: 19, scale: 2 };
    let scale = Declared::of(typmod).and_then(|declared| u8::try_from(declared.scale).ok());
    scale.map_or(CENTS, |scale| Decimal { precision: 19, scale: scale.min(9) })
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
