//! Work units: the rows that one cut covers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rows of one table that are read, written and proved together.
///
/// The units of a table are disjoint and cover it. The kinds of [`Cut`] are few and fixed;
/// strategies, which choose the cuts, are many and can be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Index of its table.
    pub table: u32,
    /// Place among its table's units, from 0.
    pub index: u32,
    /// What is read instead of the whole table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Leaf>,
    /// Which rows.
    pub cut: Cut,
    /// The cut as a predicate of the source's own language, for people; empty for all rows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub predicate: String,
    /// Expected rows. An estimate: nothing fails when it is wrong.
    pub rows: u64,
    /// Expected bytes in the source. An estimate.
    pub bytes: u64,
}

impl Unit {
    /// Its place in the manifest.
    pub fn place(&self) -> UnitRef {
        UnitRef { table: self.table, unit: self.index }
    }
}

/// A unit by its place in the manifest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct UnitRef {
    /// Index of the table.
    pub table: u32,
    /// Index of the unit in the table.
    pub unit: u32,
}

/// A part of a table that the source stores by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Leaf {
    /// A partition or an inheriting table, as the source spells it.
    Partition(String),
    /// Several small ones, which are read one after another, each from end to end.
    Partitions(Vec<String>),
    /// An object of a bucket or a file.
    Object(ObjectVersion),
    /// Several small ones, which are read one after another, each from end to end.
    Objects(Vec<ObjectVersion>),
}

/// An object of a bucket or a file, as it was when the run was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectVersion {
    /// Its path below the bucket or folder.
    pub path: String,
    /// Its version, as the store names it: a reader refuses any other.
    pub generation: String,
    /// Its bytes.
    pub size: u64,
}

impl Leaf {
    /// Number of things that the source stores by themselves.
    pub fn count(&self) -> usize {
        match self {
            Self::Partition(_) | Self::Object(_) => 1,
            Self::Partitions(names) => names.len(),
            Self::Objects(objects) => objects.len(),
        }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, count) = match self {
            Self::Partition(name) => (name, 1),
            Self::Partitions(names) => match names.first() {
                Some(first) => (first, names.len()),
                None => return Ok(()),
            },
            Self::Object(object) => (&object.path, 1),
            Self::Objects(objects) => match objects.first() {
                Some(first) => (&first.path, objects.len()),
                None => return Ok(()),
            },
        };
        match count {
            1 => f.write_str(first),
            _ => write!(f, "{first} and {} more", count - 1),
        }
    }
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
    /// Those that the source stores in the blocks `lo <= block < hi`: pages of a PostgreSQL table,
    /// row groups of a Parquet file.
    Blocks {
        /// First block.
        lo: u32,
        /// First block above the range; open if absent.
        hi: Option<u32>,
    },
    /// Those whose record begins in the bytes `lo <= byte < hi` of a file.
    Bytes {
        /// First byte.
        lo: u64,
        /// First byte above the range; open if absent.
        hi: Option<u64>,
    },
    /// Those that the source serves as one stream of a read session.
    Stream {
        /// Its name, as the source gives it.
        name: String,
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
            Self::Blocks { .. } => "blocks",
            Self::Bytes { .. } => "bytes",
            Self::Stream { .. } => "stream",
        }
    }
}

/// What the bounds of a range count. Every key type is mapped to 64-bit signed integers, and keeps
/// its order, so cutting is the same arithmetic for all of them.
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
    /// An unsigned 64-bit integer, less 2^63.
    Unsigned,
    /// The first 64 bits of a UUID, read as an unsigned integer, less 2^63. UUIDs with the same
    /// first half are in the same range.
    Uuid,
}
