//! A look at the beginnings of files.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sluice_contracts::Result;
use sluice_contracts::documents::ObjectVersion;
use sluice_contracts::job::{Compression, TextEncoding};

use super::fetch::Fetch;
use super::listing::FoundFile;
use super::store::FileStore;
use super::text::{Coding, MARK, Text};

/// Files of text that are looked at, at most.
pub(super) const FILES: usize = 16;
/// Bytes of a file that are looked at.
const BYTES: u64 = 1 << 20;
/// Bytes of text that a compressed beginning may become.
const MOST_TEXT: usize = 16 << 20;
/// Files that are read at once.
const AT_ONCE: usize = 8;

/// The beginning of a file.
#[derive(Debug)]
pub(super) struct Head {
    /// Its path, for messages.
    pub(super) name: String,
    pub(super) text: Vec<u8>,
    /// Whether it is all of the file.
    pub(super) is_whole: bool,
    /// Bytes of the file that the text was made of.
    pub(super) bytes: u64,
    pub(super) compression: Compression,
    /// Whether the file can be read from its middle.
    pub(super) can_be_cut: bool,
    /// How the file is encoded, unless it is compressed.
    pub(super) encoding: TextEncoding,
    /// Whether the file begins with the byte order mark of UTF-8.
    pub(super) has_mark: bool,
}

/// Files that stand for all, so many at most: the first, the last, and some between, evenly spread in the order of their
/// names.
pub(super) fn chosen(files: &[FoundFile], most: usize) -> Vec<&FoundFile> {
    let with_bytes: Vec<&FoundFile> = files.iter().filter(|file| file.size > 0).collect();
    let last = with_bytes.len().saturating_sub(1);
    let count = with_bytes.len().min(most);
    let mut places: Vec<usize> =
        (0..count).map(|at| if count < 2 { 0 } else { at * last / (count - 1) }).collect();
    places.dedup();
    places.into_iter().filter_map(|at| with_bytes.get(at).copied()).collect()
}

/// The beginnings of some files, in their order.
pub(super) async fn heads(
    store: &Arc<FileStore>,
    coding: Coding,
    files: &[&FoundFile],
) -> Result<Vec<Head>> {
    let heads: Vec<_> = files.iter().map(|file| head(store, coding, object(file))).collect();
    stream::iter(heads).buffered(AT_ONCE).try_collect().await
}

/// A file as units name it.
pub(super) fn object(file: &FoundFile) -> ObjectVersion {
    let FoundFile { path, size, version } = file.clone();
    ObjectVersion { path, generation: version, size }
}

/// The beginning of a file.
pub(super) async fn head(
    store: &Arc<FileStore>,
    coding: Coding,
    file: ObjectVersion,
) -> Result<Head> {
    let looked_at = file.size.min(BYTES);
    let mut first = Fetch::new(store, &file, Some(0..looked_at))?;
    let mut bytes = first.next().await?.unwrap_or_default();
    // A server without ranges sends what its network takes at a time.
    if (bytes.len() as u64) < looked_at {
        let mut all = Vec::from(bytes);
        while let Some(more) = first.next().await? {
            all.extend_from_slice(&more);
        }
        bytes = all.into();
    }
    let compression = coding.compression_of(&bytes);
    let can_be_cut = coding.can_be_cut(&bytes);
    let encoding = coding.encoding_of(&bytes);
    let has_mark = bytes.starts_with(MARK);
    let fetch = Fetch::of_bytes(store, &file, bytes)?;
    let is_all = looked_at == file.size;
    let name = store.name_of(&file.path);
    let mut text = if is_all {
        Text::new(&name, coding, fetch, true)
    } else {
        Text::sample(&name, coding, fetch)
    };
    let mut head = Vec::new();
    let mut is_whole = is_all;
    while let Some(more) = text.next().await? {
        head.extend_from_slice(&more);
        if head.len() >= MOST_TEXT {
            is_whole = false;
            break;
        }
    }
    Ok(Head {
        name,
        text: head,
        is_whole,
        bytes: looked_at,
        compression,
        can_be_cut,
        encoding,
        has_mark,
    })
}
