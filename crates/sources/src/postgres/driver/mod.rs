//! A connection to a server, which reads the rows of a COPY where they arrive.
//!
//! A driver that hands out a message for each row takes as much time for that as everything else takes for
//! the row. So the bytes of a COPY are handed out as they lie in the buffer of the connection. The
//! `postgres-protocol` crate reads and writes all other messages.
//!
//! <https://www.postgresql.org/docs/current/protocol.html>

mod failure;
mod options;
pub(super) mod passfile;
mod row;
mod socket;
mod startup;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) use failure::{Failure, ServerError};
pub(super) use options::{Options, SslMode};
use row::ColumnOfRow;
pub(super) use row::{FromText, Oid, Row};
use socket::Socket;

/// Folders that servers make their sockets in: Debian's, and PostgreSQL's own.
pub(super) const DEFAULT_SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Bytes that are asked for at once. More of them save no time.
const CHUNK: usize = 256 << 10;
/// How long the thread waits before it looks for more bytes of a COPY, if it had to wait for the last ones.
/// The server sends 8 KiB at once. Without the pause, each of those wakes this program, which costs both
/// sides as much as handling the bytes; only a thread that does not wait for the socket is left asleep.
const PAUSE: Duration = Duration::from_micros(400);
/// A message cannot be longer than a row can.
const MAX_MESSAGE: i32 = 1 << 30;
/// The first byte of a message with bytes of a COPY, and the length of what is before those.
const COPY_DATA: u8 = b'd';
const FRAME: usize = 5;

const MALFORMED: Failure = Failure::Protocol("a message that cannot be read");
const OUT_OF_TURN: Failure = Failure::Protocol("a message that is out of turn");

/// A connection.
///
/// A call that is given up before its end leaves an answer on its way; the next statement reads it first.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    /// What was received and not looked at yet.
    received: BytesMut,
    /// Statements whose answers did not end yet.
    unanswered: usize,
    copy: CopyState,
    /// Whether a part of a message may have been sent.
    is_torn: bool,
    /// Whether this program takes the bytes of the COPY faster than the server sends them.
    is_ahead: bool,
}

/// How far a COPY is.
#[derive(Debug, Clone, Copy)]
enum CopyState {
    /// None is running.
    None,
    /// A message comes next.
    Between,
    /// This many bytes of the copied ones come next.
    Inside(usize),
}

/// What has come of a COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Bytes, which [`Connection::take_copied`] hands out.
    Some,
    /// The end.
    End,
}

/// What takes the bytes of a COPY.
pub(super) trait CopySink {
    /// What is made of them.
    type Output;
    /// Why they cannot be taken.
    type Error;

    /// Takes messages, with their headers, off the front of what has come, as far as it likes to.
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
    /// Connects and logs in.
    pub(super) async fn open(options: &Options) -> Result<Self, Failure> {
        let mut connection = Self::over(Socket::connect(options).await?);
        connection.start(options).await?;
        Ok(connection)
    }

    fn over(socket: Socket) -> Self {
        Self {
            socket,
            received: BytesMut::new(),
            unanswered: 0,
            copy: CopyState::None,
            is_torn: false,
            is_ahead: false,
        }
    }

