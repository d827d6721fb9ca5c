//! The source's URL, read as libpq reads it.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{User, geteuid};
use percent_encoding::percent_decode_str;
use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Result};
use url::{Host, Url};

use super::driver::{DEFAULT_SOCKETS, Options, SslMode, passfile};
use super::login::{self, Credentials};
use super::silence::SILENCE;
use crate::place::Protection;

/// Parameters that are carried out.
const CARRIED_OUT: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Parameters that say how a connection is watched, and how it logs in.
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES>
const CARRIED_OUT_HERE: &[&str] = &["keepalives", "keepalives_idle", login::PARAMETER];

/// Parameters of libpq and of other clients' URLs that change nothing about what is read and how
/// safely: timeouts, and settings of pools.
const WITHOUT_EFFECT: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "connection_limit",
    "fallback_application_name",
    "gssencmode",
    "keepalives_count",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "pgbouncer",
    "pool_timeout",
    "schema",
    "sslcompression",
    "sslsni",
    "statement-cache-capacity",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Parameters that hold the path of a certificate or a key.
pub(super) const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// How a URL is written, for hints.
const FORM: &str = "write `postgres://user:password@host:5432/database`; percent-encode `@`, `/`, \
                    `:`, `?`, `#` and `%` inside of the password";

/// What a URL says.
#[derive(Debug)]
pub(super) struct Address {
    /// What to connect to, and how.
    pub(super) options: Options,
    /// How a connection says who it is.
    pub(super) credentials: Credentials,
    /// The certificates and keys that it names, each with its parameter, and those that libpq's
    /// variables name, each with its variable.
    pub(super) files: Vec<(String, PathBuf)>,
    /// How long the server may be silent before it is looked at; `None` for as long as it likes.
    pub(super) silence: Option<Duration>,
}

/// Whether a URL may have the parameter.
pub(super) fn is_parameter(name: &str) -> bool {
    let known = [CARRIED_OUT, CARRIED_OUT_HERE, WITHOUT_EFFECT];
    known.iter().any(|names| names.contains(&name))
}

/// Reads a URL, and what libpq's files of this user add to it. Whether a file that it names exists is found
/// out later, because not everybody is to know that.
///
/// # Errors
/// `Invalid` for a URL that libpq would refuse, and for parameters that neither libpq nor another
/// client has. No error holds a part of the URL but names of parameters.
pub(super) fn read(text: &str) -> Result<Address> {
    let refused = |why: &str| Error::invalid(format!("read `source.url`: {why}")).hint(FORM);
    refuse_misread(text)?;
    // The parser's own message may repeat parts of the URL, so it is not attached.
    let url = Url::parse(text).map_err(|_| refused("it is not a PostgreSQL URL"))?;
    for (key, value) in url.query_pairs() {
        check_parameter(&key, &value)?;
    }
    let named = named_user(&url);
    let credentials = match parameter(&url, login::PARAMETER) {
        Some(_) => Credentials::OfAccount { user: named.clone(), account: None },
        None => Credentials::OfUrl,
    };
    let user = match (&credentials, named) {
        (_, Some(named)) => named,
        (Credentials::OfUrl, None) => user_of_process()?,
        // The account's name is asked for when a connection is made.
        (Credentials::OfAccount { .. }, None) => String::new(),
    };
    let mut options = options(&url, user).ok_or_else(|| refused("it is not a PostgreSQL URL"))?;
    let files =
        url.query_pairs().filter(|(key, value)| FILES.contains(&&**key) && value != "system");
    let files = files.map(|(key, value)| (key.into_owned(), PathBuf::from(&*value)));
    let files = files.chain(files_of_variables(&url)).collect();
    set_ssl_mode(&url, &mut options)?;
    set_address(&url, &mut options)?;
    if options.password.is_none() && matches!(credentials, Credentials::OfUrl) {
        let file = passfile::location(variable("PGPASSFILE"), variable("HOME"));
        options.password = file.and_then(|file| passfile::password(&file, &options));
    }
    let has_password = url.password().is_some() || parameter(&url, "password").is_some();
    credentials.check(has_password, options.database.is_some(), protection(&options))?;
    Ok(Address { options, credentials, files, silence: silence(&url) })
}

/// The certificates and keys of the variables that count, because the URL says nothing else.
fn files_of_variables(url: &Url) -> impl Iterator<Item = (String, PathBuf)> {
    FILES.into_iter().filter_map(|key| {
        let name = format!("PG{}", key.to_uppercase());
        let value = variable(&name).filter(|value| value != "system")?;
        parameter(url, key).is_none().then(|| (name, PathBuf::from(value)))
    })
}

/// Looks for the files that a URL names, before a connection is made with them.
///
/// # Errors
/// `NotFound` for the first that does not exist, with its parameter.
pub(super) fn find_files(files: &[(String, PathBuf)]) -> Result<()> {
    let Some((key, path)) = files.iter().find(|(_, path)| !path.is_file()) else { return Ok(()) };
    let (path, place) = (path.display(), if is_parameter(key) { "`source.url`: " } else { "" });
    Err(Error::not_found(format!("read {place}`{key}`: there is no file `{path}`"))
        .hint("name a file that every task can read"))
}

