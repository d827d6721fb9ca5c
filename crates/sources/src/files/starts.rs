//! Where the ranges begin in which several tasks read one file.

use std::future::Future;

use futures::stream::{self, StreamExt as _};
use sluice_contracts::Result;

/// Windows that are read at once.
const AT_ONCE: usize = 16;

/// The places that cut a file of this size into so many ranges of the same length, if they lie behind `first`.
pub(super) fn places(size: u64, count: u32, first: u64) -> Vec<u64> {
    let near = |at: u32| {
        let nominal = u128::from(size) * u128::from(at) / u128::from(count);
        u64::try_from(nominal).unwrap_or(u64::MAX)
    };
    (1..count).map(near).filter(|place| *place > first).collect()
}

/// What looks at a file of this size found, without what is found twice and what does not ascend. `None` if that is
/// nothing.
pub(super) async fn ascending<F>(size: u64, looks: Vec<F>) -> Result<Option<Vec<u64>>>
where
    F: Future<Output = Result<Option<u64>>>,
{
    let mut found: Vec<u64> = Vec::new();
    let mut looks = stream::iter(looks).buffered(AT_ONCE);
    while let Some(start) = looks.next().await {
        if let Some(start) = start?
            && start < size
            && found.last().is_none_or(|last| *last < start)
        {
            found.push(start);
        }
    }
    Ok((!found.is_empty()).then_some(found))
}
