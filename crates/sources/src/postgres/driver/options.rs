//! The options of a connection: its server, its user and its protection.

use std::path::{Path, PathBuf};

/// How well a connection is protected.
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Not encrypted.
    Disable,
    /// Encrypted, if the server does it.
    Prefer,
    /// Encrypted.
    Require,
    /// The server's certificate is of a known authority.
    VerifyCa,
    /// The same, and is for the host that is connected to.
    VerifyFull,
}

/// The server, the user and the protection of a connection.
#[derive(Clone)]
pub(crate) struct Options {
    /// A name or an address, or the folder of a socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    /// The server takes the user's name without one.
    pub(crate) database: Option<String>,
    pub(crate) ssl_mode: SslMode,
    /// A file of certificates of authorities, in place of the public ones.
    pub(crate) root: Option<PathBuf>,
    /// The certificate that this program shows, and its key.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Settings, as the server's command line has them.
    pub(crate) settings: Option<String>,
    /// The program's name in the server's views.
    pub(crate) application: Option<String>,
}

impl Options {
    /// A server of this machine.
    #[cfg(test)]
    pub(crate) fn local(user: &str) -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5432,
            user: user.to_owned(),
            password: None,
            database: None,
            ssl_mode: SslMode::Prefer,
            root: None,
            certificate: None,
            key: None,
            settings: None,
            application: None,
        }
    }

    /// The folder of the socket that is connected to, if it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        Some(self.host.as_str()).filter(|host| host.starts_with('/')).map(Path::new)
    }

    /// The database.
    pub(crate) fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }

    /// Adds settings as the server's command line has them.
    pub(crate) fn add_settings(&mut self, settings: &str) {
        let all = self.settings.get_or_insert_default();
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(settings);
    }
}

// The password is not shown.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("ssl_mode", &self.ssl_mode)
            .finish_non_exhaustive()
    }
}
