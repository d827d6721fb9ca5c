//! The source's URL, read as libpq reads it.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::{Host, Url};

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

/// Parameters of libpq that the driver does not know, and that are carried out here.
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES>
const CARRIED_OUT_HERE: &[&str] = &["keepalives", "keepalives_idle"];

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
    pub(super) options: PgConnectOptions,
    /// The certificates and keys that it names, each with its parameter.
    pub(super) files: Vec<(String, PathBuf)>,
    /// How long the server may be silent before it is looked at; `None` for as long as it likes.
    pub(super) silence: Option<Duration>,
}

/// Whether a URL may have the parameter.
pub(super) fn is_parameter(name: &str) -> bool {
    let known = [CARRIED_OUT, CARRIED_OUT_HERE, WITHOUT_EFFECT];
    known.iter().any(|names| names.contains(&name))
}

/// Reads a URL, and no server and no disk: whether a file exists is not for everybody to know.
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
    let options = PgConnectOptions::from_str(&carried_out(&url));
    let options = options.map_err(|_| refused("it is not a PostgreSQL URL"))?;
    let options = match url.host() {
        // The driver takes the brackets of the URL for a part of the address.
        Some(Host::Ipv6(address)) if options.get_host().starts_with('[') => {
            options.host(&address.to_string())
        }
        _ => options,
    };
    let files =
        url.query_pairs().filter(|(key, value)| FILES.contains(&&**key) && value != "system");
    let files = files.map(|(key, value)| (key.into_owned(), PathBuf::from(&*value))).collect();
    Ok(Address { options: with_ssl_mode(&url, options)?, files, silence: silence(&url) })
}

/// Looks for the files that a URL names, before a connection is made with them.
///
/// # Errors
/// `NotFound` for the first that does not exist, with its parameter.
pub(super) fn find_files(files: &[(String, PathBuf)]) -> Result<()> {
    let Some((key, path)) = files.iter().find(|(_, path)| !path.is_file()) else { return Ok(()) };
    let path = path.display();
    Err(Error::not_found(format!("read `source.url`: `{key}`: there is no file `{path}`"))
        .hint("name a file that every task can read"))
}

/// The folder of the socket that is connected to, if it is one. The driver finds the server's
/// default socket, and takes one from `PGHOST`, as a host.
pub(super) fn socket(options: &PgConnectOptions) -> Option<&Path> {
    let host = || Some(options.get_host()).filter(|host| host.starts_with('/')).map(Path::new);
    options.get_socket().map(PathBuf::as_path).or_else(host)
}

/// How well a connection is protected at least.
pub(super) fn protection(options: &PgConnectOptions) -> Protection {
    let host = options.get_host();
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if socket(options).is_some() || loopback {
        return Protection::Local;
    }
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Protection::None,
        PgSslMode::Require => Protection::Encrypted,
        PgSslMode::VerifyCa => Protection::VerifiedCertificate,
        PgSslMode::VerifyFull => Protection::VerifiedName,
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
    if key == "options" || key.starts_with("options[") {
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
        "gssencmode" if value == "require" => {
            Err(refused("cannot be `require`".to_owned()).hint("use `sslmode`"))
        }
        "keepalives_idle" if value.parse::<u32>().is_err() => {
            Err(refused("is not a number of seconds".to_owned()).hint("write a whole number"))
        }
        "port" if value.parse::<u16>().is_err() => {
            Err(refused("is not a port".to_owned()).hint("write a number from 1 to 65535"))
        }
        "host" if value.contains(',') => {
            Err(refused("names several hosts".to_owned()).hint("name the one server that is read"))
        }
        _ => Ok(()),
    }
}

/// How long the server may be silent: `keepalives_idle` seconds, or as long as it likes with
/// `keepalives=0`.
fn silence(url: &Url) -> Option<Duration> {
    let last = |name: &str| url.query_pairs().filter(|(key, _)| key == name).last();
    if last("keepalives").is_some_and(|(_, value)| value == "0") {
        return None;
    }
    let asked = last("keepalives_idle").and_then(|(_, value)| value.parse().ok());
    // Zero asks for the default, which is that of the system in libpq.
    Some(asked.filter(|seconds| *seconds > 0).map_or(SILENCE, Duration::from_secs))
}

/// The URL with only those parameters that the driver knows: it logs the values of all others.
fn carried_out(url: &Url) -> String {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, value)| {
            let known = CARRIED_OUT.contains(&&**key) || key.starts_with("options[");
            known && key != "sslmode" && !(key == "sslrootcert" && value == "system")
        })
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let mut url = url.clone();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.into()
}

/// The mode as libpq means it, from the URL or the environment: a root certificate is there to be verified against, so `require`
/// with one verifies. The driver connects without TLS for `allow`; `prefer` is as compatible.
///
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>
fn with_ssl_mode(url: &Url, options: PgConnectOptions) -> Result<PgConnectOptions> {
    let parameter = |wanted: &str| {
        let found = url.query_pairs().filter(|(key, _)| key == wanted).last();
        found.map(|(_, value)| value.into_owned())
    };
    let root = parameter("sslrootcert").or_else(|| variable("PGSSLROOTCERT"));
    let own = || {
        let path = PathBuf::from(variable("HOME")?).join(".postgresql/root.crt");
        path.is_file().then_some(path)
    };
    let (options, root) = match root {
        None => match own() {
            Some(path) => (options.ssl_root_cert(&path), Some(path.display().to_string())),
            None => (options, None),
        },
        Some(root) => (options, Some(root)),
    };
    let asked = parameter("sslmode").or_else(|| variable("PGSSLMODE"));
    if let Some(mode) = asked.as_deref().filter(|mode| !SSL_MODES.contains(mode)) {
        let known = SSL_MODES.map(str::to_owned);
        return Err(Error::invalid(format!("read `PGSSLMODE`: `{mode}` is not a mode"))
            .hint(nearest_hint(mode, &known)));
    }
    let mode = match (asked.as_deref(), root.as_deref()) {
        (_, Some("system")) | (Some("verify-full"), _) => PgSslMode::VerifyFull,
        (Some("verify-ca"), _) | (Some("require"), Some(_)) => PgSslMode::VerifyCa,
        (Some("require"), None) => PgSslMode::Require,
        (Some("disable"), _) => PgSslMode::Disable,
        _ => PgSslMode::Prefer,
    };
    Ok(options.ssl_mode(mode))
}

