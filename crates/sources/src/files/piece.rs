//! What a unit reads: files, or a range of the bytes of one.

use std::collections::VecDeque;
use std::ops::Range;

use sluice_contracts::documents::{Cut, Leaf, ObjectVersion, Unit};
use sluice_contracts::{Error, Result};

/// A file, or a range of its bytes.
#[derive(Debug, Clone)]
pub(super) struct FilePiece {
    pub(super) file: ObjectVersion,
    pub(super) range: Range<u64>,
}

/// The files of a unit.
pub(super) fn files_of(unit: &Unit) -> Result<VecDeque<FilePiece>> {
    let whole = |file: &ObjectVersion| FilePiece { file: file.clone(), range: 0..file.size };
    match (&unit.leaf, &unit.cut) {
        (Some(Leaf::Object(file)), Cut::Full) => Ok(VecDeque::from([whole(file)])),
        (Some(Leaf::Objects(files)), Cut::Full) => Ok(files.iter().map(whole).collect()),
        (Some(Leaf::Object(file)), Cut::Bytes { lo, hi }) => {
            let range = *lo..hi.unwrap_or(file.size);
            Ok(VecDeque::from([FilePiece { file: file.clone(), range }]))
        }
        _ => Err(Error::data(format!("read unit {}: files have no such units", unit.index))
            .hint("the plan is of another version; plan the run again")),
    }
}
