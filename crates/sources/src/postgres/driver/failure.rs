//! What can go wrong between this program and a server.

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::ErrorResponseBody;

/// Why a statement or an attempt to connect failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refuses it.
    #[error("{}", .0.message)]
    Refused(Box<ServerError>),
    /// The connection cannot be made, or broke. A certificate that is not accepted comes as the cause of
    /// such an error.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The connection has to be encrypted, and the server does not do it.
    #[error("server does not support TLS")]
    NoTls,
    /// A certificate, a key or a name cannot be used.
    #[error("{0}")]
    Unusable(&'static str, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The server wants another kind of proof of who connects.
    #[error("the server asks for authentication by {0}")]
    Authentication(&'static str),
    /// The server does not prove that it knows the password.
    #[error("the server does not prove that it knows the password")]
    Untrusted,
    /// What answers does not keep to the protocol.
    #[error("the answer does not follow PostgreSQL's protocol: {0}")]
    Protocol(&'static str),
    /// A value is not what the statement was written to return.
    #[error("column {0} of the answer has another type or is NULL")]
    Unexpected(usize),
    /// Rows of a COPY are still on their way.
    #[error("the connection's last COPY was not read to its end")]
    Busy,
}

/// An error of the server.
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
#[derive(Debug, Default, Clone)]
pub(crate) struct ServerError {
    /// The SQLSTATE.
    pub(crate) code: String,
    pub(crate) message: String,
    /// The function of the server that refuses.
    pub(crate) routine: Option<String>,
    /// Whether the connection ends.
    pub(crate) is_fatal: bool,
}

impl ServerError {
    pub(super) fn read(body: &ErrorResponseBody) -> std::io::Result<Self> {
        let mut error = Self::default();
        let mut fields = body.fields();
        while let Some(field) = fields.next()? {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'R' => error.routine = Some(value),
                // The severity in English. Servers before 9.6 and some poolers send only the translated one.
                b'V' => error.is_fatal = value != "ERROR",
                b'S' if matches!(value.as_str(), "FATAL" | "PANIC") => error.is_fatal = true,
                _ => {}
            }
        }
        Ok(error)
    }
}

impl Failure {
    /// The server's error, if it is one.
    pub(crate) fn refused(&self) -> Option<&ServerError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use postgres_protocol::message::backend::Message;

    use super::*;

    fn read(fields: &[(u8, &str)]) -> ServerError {
        let mut body = Vec::new();
        for (kind, value) in fields {
            body.push(*kind);
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut message = BytesMut::from(&b"E"[..]);
        message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend_from_slice(&body);
        match Message::parse(&mut message) {
            Ok(Some(Message::ErrorResponse(body))) => ServerError::read(&body).unwrap(),
            _ => panic!("no error response"),
        }
    }

    #[test]
    fn the_fields_of_an_error_are_read() {
        let error = read(&[
            (b'S', "FEHLER"),
            (b'V', "ERROR"),
            (b'C', "42501"),
            (b'M', "keine Berechtigung"),
            (b'R', "check_enable_rls"),
        ]);
        assert_eq!((error.code.as_str(), error.is_fatal), ("42501", false));
        assert_eq!(error.message, "keine Berechtigung");
        assert_eq!(error.routine.as_deref(), Some("check_enable_rls"));
        assert!(read(&[(b'S', "FATAL"), (b'C', "08P01"), (b'M', "no")]).is_fatal);
        assert!(read(&[(b'S', "SCHWERWIEGEND"), (b'V', "FATAL"), (b'M', "nein")]).is_fatal);
    }
}
