//! A connection to a server, which reads the rows of a COPY where they arrive.
//!
//! A driver that hands out a message for each row takes as much time for that as everything else takes for
//! the row. So the bytes of a COPY are handed out as they lie in the buffer of the connection. The
//! `postgres-protocol` crate reads and writes all other messages.
//!
//! <https://www.postgresql.org/docs/current/protocol.html>

mod copy;
mod failure;
mod options;
pub(super) mod passfile;
mod row;
mod socket;
mod startup;
mod tls;

use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use copy::CopyState;
pub(super) use copy::{CopySink, Progress};
pub(super) use failure::{Failure, ServerError};
pub(super) use options::{Options, SslMode};
use row::ColumnOfRow;
pub(super) use row::{FromText, Oid, Row};
use socket::Socket;

/// Folders that servers make their sockets in: Debian's, and PostgreSQL's own.
pub(super) const DEFAULT_SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Bytes that are asked for at once. More of them save no time.
const CHUNK: usize = 256 << 10;
/// A message cannot be longer than a row can, and before the login it has a fraction of this length.
const MAX_MESSAGE: i32 = 1 << 30;
const MAX_LOGIN_MESSAGE: i32 = 64 << 10;
const MALFORMED: Failure = Failure::Protocol("a message that cannot be read");
const OUT_OF_TURN: Failure = Failure::Protocol("a message that is out of turn");

/// A connection.
///
/// A call that is given up before its end leaves an answer on its way; the next statement reads it first.
pub(super) struct Connection {
    socket: Socket,
    /// What was received and not looked at yet.
    received: BytesMut,
    /// A longer message is refused.
    longest: i32,
    /// Statements whose answers did not end yet.
    unanswered: usize,
    copy: CopyState,
    /// Whether a part of a message may have been sent.
    is_torn: bool,
    /// Whether this program takes the bytes of the COPY faster than the server sends them.
    is_ahead: bool,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(options: &Options) -> Result<Self, Failure> {
        let mut connection = Self::over(Socket::connect(options).await?);
        connection.start(options).await?;
        connection.longest = MAX_MESSAGE;
        Ok(connection)
    }

    fn over(socket: Socket) -> Self {
        Self {
            socket,
            received: BytesMut::new(),
            longest: MAX_LOGIN_MESSAGE,
            unanswered: 0,
            copy: CopyState::Idle,
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

    /// The next message that is an answer. Skips notices, which may hold values, and settings.
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
            if header.is_some_and(|header| header.len() > self.longest) {
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

// What was received may be values.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("received", &self.received.len())
            .field("unanswered", &self.unanswered)
            .field("copy", &self.copy)
            .finish_non_exhaustive()
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