    /// Says that nothing more is asked for. A connection that is only dropped leaves a complaint in the
    /// server's log.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        self.send(|into| {
            frontend::terminate(into);
            Ok(())
        })
        .await?;
        Ok(self.socket.shutdown().await?)
    }

    /// Runs statements, and returns the rows of all of them, as texts.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.ask(|into| frontend::query(sql, into)).await?;
        self.answer().await
    }

    /// Runs one statement, whose rows nobody needs. The server refuses a text that holds several, because
    /// it prepares this one.
    pub(super) async fn run_single(&mut self, sql: &str) -> Result<(), Failure> {
        self.ask(|into| {
            frontend::parse("", sql, [], into)?;
            let none = |(), _: &mut BytesMut| Ok(postgres_protocol::IsNull::Yes);
            let bound = frontend::bind("", "", [], std::iter::empty::<()>(), none, [], into);
            bound.map_err(|_| std::io::Error::other("a statement without parameters has some"))?;
            frontend::execute("", 0, into)?;
            frontend::sync(into);
            Ok(())
        })
        .await?;
        self.answer().await.map(drop)
    }

    /// Begins a COPY to this program. If the server refuses it, that is the answer.
    pub(super) async fn begin_copy(&mut self, sql: &str) -> Result<(), Failure> {
        self.ask(|into| frontend::query(sql, into)).await?;
        match self.message().await? {
            Message::CopyOutResponse(_) => {
                self.copy = CopyState::Between;
                Ok(())
            }
            Message::ErrorResponse(body) => Err(self.refused(&body).await),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// Whether a COPY has not been read to its end.
    pub(super) fn is_copying(&self) -> bool {
        !matches!(self.copy, CopyState::None)
    }

    /// Hands what has come of the COPY to `sink`, until all of it is taken or the sink has a result.
    pub(super) fn take_copied<S: CopySink>(
        &mut self,
        sink: &mut S,
    ) -> Result<Option<S::Output>, S::Error> {
        let mut rest = &self.received[..];
        let mut result = Ok(None);
        while matches!(result, Ok(None)) {
            let left = match self.copy {
                CopyState::None => break,
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
    pub(super) async fn receive_copied(&mut self) -> Result<Progress, Failure> {
        loop {
            match (self.copy, self.received.first()) {
                (CopyState::None, _) => return Ok(Progress::End),
                (CopyState::Inside(_), Some(_)) => return Ok(Progress::Some),
                (CopyState::Between, Some(&COPY_DATA)) if self.received.len() > FRAME => {
                    return Ok(Progress::Some);
                }
                (CopyState::Between, Some(tag)) if *tag != COPY_DATA => {
                    self.end_copied().await?;
                }
                _ => {
                    if self.is_ahead {
                        std::thread::sleep(PAUSE);
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
                (self.unanswered, self.copy) = (0, CopyState::None);
                Ok(())
            }
            Some(Message::ErrorResponse(body)) => {
                let refused = self.refused(&body).await;
                self.copy = CopyState::None;
                Err(refused)
            }
            Some(_) => Err(OUT_OF_TURN),
        }
    }

    /// Leaves out what comes of the COPY next, whether that is bytes or an error that ends it.
    pub(super) async fn skip_copied(&mut self) -> Result<(), Failure> {
        match self.receive_copied().await {
            Ok(Progress::End) | Err(Failure::Refused(_)) => Ok(()),
            Ok(Progress::Some) => {
                let Ok(_) = self.take_copied(&mut Nowhere);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a question, after the answers to those before it were read.
    async fn ask(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        if self.is_copying() {
            return Err(Failure::Busy);
        }
        while self.unanswered > 0 {
            if let Message::ReadyForQuery(_) = self.message().await? {
                self.unanswered -= 1;
            }
        }
        self.send(write).await?;
        self.unanswered += 1;
        Ok(())
    }

    async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let mut message = BytesMut::new();
        write(&mut message)
            .map_err(|source| Failure::Unusable("a text cannot be sent", Some(source.into())))?;
        if std::mem::replace(&mut self.is_torn, true) {
            return Err(Failure::Protocol("a message before was sent in part"));
        }
        let sent = async {
            self.socket.write_all(&message).await?;
            self.socket.flush().await
        };
        match sent.await {
            Ok(()) => {
                self.is_torn = false;
                Ok(())
            }
            Err(error) => Err(self.last_words().await.unwrap_or(Failure::Io(error))),
        }
    }

    /// Why the server has ended the connection, if it says so: that was sent before this program noticed.
    async fn last_words(&mut self) -> Option<Failure> {
        loop {
            if let Message::ErrorResponse(body) = self.message().await.ok()? {
                return Some(Failure::of_server(&body));
            }
        }
    }

    /// The rows of an answer, whose end the server says.
    async fn answer(&mut self) -> Result<Vec<Row>, Failure> {
        let mut columns: Arc<[ColumnOfRow]> = Arc::new([]);
        let mut rows = Vec::new();
        loop {
            match self.message().await? {
                Message::RowDescription(body) => {
                    columns = row::columns(&body).map_err(|_| MALFORMED)?;
                }
                Message::DataRow(body) => {
                    rows.push(Row::read(&columns, &body).map_err(|_| MALFORMED)?);
                }
                Message::ErrorResponse(body) => return Err(self.refused(&body).await),
                Message::ReadyForQuery(_) => {
                    self.unanswered -= 1;
                    return Ok(rows);
                }
                Message::CommandComplete(_)
                | Message::EmptyQueryResponse
                | Message::ParseComplete
                | Message::BindComplete
                | Message::NoData => {}
                _ => return Err(OUT_OF_TURN),
            }
        }
    }

    /// The server's error, after the end of its answer, if that still comes: it ends the connection after a
    /// fatal one.
    async fn refused(&mut self, body: &ErrorResponseBody) -> Failure {
        let refused = Failure::of_server(body);
        while self.unanswered > 0 {
            match self.message().await {
                Ok(Message::ReadyForQuery(_)) => self.unanswered -= 1,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("the connection ended after an error: {error}");
                    break;
                }
            }
        }
        refused
    }

    /// The next message that is an answer. What the server tells besides is left out: notices, which may
    /// hold values, and settings.
    async fn message(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(message) = self.message_or_notice().await? {
                return Ok(message);
            }
        }
    }

    /// The next message; `None` for one that is no answer.
    async fn message_or_notice(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            let header = Header::parse(&self.received).map_err(|_| MALFORMED)?;
            if header.is_some_and(|header| header.len() > MAX_MESSAGE) {
                return Err(Failure::Protocol("a message that is too long"));
            }
            match Message::parse(&mut self.received).map_err(|_| MALFORMED)? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => return Ok(None),
                Some(message) => return Ok(Some(message)),
                None => drop(self.fill().await?),
            }
        }
    }

    /// Waits for more bytes, and returns how many have come.
    async fn fill(&mut self) -> Result<usize, Failure> {
        self.received.reserve(CHUNK);
        match self.socket.read_buf(&mut self.received).await? {
            0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            count => Ok(count),
        }
    }
}

impl Failure {
    fn of_server(body: &ErrorResponseBody) -> Self {
        match ServerError::read(body) {
            Ok(error) => Self::Refused(Box::new(error)),
            Err(_) => MALFORMED,
        }
    }
}

#[cfg(test)]
mod tests;
