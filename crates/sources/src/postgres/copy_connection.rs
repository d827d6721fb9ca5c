//! A connection that is free, or busy with a COPY.

use async_stream::stream;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sluice_contracts::{Error, Result};
use sqlx::postgres::PgConnection;

/// Bytes that are handed out at once. The server sends a message for each row, and every step of
/// handling one costs as much for a row as for a thousand.
const CHUNK: usize = 1 << 16;

/// A connection.
///
/// The driver cannot reuse a connection whose COPY was left before its end: it would take the
/// remaining rows for the answer to the next statement. So the COPY owns the connection, and gives
/// it back when it has ended.
pub(super) enum CopyConnection {
    /// It waits for a statement.
    Free(PgConnection),
    /// It sends rows.
    Copying(BoxStream<'static, Sent>),
    /// It is unusable after a COPY that did not begin: the driver leaves the end of the server's
    /// error unread.
    Lost,
}

/// What a COPY has received.
pub(super) enum Received {
    /// Some bytes.
    Chunk(Bytes),
    /// The end, and whether it was reached without an error.
    End(Result<(), sqlx::Error>),
}

/// What the stream of a COPY hands out.
pub(super) enum Sent {
    Chunk(Bytes),
    End(PgConnection, Result<(), sqlx::Error>),
    Refused(sqlx::Error),
}

impl CopyConnection {
    /// The connection, for a statement.
    pub(super) fn free(&mut self) -> Result<&mut PgConnection> {
        match self {
            Self::Free(connection) => Ok(connection),
            Self::Copying(_) | Self::Lost => {
                Err(Error::bug("use a connection whose last unit was not read to its end"))
            }
        }
    }

    pub(super) fn is_copying(&self) -> bool {
        matches!(self, Self::Copying(_))
    }

    /// Begins a COPY.
    pub(super) fn copy(&mut self, sql: String) -> Result<()> {
        self.free()?;
        let Self::Free(mut connection) = std::mem::replace(self, Self::Lost) else { return Ok(()) };
        *self = Self::Copying(Box::pin(stream! {
            let mut gathered = BytesMut::new();
            let result = match connection.copy_out_raw(&sql).await {
                Ok(mut messages) => loop {
                    match messages.next().await {
                        // A large one is not copied.
                        Some(Ok(message)) if message.len() >= CHUNK => {
                            yield Sent::Chunk(gathered.split().freeze());
                            yield Sent::Chunk(message);
                        }
                        Some(Ok(message)) => {
                            gathered.extend_from_slice(&message);
                            if gathered.len() >= CHUNK {
                                yield Sent::Chunk(gathered.split().freeze());
                            }
                        }
                        Some(Err(error)) => break Err(error),
                        None => break Ok(()),
                    }
                },
                Err(error) => {
                    yield Sent::Refused(error);
                    return;
                }
            };
            yield Sent::Chunk(gathered.freeze());
            yield Sent::End(connection, result);
        }));
        Ok(())
    }

    /// The next part of the COPY. After its end the connection is free.
    pub(super) async fn receive(&mut self) -> Result<Received> {
        let Self::Copying(stream) = self else {
            return Err(Error::bug("go on with a COPY: none is running"));
        };
        match stream.next().await {
            Some(Sent::Chunk(chunk)) => Ok(Received::Chunk(chunk)),
            Some(Sent::End(connection, result)) => {
                *self = Self::Free(connection);
                Ok(Received::End(result))
            }
            Some(Sent::Refused(error)) => {
                *self = Self::Lost;
                Ok(Received::End(Err(error)))
            }
            None => Err(Error::bug("go on with a COPY: it has ended")),
        }
    }
}