/// A variable of libpq. The driver reads them too, but not as libpq does.
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
#[expect(clippy::disallowed_methods, reason = "no setting of Sluice")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use sluice_contracts::Kind;

    use super::*;

    fn options(url: &str) -> Result<PgConnectOptions> {
        read(url).map(|address| address.options)
    }

    fn refusal(url: &str) -> String {
        let error = options(url).expect_err(url);
        format!("{} | {}", error.chain(), error.remedy().unwrap_or_default())
    }

    fn mode(parameters: &str) -> String {
        let options = options(&format!("postgres://u@h/d?{parameters}")).unwrap();
        format!("{:?}", options.get_ssl_mode())
    }

    #[test]
    fn an_ipv6_address_has_no_brackets() {
        for (url, host) in [
            ("postgres://u@[::1]:5432/d", "::1"),
            ("postgres://u@[2001:db8::1]/d?sslmode=require", "2001:db8::1"),
            ("postgres://u@x/d?host=::1", "::1"),
            ("postgres://u@127.0.0.1/d", "127.0.0.1"),
        ] {
            assert_eq!(options(url).unwrap().get_host(), host);
        }
    }

    #[test]
    fn modes_are_those_of_libpq() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (parameters, expected) in [
            ("sslmode=disable".to_owned(), "Disable"),
            ("sslmode=allow".to_owned(), "Prefer"),
            ("sslmode=require".to_owned(), "Require"),
            (format!("sslmode=require&sslrootcert={root}"), "VerifyCa"),
            (format!("sslmode=verify-full&sslrootcert={root}"), "VerifyFull"),
            ("sslrootcert=system".to_owned(), "VerifyFull"),
        ] {
            assert_eq!(mode(&parameters), expected, "{parameters}");
        }
    }

    #[test]
    fn the_longest_silence_is_read_from_the_url() {
        let silence = |parameters: &str| {
            let address = read(&format!("postgres://u@h/d?{parameters}")).unwrap();
            address.silence.map(|silence| silence.as_secs())
        };
        assert_eq!(silence("sslmode=prefer"), Some(120));
        assert_eq!(silence("keepalives_idle=30"), Some(30));
        assert_eq!(silence("keepalives_idle=0"), Some(120));
        assert_eq!(silence("keepalives=1"), Some(120));
        assert_eq!(silence("keepalives=0&keepalives_idle=30"), None);
        assert!(read("postgres://u@h/d?keepalives_idle=soon").is_err());
    }

    #[test]
    fn parameters_of_other_clients_are_accepted_and_mistakes_are_not() {
        for parameters in [
            "channel_binding=require&connect_timeout=10&target_session_attrs=any&keepalives=1",
            "schema=public&pgbouncer=true",
            "options=-c%20search_path%3Dshop&options[geqo]=off",
        ] {
            options(&format!("postgres://u@h/d?{parameters}")).unwrap();
        }
        for (parameters, expected) in [
            ("sslmod=verify-full", "`sslmod` is not a parameter | did you mean `sslmode`?"),
            ("sslmode=requires", "`sslmode` is not a mode | did you mean `require`?"),
            ("port=many", "`port` is not a port"),
            ("host=a,b", "`host` names several hosts"),
            ("gssencmode=require", "`gssencmode` cannot be `require`"),
        ] {
            let said = refusal(&format!("postgres://u:s3cret@h/d?{parameters}"));
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_file_is_looked_for_when_it_is_needed_and_named_with_its_parameter() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let find = |parameters: &str| {
            find_files(&read(&format!("postgres://u@h/d?{parameters}")).unwrap().files)
        };
        assert!(find(&format!("sslrootcert={own}&sslkey={own}")).is_ok());
        assert!(find("sslrootcert=system").is_ok());
        let error = find(&format!("sslrootcert={own}&sslcert=/nowhere/me.crt")).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.chain().ends_with("`sslcert`: there is no file `/nowhere/me.crt`"));
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_not_shown() {
        for url in [
            "postgres://u:p@zz/w#qq:$x%é@127.0.0.1:54392/d",
            "postgres://u:p@zz@h/d",
            "postgres://u:zz#qq@h/d",
            "postgres://u:zz/qq@h/d",
            "postgres://u:zz?qq@h/d",
            "postgres://u:p@zz?qq@h/d",
            "postgres://u@h/d?zzqq=1",
        ] {
            let said = refusal(url);
            assert!(said.contains("percent-encode") || url.ends_with("=1"), "{said}");
            assert!(!said.contains("zz") && !said.contains("qq"), "{said}");
        }
        assert!(refusal("postgres://u@a:1,b:2/d").contains("several hosts"));
        assert!(refusal("postgres://u@h:port/d").contains("not a PostgreSQL URL"));
    }
}
