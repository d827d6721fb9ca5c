//! What a connection sends and receives bytes over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use super::options::{Options, SslMode};
use super::tls;

/// A socket of the system, or TLS over one.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Asks the server for TLS: a length and a number in place of a version.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST>
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

impl Socket {
    /// Connects, and encrypts the connection as the options say. A socket of this machine needs no TLS, and
    /// the server does not offer it there.
    pub(super) async fn connect(options: &Options) -> Result<Self, Failure> {
        if let Some(folder) = options.socket() {
            let path = folder.join(format!(".s.PGSQL.{}", options.port));
            return Ok(Self::Unix(UnixStream::connect(path).await?));
        }
        let mut socket = TcpStream::connect((options.host.as_str(), options.port)).await?;
        socket.set_nodelay(true)?;
        if options.ssl_mode == SslMode::Disable {
            return Ok(Self::Plain(socket));
        }
        socket.write_all(&TLS_REQUEST).await?;
        // No more than this byte is read without encryption: what came with it would be taken for
        // what the server said under encryption.
        match socket.read_u8().await? {
            b'S' => {
                let name = options.host.clone();
                let connector = tls::connector(options)?;
                let name = name.try_into().map_err(|source| {
                    Failure::Unusable("the host is no name of a server", Some(Box::new(source)))
                })?;
                Ok(Self::Tls(Box::new(connector.connect(name, socket).await?)))
            }
            b'N' if options.ssl_mode == SslMode::Prefer => Ok(Self::Plain(socket)),
            b'N' => Err(Failure::NoTls),
            // A server that cannot start a process says so without encryption. The text is not read, because
            // anybody between could have sent it.
            b'E' => Err(Failure::Protocol("an error in place of TLS")),
            _ => Err(Failure::Protocol("it is not that of a PostgreSQL server")),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, into),
            Self::Unix(socket) => Pin::new(socket).poll_read(context, into),
            Self::Tls(socket) => Pin::new(socket).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