/// How well a connection is protected at least.
pub(super) fn protection(options: &Options) -> Protection {
    let host = &options.host;
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if options.socket().is_some() || loopback {
        return Protection::Local;
    }
    match options.ssl_mode {
        SslMode::Disable | SslMode::Prefer => Protection::None,
        SslMode::Require => Protection::Encrypted,
        SslMode::VerifyCa => Protection::VerifiedCertificate,
        SslMode::VerifyFull => Protection::VerifiedName,
    }
}

/// Refuses a URL that would be read in another way than it was meant: with several hosts, or with a
/// password that is not percent-encoded, whose rest would be taken for a host or a database.
fn refuse_misread(text: &str) -> Result<()> {
    let refused = |why: &str| Error::invalid(format!("read `source.url`: {why}")).hint(FORM);
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    let keys = || query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if authority.matches('@').count() > 1
        || after.contains('#')
        || path.contains('@')
        || keys().any(|key| key.contains(['@', '/', ':']))
    {
        return Err(refused("its password is not percent-encoded"));
    }
    let server = authority.rsplit('@').next().unwrap_or_default();
    if server.contains(',') {
        return Err(Error::invalid("read `source.url`: it names several hosts")
            .hint("name the one server that is read"));
    }
    Ok(())
}

fn check_parameter(key: &str, value: &str) -> Result<()> {
    let refused = |why: String| Error::invalid(format!("read `source.url`: `{key}` {why}"));
    if key == "options" || key.starts_with("options[") && key.ends_with(']') {
        return Ok(());
    }
    if !is_parameter(key) {
        let known = CARRIED_OUT.iter().chain(CARRIED_OUT_HERE);
        let known: Vec<String> = known.map(|name| (*name).to_owned()).collect();
        let hint = nearest_hint(key, &known);
        // What resembles no parameter may be the rest of a password.
        return Err(if hint.starts_with("did you mean") {
            refused("is not a parameter".to_owned()).hint(hint)
        } else {
            Error::invalid("read `source.url`: it has an unknown parameter").hint(hint)
        });
    }
    match key {
        "sslmode" if !SSL_MODES.contains(&value) => {
            let known = SSL_MODES.map(str::to_owned);
            Err(refused("is not a mode".to_owned()).hint(nearest_hint(value, &known)))
        }
        login::PARAMETER => login::check_value(value),
        "gssencmode" if value == "require" => {
            Err(refused("cannot be `require`".to_owned()).hint("use `sslmode`"))
        }
        "keepalives_idle" if value.parse::<u32>().is_err() => {
            Err(refused("is not a number of seconds".to_owned()).hint("write a whole number"))
        }
        "port" if value.parse::<u16>().is_err() => {
            Err(refused("is not a port".to_owned()).hint("write a number from 1 to 65535"))
        }
        "hostaddr" if value.parse::<IpAddr>().is_err() => {
            Err(refused("is not an address".to_owned()).hint("write a name as `host`"))
        }
        "host" if value.contains(',') => {
            Err(refused("names several hosts".to_owned()).hint("name the one server that is read"))
        }
        _ => Ok(()),
    }
}

/// The user that the URL names.
fn named_user(url: &Url) -> Option<String> {
    let own = percent_decode_str(url.username()).decode_utf8_lossy().into_owned();
    parameter(url, "user").into_iter().chain([own]).find(|user| !user.is_empty())
}

/// The user of a URL that names none: that of `PGUSER`, or the one that this process runs as.
fn user_of_process() -> Result<String> {
    let own = || Some(User::from_uid(geteuid()).ok()??.name);
    variable("PGUSER").or_else(own).ok_or_else(|| {
        Error::invalid(
            "read `source.url`: it names no user, and the user of this process has no name",
        )
        .hint(FORM)
    })
}

/// Connects to `hostaddr`. The certificate is that of the host beside it in libpq, but here the one name
/// is verified that is connected to.
fn set_address(url: &Url, options: &mut Options) -> Result<()> {
    let Some(address) = parameter(url, "hostaddr") else { return Ok(()) };
    let refused = |why: &str| Error::invalid(format!("read `source.url`: `hostaddr` {why}"));
    if options.socket().is_some_and(|_| names_host(url)) {
        return Err(refused("stands beside the folder of a socket").hint("keep one of the two"));
    }
    let is_named = names_host(url) && options.host != address;
    if is_named && options.ssl_mode == SslMode::VerifyFull {
        return Err(refused("stands beside a host whose name is to be verified").hint(
            "leave `hostaddr` out and have the name lead to that address, or verify the \
             certificate without its name: `sslmode=verify-ca`",
        ));
    }
    options.host = address;
    Ok(())
}

/// Whether the URL names a host.
fn names_host(url: &Url) -> bool {
    let host = parameter(url, "host").or_else(|| url.host_str().map(str::to_owned));
    host.is_some_and(|host| !host.is_empty())
}

