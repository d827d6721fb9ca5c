//! URLs as libpq reads them, and those that are refused.

use sluice_contracts::Kind;

use super::*;

fn options_of(url: &str) -> Result<Options> {
    read(url).map(|address| address.options)
}

fn refusal(url: &str) -> String {
    let error = options_of(url).expect_err(url);
    format!("{} | {}", error.chain(), error.remedy().unwrap_or_default())
}

fn mode(parameters: &str) -> String {
    let options = options_of(&format!("postgres://u@h/d?{parameters}")).unwrap();
    format!("{:?}", options.ssl_mode)
}

#[test]
fn an_ipv6_address_has_no_brackets() {
    for (url, host) in [
        ("postgres://u@[::1]:5432/d", "::1"),
        ("postgres://u@[2001:db8::1]/d?sslmode=require", "2001:db8::1"),
        ("postgres://u@x/d?host=::1", "::1"),
        ("postgres://u@127.0.0.1/d", "127.0.0.1"),
    ] {
        assert_eq!(options_of(url).unwrap().host, host);
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
fn a_login_by_an_account_has_no_password_and_an_encrypted_connection() {
    let login = |rest: &str| {
        let address = read(&format!("postgres://{rest}")).map_err(|error| error.chain())?;
        Ok::<_, String>(format!("{:?}", address.credentials))
    };
    let by_account = |user: &str| format!("OfAccount {{ user: {user}, account: None }}");
    for (rest, expected) in [
        ("h/d?login=google_iam&sslmode=require", by_account("None")),
        ("u%40x.iam@h/d?login=google_iam&sslmode=verify-ca", by_account("Some(\"u@x.iam\")")),
        ("%2Fcloudsql%2Fp%3Ar%3Ai/d?user=u&login=google_iam", by_account("Some(\"u\")")),
        ("localhost/d?login=google_iam", by_account("None")),
        ("u@h/d", "OfUrl".to_owned()),
    ] {
        assert_eq!(login(rest).unwrap(), expected, "{rest}");
    }
    for (rest, words) in [
        ("u:p@h/d?login=google_iam&sslmode=require", "cannot be combined with a password"),
        ("u@h/d?login=google_iam&sslmode=require&password=p", "cannot be combined with a password"),
        ("u@h/d?login=google_iam&sslmode=prefer", "needs an encrypted connection"),
        ("u@h/d?login=google_iam", "needs an encrypted connection"),
        ("u@h?login=google_iam&sslmode=require", "the name of a database"),
        ("u@h/d?login=iam", "not a kind of login"),
    ] {
        let said = login(rest).unwrap_err();
        assert!(said.contains(words), "{rest}: {said}");
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
        options_of(&format!("postgres://u@h/d?{parameters}")).unwrap();
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

/// libpq does so.
#[test]
fn a_url_without_a_user_means_the_one_who_runs_the_program() {
    let asked = std::process::Command::new("id").arg("-un").output().unwrap();
    let own = String::from_utf8(asked.stdout).unwrap();
    let own = variable("PGUSER").unwrap_or_else(|| own.trim().to_owned());
    for url in ["postgres://h/d", "postgres:///d", "postgres://:pw@h/d", "postgres://h/d?user="] {
        assert_eq!(options_of(url).unwrap().user, own, "{url}");
    }
    for url in ["postgres://me@h/d", "postgres://h/d?user=me", "postgres://u@h/d?user=me"] {
        assert_eq!(options_of(url).unwrap().user, "me", "{url}");
    }
}

#[test]
fn an_address_beside_a_host_is_connected_to_unless_the_name_is_to_be_verified() {
    for parameters in ["hostaddr=10.0.0.1", "hostaddr=10.0.0.1&host=db", "host=db&hostaddr=::1"] {
        for mode in ["prefer", "require", "verify-ca"] {
            let options =
                options_of(&format!("postgres://u@h/d?{parameters}&sslmode={mode}")).unwrap();
            assert_ne!(options.host, "h");
            assert_ne!(options.host, "db");
        }
        let said = refusal(&format!("postgres://u@h/d?{parameters}&sslmode=verify-full"));
        assert!(said.contains("whose name is to be verified | leave `hostaddr` out"), "{said}");
    }
    for url in
        ["postgres://u@10.0.0.1/d?hostaddr=10.0.0.1", "postgres:///d?user=u&hostaddr=10.0.0.1"]
    {
        let options = options_of(&format!("{url}&sslmode=verify-full")).unwrap();
        assert_eq!(options.host, "10.0.0.1", "{url}");
    }
    let said = refusal("postgres://u@%2Fvar%2Frun/d?hostaddr=10.0.0.1");
    assert!(said.contains("the folder of a socket | keep one"), "{said}");
    assert!(
        refusal("postgres://u@h/d?hostaddr=db.example").contains("`hostaddr` is not an address")
    );
}
