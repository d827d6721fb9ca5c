//! What a source reads, and how well the way to it is protected.

use std::fmt;
use std::path::PathBuf;

use sluice_contracts::documents::LeastTls;

/// A server or a file that a source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A server: a name or an address, without brackets, and a port.
    Server {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The folder of a server's socket.
    Socket(PathBuf),
    /// The tables of a dataset of BigQuery.
    Datasets {
        /// The project that owns it.
        project: String,
        /// The dataset; `None` for all of the project.
        dataset: Option<String>,
    },
    /// A bucket of a cloud, or a container.
    Bucket {
        /// Its URL, without a path: `s3://partner-drop`.
        url: String,
    },
    /// A file, such as a database or a certificate, or a folder of files.
    File(PathBuf),
}

/// How well a connection is protected, from less to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// It may be neither encrypted nor verified.
    None,
    /// It is encrypted; whose server answers is not verified.
    Encrypted,
    /// It is encrypted, and the server's certificate is verified, but not its name.
    VerifiedCertificate,
    /// It is encrypted, and the server's certificate and name are verified.
    VerifiedName,
    /// It does not leave the machine.
    Local,
}

impl Protection {
    /// What meets a demand, and the name of libpq's mode that does.
    pub(crate) fn demanded(least: LeastTls) -> (Self, &'static str) {
        match least {
            LeastTls::Prefer => (Self::None, "prefer"),
            LeastTls::Require => (Self::Encrypted, "require"),
            LeastTls::VerifyCa => (Self::VerifiedCertificate, "verify-ca"),
            LeastTls::VerifyFull => (Self::VerifiedName, "verify-full"),
        }
    }

    /// What a connection without encryption, or to a server that is not verified, means.
    pub fn warning(self) -> Option<String> {
        Some(match self {
            Self::None => {
                "the connection to the source is not encrypted: who can read the network \
                           can read the rows; add `sslmode=verify-full` and `sslrootcert=...` to \
                           its URL"
                    .to_owned()
            }
            Self::Encrypted => "the connection to the source is encrypted, and nothing verifies \
                                that the right server answers; add `sslmode=verify-full` and \
                                `sslrootcert=...` to its URL"
                .to_owned(),
            Self::VerifiedCertificate | Self::VerifiedName | Self::Local => return None,
        })
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not encrypted",
            Self::Encrypted => "encrypted, the server not verified",
            Self::VerifiedCertificate => "encrypted, the server's certificate verified",
            Self::VerifiedName => "encrypted, the server's certificate and name verified",
            Self::Local => "local",
        })
    }
}
