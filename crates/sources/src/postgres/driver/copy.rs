//! The bytes of a COPY, handed out as they lie in the buffer of the connection.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>

use std::time::Duration;

use bytes::Buf as _;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::failure::Failure;
use super::{CHUNK, Connection, OUT_OF_TURN};

/// How long the thread waits before it looks for more bytes of a COPY, if it had to wait for the last ones.
/// The server sends 8 KiB at once. Without the pause, each of them wakes this program, and a wake-up costs both
/// sides as much as the bytes do. A packet does not wake a thread that sleeps.
const PAUSE: Duration = Duration::from_micros(400);
/// The first byte of a message with bytes of a COPY, and the length of what is before those.
const COPY_DATA: u8 = b'd';
const FRAME: usize = 5;

/// How far a COPY is.
#[derive(Debug, Clone, Copy)]
pub(super) enum CopyState {
    /// No COPY is running.
    Idle,
    /// A message comes next.
    Between,
    /// This many bytes of a message come next.
    Inside(usize),
}

/// What has come of a COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes, which [`Connection::take_copied`] hands out.
    Bytes,
    /// The end.
    End,
}

/// What takes the bytes of a COPY.
pub(crate) trait CopySink {
    /// What is made of them.
    type Output;
    /// Why they cannot be taken.
    type Error;

    /// Takes messages, with their headers, off the front of what has come, as many as it can use.
    fn take_messages(&mut self, messages: &mut &[u8]) -> Result<Option<Self::Output>, Self::Error>;

    /// Takes bytes of one message. If it leaves some, it has a result.
    fn take_bytes(&mut self, bytes: &mut &[u8]) -> Result<Option<Self::Output>, Self::Error>;
}

/// Takes bytes that nobody needs.
struct Nowhere;

impl CopySink for Nowhere {
    type Output = std::convert::Infallible;
    type Error = std::convert::Infallible;

    fn take_messages(&mut self, _: &mut &[u8]) -> Result<Option<Self::Output>, Self::Error> {
        Ok(None)
    }

    fn take_bytes(&mut self, bytes: &mut &[u8]) -> Result<Option<Self::Output>, Self::Error> {
        *bytes = &[];
        Ok(None)
    }
}

impl Connection {
    /// Begins a COPY to this program. If the server refuses it, that is the answer.
    pub(crate) async fn begin_copy(&mut self, sql: &str) -> Result<(), Failure> {
        self.ask(|into| frontend::query(sql, into)).await?;
        match self.message().await? {
            Message::CopyOutResponse(_) => {
                self.copy = CopyState::Between;
                self.is_ahead = false;
                Ok(())
            }
            Message::ErrorResponse(body) => Err(self.refused(&body).await),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Whether a COPY has not been read to its end.
    pub(crate) fn is_copying(&self) -> bool {
        !matches!(self.copy, CopyState::Idle)
    }

    /// Hands what has come of the COPY to `sink`, until all of it is taken or the sink has a result.
    pub(crate) fn take_copied<S: CopySink>(
        &mut self,
        sink: &mut S,
    ) -> Result<Option<S::Output>, S::Error> {
        let mut rest = &self.received[..];
        let mut result = Ok(None);
        while matches!(result, Ok(None)) {
            let left = match self.copy {
                CopyState::Idle => break,
                CopyState::Inside(left) => left,
                CopyState::Between => {
                    let before = rest.len();
                    result = sink.take_messages(&mut rest);
                    if rest.len() < before || !matches!(result, Ok(None)) {
                        continue;
                    }
                    let Some(([COPY_DATA, length @ ..], body)) = rest.split_first_chunk::<FRAME>()
                    else {
                        break;
                    };
                    rest = body;
                    // A length that is too small is that of an empty message.
                    (u32::from_be_bytes(*length) as usize).saturating_sub(FRAME - 1)
                }
            };
            let (mut piece, behind) = rest.split_at_checked(left).unwrap_or((rest, &[]));
            if piece.is_empty() && left > 0 {
                self.copy = CopyState::Inside(left);
                break;
            }
            let given = piece.len();
            result = sink.take_bytes(&mut piece);
            let left = left - (given - piece.len());
            let at = rest.len() - behind.len() - piece.len();
            rest = rest.get(at..).unwrap_or_default();
            self.copy = if left == 0 { CopyState::Between } else { CopyState::Inside(left) };
        }
        let taken = self.received.len() - rest.len();
        self.received.advance(taken);
        result
    }

    /// Waits for more of the COPY, when all that has come is taken.
    pub(crate) async fn receive_copied(&mut self) -> Result<Progress, Failure> {
        loop {
            match (self.copy, self.received.first()) {
                (CopyState::Idle, _) => return Ok(Progress::End),
                (CopyState::Inside(_), Some(_)) => return Ok(Progress::Bytes),
                (CopyState::Between, Some(&COPY_DATA)) if self.received.len() > FRAME => {
                    return Ok(Progress::Bytes);
                }
                (CopyState::Between, Some(tag)) if *tag != COPY_DATA => {
                    self.end_copied().await?;
                }
                _ => {
                    if self.is_ahead {
                        // What else this thread does, such as an upload, comes first.
                        tokio::task::yield_now().await;
                        pause();
                    }
                    self.is_ahead = self.fill().await? < CHUNK / 4;
                }
            }
        }
    }

    /// Reads a message that holds no bytes of the COPY.
    async fn end_copied(&mut self) -> Result<(), Failure> {
        match self.message_or_notice().await? {
            None | Some(Message::CopyDone | Message::CommandComplete(_)) => Ok(()),
            Some(Message::ReadyForQuery(_)) => {
                (self.unanswered, self.copy) = (0, CopyState::Idle);
                Ok(())
            }
            Some(Message::ErrorResponse(body)) => {
                let refused = self.refused(&body).await;
                self.copy = CopyState::Idle;
                Err(refused)
            }
            Some(_) => Err(OUT_OF_TURN),
        }
    }

    /// Leaves out what comes of the COPY next, whether that is bytes or an error that ends it.
    pub(crate) async fn skip_copied(&mut self) -> Result<(), Failure> {
        match self.receive_copied().await {
            Ok(Progress::End) | Err(Failure::Refused(_)) => Ok(()),
            Ok(Progress::Bytes) => {
                let Ok(_) = self.take_copied(&mut Nowhere);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Lets the server get ahead.
#[expect(
    clippy::disallowed_methods,
    reason = "each packet would wake a task that waits; the thread's other tasks had their turn before"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
