//! What a source says of its tables to the planner.

use sluice_contracts::documents::{Column, KeyType, Leaf, NativeRows, ObjectVersion, Relation};
use sluice_contracts::job::TableName;

/// The tables of a source.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Those that a pattern can match, in the order of their names.
    pub tables: Vec<TableName>,
    /// Those that look like tables and are not moved as such, with the reason.
    pub excluded: Vec<(TableName, String)>,
}

/// What a table looks like to the planner.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// The columns to be read, with what they become.
    pub columns: Vec<Column>,
    /// Names and types of the columns, and the leaves, in one string that changes when they do.
    pub shape: String,
    /// What tasks read, where a look at it tells more than the job says.
    pub relation: Option<Relation>,
    /// Columns that the table can be cut by, in the table's order.
    pub keys: Vec<Key>,
    /// Columns that tell rows apart, for hashing; empty if there are none.
    pub identity: Vec<String>,
    /// What is read one after another: the table itself, or its leaves. Never empty.
    pub pieces: Vec<Piece>,
    /// Where the objects of all pieces lie, by a name that stays the same and has no parameters; `None` if there is
    /// no such name.
    pub store: Option<String>,
    /// The query by which tasks read it, where that is computed when the run is planned.
    pub query: Option<String>,
    /// Whether the source serves the table as streams, each of which a task can read by itself.
    pub has_streams: bool,
    /// US dollars that the source charges for what tasks read.
    pub dollars: f64,
    /// Why tasks cannot read it, if they cannot.
    pub unreadable: Option<String>,
    /// Whether a target may take the rows by itself that tasks would read.
    pub native: NativeSource,
    /// What the source says that the table is about.
    pub comment: Option<String>,
    /// Warnings for the reader of the plan.
    pub warnings: Vec<String>,
}

/// Whether a target may take the rows of a source by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NativeSource {
    /// No target reads this kind of source.
    #[default]
    Absent,
    /// It may: the rows are those that tasks would read.
    Exact(NativeRows),
    /// It may, if the job asks for it: some rows would differ.
    Inexact {
        /// What it takes.
        rows: NativeRows,
        /// What would differ, in one sentence.
        loss: String,
    },
    /// A target reads this kind of source, but not this table, for this reason.
    Refused(String),
}

impl NativeSource {
    /// What a target may take.
    pub fn rows(&self) -> Option<&NativeRows> {
        match self {
            Self::Exact(rows) | Self::Inexact { rows, .. } => Some(rows),
            Self::Absent | Self::Refused(_) => None,
        }
    }
}

impl Description {
    /// Expected rows of all pieces.
    pub fn rows(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }

    /// Keeps some of the objects: of those that tasks read, and of those that a target takes by itself.
    pub fn retain_objects(&mut self, keeps: impl Fn(&ObjectVersion) -> bool) {
        self.pieces.retain(|piece| match &piece.leaf {
            Some(Leaf::Object(object)) => keeps(object),
            _ => true,
        });
        let left = self.rows();
        if let NativeSource::Exact(rows) | NativeSource::Inexact { rows, .. } = &mut self.native
            && let NativeRows::Files(files) = rows
        {
            files.files.retain(keeps);
            // Where the files say how many rows they have, the pieces have these numbers.
            files.rows = files.rows.map(|_| left);
        }
    }

    /// Expected bytes of all pieces.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }
}

/// A column that a table can be cut by.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Name in the source.
    pub column: String,
    /// What its values count.
    pub key_type: KeyType,
    /// Whether an index begins with it, so that a range is found without reading the rest.
    pub indexed: bool,
    /// Whether it is the only column of the primary key.
    pub primary: bool,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// How far the rows lie in its order, if that is known: from 0, not at all, to 1 or -1.
    pub correlation: Option<f64>,
}

impl Key {
    /// Below this correlation, the rows of a range are scattered over the table.
    const IN_ORDER: f64 = 0.9;

    /// Whether the rows of a range are known to be scattered over the table.
    pub fn is_scattered(&self) -> bool {
        self.correlation.is_some_and(|correlation| correlation.abs() < Self::IN_ORDER)
    }
}

/// A table, or one of the leaves that it consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// The leaf; `None` for the table itself.
    pub leaf: Option<Leaf>,
    /// Expected rows.
    pub rows: u64,
    /// Expected bytes.
    pub bytes: u64,
    /// Blocks, where rows can be found by block.
    pub blocks: Option<u32>,
    /// Whether rows can be found from most bytes of it on: [`Survey::record_starts`](crate::Survey::record_starts).
    pub has_ranges: bool,
    /// What the source reads for a range of blocks.
    pub block_range: BlockRange,
    /// Whether its rows lie outside of the source's snapshot: only what one statement reads of it
    /// is of one moment.
    pub outside: bool,
    /// Whether each unit of it locks so much of the source that one task at a time may read it.
    pub crowded: bool,
}

/// What a source reads for a range of a piece's blocks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum BlockRange {
    /// The whole piece.
    #[default]
    ReadsAll,
    /// The blocks of the range. An index finds the rows that the table's filter keeps, and may read fewer.
    ReadsMoreThanIndex,
    /// The blocks of the range, and no other way reads fewer.
    ReadsLeast,
}

impl Piece {
    /// Whether it has to stay one unit.
    pub fn is_undivided(&self) -> bool {
        self.outside || self.crowded
    }
}

/// Where the keys of a piece lie.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Ascending and disjoint. Keys outside of every span may exist too.
    pub spans: Vec<Span>,
    /// Expected rows whose key is NULL.
    pub nulls: f64,
}

/// Keys `lo..=hi`, and how many rows have one, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Lowest key.
    pub lo: i64,
    /// Highest key.
    pub hi: i64,
    /// Expected rows.
    pub rows: f64,
}
