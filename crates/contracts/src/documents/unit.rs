//! Work units: the rows that one cut covers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of one table that are read, written and proved together.
///
/// The units of a table are disjoint and cover it. The kinds of [`Cut`] are few and fixed;
/// strategies, which choose the cuts, are many and can be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Place among its table's units, from 0.
    pub index: u32,
    /// Partition or inheriting table to read instead of the table itself, as the source spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// Which rows.
    pub cut: Cut,
    /// The cut as a predicate of the source's own language, for people.
    pub predicate: String,
    /// Expected rows. An estimate: nothing fails when it is wrong.
    pub rows: u64,
    /// Expected bytes in the source. An estimate.
    pub bytes: u64,
}

/// Which rows of a relation a unit covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cut {
    /// All of them.
    Full,
    /// Those with `lo <= column < hi`; an absent bound is open. NULLs belong to no range.
    Range {
        /// Source column.
        column: String,
        /// What the bounds count.
        key: KeyType,
        /// Lowest key inside.
        lo: Option<i64>,
        /// Lowest key above the range.
        hi: Option<i64>,
    },
    /// Those whose key is NULL.
    Null {
        /// Source column.
        column: String,
    },
    /// Those whose key hashes to `remainder`.
    Hash {
        /// Source columns hashed together; empty for the whole row.
        columns: Vec<String>,
        /// Number of hash classes.
        modulus: u32,
        /// This unit's class, below `modulus`.
        remainder: u32,
    },
    /// Those on the pages `lo <= page < hi`; the last unit has no `hi`.
    Ctid {
        /// First page.
        lo: u32,
        /// First page above the range; open if absent.
        hi: Option<u32>,
    },
}

impl Cut {
    /// The name of this kind of cut in documents and messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Range { .. } => "range",
            Self::Null { .. } => "null",
            Self::Hash { .. } => "hash",
            Self::Ctid { .. } => "ctid",
        }
    }
}

/// What the bounds of a range count. Every key type is mapped to 64-bit integers, so cutting is the
/// same arithmetic for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// The integer itself.
    Integer,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01 00:00:00, without a zone.
    Timestamp,
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    Timestamptz,
}
