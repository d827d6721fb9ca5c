//! What the connection makes of what a server sends.

use std::time::Duration;

use tokio::net::UnixStream;

use super::*;
use crate::postgres::copy::tests::messages::message as copied;

/// A message of the server.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"T")
}

fn refusal() -> Vec<u8> {
    message(b'E', b"SERROR\0VERROR\0C57014\0Mcancelled\0\0")
}

fn notice() -> Vec<u8> {
    message(b'N', b"SNOTICE\0C00000\0Ma value\0\0")
}

fn begin_copy() -> Vec<u8> {
    message(b'H', b"\x01\0\x01\0\x01")
}

fn end_copy() -> Vec<u8> {
    [message(b'c', b""), message(b'C', b"COPY 1\0"), ready()].concat()
}

/// A connection to a server that says this, in pieces of this size, whatever it is asked.
fn connection(said: &[Vec<u8>], piece: usize) -> Connection {
    let (own, mut server) = UnixStream::pair().unwrap();
    let said = said.concat();
    tokio::spawn(async move {
        for piece in said.chunks(piece) {
            // The test may have ended.
            if server.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    Connection::over(Socket::Unix(own))
}

/// Takes everything but messages.
#[derive(Default)]
struct Taken(Vec<u8>);

impl CopySink for Taken {
    type Output = ();
    type Error = Failure;

    fn take_messages(&mut self, _: &mut &[u8]) -> Result<Option<()>, Failure> {
        Ok(None)
    }

    fn take_bytes(&mut self, bytes: &mut &[u8]) -> Result<Option<()>, Failure> {
        let (first, rest) = bytes.split_at(bytes.len().min(3));
        self.0.extend_from_slice(first);
        *bytes = rest;
        Ok((!rest.is_empty()).then_some(()))
    }
}

async fn copy(connection: &mut Connection) -> Result<Vec<u8>, Failure> {
    connection.begin_copy("copy").await?;
    let mut taken = Taken::default();
    loop {
        while connection.take_copied(&mut taken)?.is_some() {}
        if connection.receive_copied().await? == Progress::End {
            return Ok(taken.0);
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_copy_arrive_however_they_are_cut() {
    let rows: Vec<Vec<u8>> = (0_u8..40).map(|n| vec![n; usize::from(n)]).collect();
    let mut said = vec![begin_copy()];
    for row in &rows {
        said.extend([copied(row), notice()]);
    }
    said.extend([end_copy(), message(b'C', b"SELECT 0\0"), ready()]);
    for piece in [1, 2, 7, 64, 4_000] {
        let mut connection = connection(&said, piece);
        assert_eq!(copy(&mut connection).await.unwrap(), rows.concat(), "{piece}");
        assert!(!connection.is_copying());
        assert!(connection.query("select").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_error_ends_a_copy_and_not_the_connection() {
    let said = vec![begin_copy(), copied(b"row"), refusal(), ready(), refusal(), ready(), ready()];
    let mut connection = connection(&said, 5);
    let error = copy(&mut connection).await.unwrap_err();
    assert_eq!(error.refused().unwrap().code, "57014");
    assert!(connection.query("select").await.unwrap_err().refused().is_some());
    assert!(connection.query("select").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_copy_that_does_not_begin_leaves_the_connection_free() {
    let mut connection = connection(&[refusal(), ready(), ready()], 100);
    assert!(copy(&mut connection).await.unwrap_err().refused().is_some());
    assert!(connection.query("select").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_copy_is_read_to_its_end_before_another_statement() {
    let said = vec![begin_copy(), copied(b"first"), copied(b"second"), end_copy(), ready()];
    let mut connection = connection(&said, 4);
    connection.begin_copy("copy").await.unwrap();
    assert!(matches!(connection.query("select").await, Err(Failure::Busy)));
    while connection.is_copying() {
        connection.skip_copied().await.unwrap();
    }
    assert!(connection.query("select").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_was_given_up_is_read_before_the_next() {
    let (own, mut server) = UnixStream::pair().unwrap();
    let mut connection = Connection::over(Socket::Unix(own));
    let given_up = tokio::time::timeout(Duration::from_millis(10), connection.query("select"));
    assert!(given_up.await.is_err());
    let late = [message(b'T', b"\0\0"), message(b'D', b"\0\0"), ready(), notice(), ready()];
    server.write_all(&late.concat()).await.unwrap();
    assert!(connection.query("select").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused() {
    for (said, words) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "too long"),
        (message(b'?', b"abc"), "cannot be read"),
        (message(b'D', b"\0\x01\0\0"), "cannot be read"),
        (message(b'R', b"\0\0\0\0"), "out of turn"),
        (vec![b'Z', 0, 0, 0, 1], "cannot be read"),
    ] {
        let error = connection(&[said], 100).query("select").await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = connection(&[refusal()[..9].to_vec()], 100).query("x").await.unwrap_err();
    assert!(matches!(error, Failure::Io(_)), "{error}");
    // A fatal error ends the connection, and is what is said.
    let mut ended = connection(&[refusal()], 100);
    assert!(ended.query("select").await.unwrap_err().refused().is_some());
}

#[tokio::test]
async fn a_text_with_a_zero_byte_is_not_sent() {
    let mut connection = connection(&[ready()], 100);
    let error = connection.query("select '\0'").await.unwrap_err();
    assert!(matches!(error, Failure::Unusable(..)), "{error}");
    assert!(connection.query("select").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_wants_another_proof_is_refused() {
    let options = |password: Option<&str>| Options {
        password: password.map(str::to_owned),
        ..Options::local("u")
    };
    for (body, expected) in [
        (&b"\0\0\0\x07"[..], "GSSAPI"),
        (b"\0\0\0\x02", "Kerberos"),
        (b"\0\0\0\x0aSCRAM-SHA-1\0\0", "other than SCRAM-SHA-256"),
    ] {
        let mut connection = connection(&[message(b'R', body)], 100);
        let error = connection.start(&options(Some("p"))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // A server that only says that it is content did not prove that it knows the password.
    let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let content = [message(b'R', b"\0\0\0\0"), ready()].concat();
    let mut connection = connection(&[sasl, content], 100);
    let error = connection.start(&options(Some("p"))).await.unwrap_err();
    assert!(matches!(error, Failure::Protocol(_)), "{error}");
}