/// The value of a parameter; the last, if there are several.
fn parameter(url: &Url, wanted: &str) -> Option<String> {
    let found = url.query_pairs().filter(|(key, _)| key == wanted).last();
    found.map(|(_, value)| value.into_owned())
}

/// How long the server may be silent: `keepalives_idle` seconds, or as long as it likes with
/// `keepalives=0`.
fn silence(url: &Url) -> Option<Duration> {
    if parameter(url, "keepalives").is_some_and(|value| value == "0") {
        return None;
    }
    let asked = parameter(url, "keepalives_idle").and_then(|value| value.parse().ok());
    // Zero asks for the default, which is that of the system in libpq.
    Some(asked.filter(|seconds| *seconds > 0).map_or(SILENCE, Duration::from_secs))
}

/// What the URL and libpq's variables say, without `sslmode` and `hostaddr`. `None` if the URL has parts
/// that are not UTF-8.
fn options(url: &Url, user: String) -> Option<Options> {
    let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let is_said = |text: &String| !text.is_empty();
    let port = parameter(url, "port").and_then(|port| port.parse().ok()).or_else(|| url.port());
    let port = port.or_else(|| variable("PGPORT")?.parse().ok()).unwrap_or(5432);
    let host = match url.host() {
        Some(Host::Ipv6(address)) => Some(address.to_string()),
        Some(host) => Some(decoded(&host.to_string())?),
        None => None,
    };
    let host = parameter(url, "host").or(host).filter(is_said);
    let host = host.or_else(|| variable("PGHOSTADDR")).or_else(|| variable("PGHOST"));
    let password = match url.password() {
        Some(password) => Some(decoded(password)?),
        None => None,
    };
    let path = Some(decoded(url.path().trim_start_matches('/'))?).filter(is_said);
    let file = |key: &str| {
        let named = parameter(url, key).or_else(|| variable(&format!("PG{}", key.to_uppercase())));
        named.filter(|path| path != "system").map(PathBuf::from)
    };
    let mut options = Options {
        host: host.unwrap_or_else(|| default_host(port)),
        port,
        user,
        password: parameter(url, "password")
            .or(password)
            .filter(is_said)
            .or_else(|| variable("PGPASSWORD")),
        database: parameter(url, "dbname").or(path).or_else(|| variable("PGDATABASE")),
        ssl_mode: SslMode::Prefer,
        root: file("sslrootcert"),
        certificate: file("sslcert"),
        key: file("sslkey"),
        settings: variable("PGOPTIONS"),
        application: None,
    };
    for (key, value) in url.query_pairs() {
        let setting = key.strip_prefix("options[").and_then(|key| key.strip_suffix(']'));
        match setting {
            // A backslash before a blank keeps it in the value. The server takes any blank for a space there.
            Some(setting) => {
                let setting = format!("{setting}={value}");
                let escaped = setting.replace('\\', "\\\\");
                let escaped = escaped.replace(|c: char| c.is_ascii_whitespace(), "\\ ");
                options.add_settings(&format!("-c {escaped}"));
            }
            None if key == "options" => options.add_settings(&value),
            None => {}
        }
    }
    Some(options)
}

/// Where libpq connects to if nothing names a host: to a server of this machine.
fn default_host(port: u16) -> String {
    let has_socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    DEFAULT_SOCKETS.into_iter().find(has_socket).unwrap_or("localhost").to_owned()
}

/// The mode as libpq means it, from the URL or the environment: a root certificate is there to be
/// verified against, so `require` with one verifies. `allow` is taken for `prefer`, which is as
/// compatible.
///
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>
fn set_ssl_mode(url: &Url, options: &mut Options) -> Result<()> {
    let own = || {
        let path = PathBuf::from(variable("HOME")?).join(".postgresql/root.crt");
        path.is_file().then_some(path)
    };
    let named = parameter(url, "sslrootcert").or_else(|| variable("PGSSLROOTCERT"));
    if named.is_none() {
        options.root = own();
    }
    let root = named.or_else(|| Some(options.root.as_ref()?.display().to_string()));
    let asked = parameter(url, "sslmode").or_else(|| variable("PGSSLMODE"));
    if let Some(mode) = asked.as_deref().filter(|mode| !SSL_MODES.contains(mode)) {
        let known = SSL_MODES.map(str::to_owned);
        return Err(Error::invalid(format!("read `PGSSLMODE`: `{mode}` is not a mode"))
            .hint(nearest_hint(mode, &known)));
    }
    options.ssl_mode = match (asked.as_deref(), root.as_deref()) {
        (_, Some("system")) | (Some("verify-full"), _) => SslMode::VerifyFull,
        (Some("verify-ca"), _) | (Some("require"), Some(_)) => SslMode::VerifyCa,
        (Some("require"), None) => SslMode::Require,
        (Some("disable"), _) => SslMode::Disable,
        _ => SslMode::Prefer,
    };
    Ok(())
}

/// A variable of libpq.
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
#[expect(clippy::disallowed_methods, reason = "no setting of Sluice")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
