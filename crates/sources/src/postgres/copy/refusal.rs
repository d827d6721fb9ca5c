//! Why a value of the wire is refused.

use crate::builder::Invalid;

/// Why a value was not appended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The column cannot hold it.
    Invalid(Invalid),
    /// Its bytes are not of the wire's form.
    Malformed(&'static str),
    /// The wire's form cannot become the column's type.
    Mismatch,
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// The bytes of a value whose type has always so many.
pub(super) fn sized<const N: usize>(value: &[u8]) -> Result<[u8; N], Refusal> {
    value.try_into().map_err(|_| Refusal::Malformed("a value of the wrong length"))
}
