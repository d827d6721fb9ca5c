//! One part file on its way from the encoder to the bucket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use sluice_contracts::Result;
use sluice_contracts::documents::Part;
use sluice_contracts::store::storage_error;
use tokio::io::AsyncWriteExt;

/// Bytes of a part sent to the bucket at once.
const UPLOAD_BYTES: usize = 5 << 20;
/// Bytes of a piece. Memory is freed piece by piece as it is sent, and pieces this small leave no
/// gaps that the allocator would keep: one buffer for each row group doubled the peak of a task.
const PIECE_BYTES: usize = 256 << 10;

/// What the encoder has written and the upload has not taken yet.
#[derive(Default)]
pub(crate) struct Outbox {
    full: VecDeque<Bytes>,
    open: Vec<u8>,
}

impl Outbox {
    /// The next piece; the last may be short.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.full.pop_front().or_else(|| {
            let open = std::mem::take(&mut self.open);
            (!open.is_empty()).then(|| Bytes::from(open))
        })
    }
}

impl io::Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.open.len();
        let taken = &bytes[..bytes.len().min(room)];
        // Most pieces are filled; the first and the last of a file are a few bytes.
        if self.open.is_empty() && taken.len() > 64 {
            self.open.reserve_exact(PIECE_BYTES);
        }
        self.open.extend_from_slice(taken);
        if self.open.len() == PIECE_BYTES {
            self.full.push_back(Bytes::from(std::mem::take(&mut self.open)));
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part on its way to the bucket, counted and checksummed.
pub(crate) struct Upload {
    inner: BufWriter,
    path: Path,
    crc32c: u32,
    bytes: u64,
}

impl Upload {
    /// Sends nothing yet.
    pub(crate) fn new(store: &Arc<dyn ObjectStore>, path: Path) -> Self {
        let inner = BufWriter::with_capacity(Arc::clone(store), path.clone(), UPLOAD_BYTES)
            .with_max_concurrency(2);
        Self { inner, path, crc32c: 0, bytes: 0 }
    }

    /// Where the part will lie.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes what is in the outbox, waiting while the bucket is slower than the source.
    pub(crate) async fn send(&mut self, outbox: &mut Outbox) -> Result<()> {
        while let Some(piece) = outbox.take() {
            self.crc32c = crc32c::crc32c_append(self.crc32c, &piece);
            self.bytes += piece.len() as u64;
            let sent = self.inner.put(piece).await;
            sent.map_err(|source| storage_error(format!("write `{}`", self.path), source))?;
        }
        Ok(())
    }

    /// Completes the part in the bucket. `span` is that of its partitions.
    pub(crate) async fn finish(mut self, rows: u64, span: Option<(i64, i64)>) -> Result<Part> {
        self.inner.shutdown().await.map_err(|error| {
            let what = format!("write `{}`", self.path);
            match error.downcast::<object_store::Error>() {
                Ok(source) => storage_error(what, source),
                Err(source) => storage_error(
                    what,
                    object_store::Error::Generic { store: "bucket", source: Box::new(source) },
                ),
            }
        })?;
        let path = self.path.to_string();
        Ok(Part { path, rows, bytes: self.bytes, crc32c: self.crc32c, span })
    }
}
