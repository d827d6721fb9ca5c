//! What URLs name, and which are refused.

use proptest::prelude::*;
use sluice_contracts::Kind;

use super::*;

#[test]
fn a_url_names_a_store_and_files_in_it() {
    for (url, root, prefix, is_pattern) in [
        ("file:///data/a.csv", "file://", "data", false),
        ("file:///data/*.csv", "file://", "data", true),
        ("file:///data/a%20b/", "file://", "data/a b", true),
        ("gs://lake/in/a b.csv", "gs://lake", "in", false),
        ("gs://lake", "gs://lake", "", true),
        ("s3://partner-drop/in/**/*.csv", "s3://partner-drop", "in", true),
        ("s3://drop/a%20b.csv", "s3://drop", "", false),
        ("az://drop/in/", "az://drop", "in", true),
        (
            "abfss://drop@shop.dfs.core.windows.net/in/a.csv",
            "abfss://drop@shop.dfs.core.windows.net",
            "in",
            false,
        ),
        ("https://host/in/a.csv", "https://host", "in", false),
        ("http://127.0.0.1:8080/a.csv", "http://127.0.0.1:8080", "", false),
    ] {
        let address = Address::parse(url).unwrap();
        assert_eq!(address.root(), root, "{url}");
        assert_eq!(address.prefix().as_ref(), prefix, "{url}");
        assert_eq!(address.is_pattern(), is_pattern, "{url}");
        assert_eq!(address.label(), url);
    }
}

#[test]
fn a_place_is_what_an_operator_lists() {
    for (url, place) in [
        ("file:///data/x/*.csv", Place::File("/data/x".into())),
        ("file:///data/x%2A.csv", Place::File("/data/x*.csv".into())),
        ("file:///*", Place::File("/".into())),
        ("s3://drop/in/*", Place::Bucket { url: "s3://drop".into() }),
        ("https://host/a.csv", Place::Server { host: "host".into(), port: 443 }),
        ("http://host:8080/a.csv", Place::Server { host: "host".into(), port: 8080 }),
        ("https://[::1]/a.csv", Place::Server { host: "::1".into(), port: 443 }),
    ] {
        assert_eq!(Address::parse(url).unwrap().place(), place, "{url}");
    }
}

#[test]
fn a_way_is_as_safe_as_its_scheme() {
    for (url, protection) in [
        ("file:///data/a.csv", Protection::Local),
        ("http://host/a.csv", Protection::None),
        ("https://host/a.csv", Protection::VerifiedName),
        ("s3://drop/a.csv", Protection::VerifiedName),
    ] {
        assert_eq!(Address::parse(url).unwrap().protection(), protection, "{url}");
    }
}

#[test]
fn a_query_string_is_kept_and_not_shown() {
    let url = "https://host/in/a.csv?sig=s3cret";
    let address = Address::parse(url).unwrap();
    assert_eq!(address.label(), "https://host/in/a.csv");
    assert!(address.root().starts_with("https://host#"), "{}", address.root());
    assert!(!format!("{address:?}{}", address.root()).contains("s3cret"));
    assert!(address.matches("in/a.csv"));
    let StoreKind::Web { url: kept, is_plain: false } = address.kind() else { panic!() };
    assert_eq!(kept.as_str(), url);
    let other = Address::parse("https://host/in/a.csv?sig=other").unwrap();
    assert_ne!(other.root(), address.root());
}

#[test]
fn an_escape_that_a_path_cannot_hold_is_kept() {
    for (url, is_plain, name) in [
        ("https://host/a%20b/%C3%BC.csv", true, "a b/ü.csv"),
        ("https://host/a+b=c.csv", true, "a+b=c.csv"),
        ("https://host/100%25.csv", true, "100%.csv"),
        ("https://host/o/in%2Fa.csv", false, "in/a.csv"),
        ("https://host/a%2Bb.csv", false, "a+b.csv"),
        ("https://host//a.csv", false, "a.csv"),
        ("https://host/a//b.csv", false, "a/b.csv"),
        ("https://host/%FF.csv", false, "%25FF.csv"),
    ] {
        let address = Address::parse(url).unwrap();
        let StoreKind::Web { is_plain: found, .. } = address.kind() else { panic!() };
        assert_eq!(*found, is_plain, "{url}");
        assert!(url.contains("%2F") || address.matches(name), "{url} {address:?}");
    }
}

#[test]
fn a_url_that_names_no_files_is_refused_without_being_repeated() {
    for (url, why) in [
        ("data/s3cret.csv", "not a URL"),
        ("ftp://host/s3cret", "its scheme"),
        ("file://s3cret/a.csv", "third slash"),
        ("file:///", "no folder"),
        ("file:///s3cret/../a", "are no names"),
        ("file:///s3cret%00", "control"),
        ("gs:///s3cret", "no bucket"),
        ("s3://s3cret:1/a", "no bucket"),
        ("s3://me@s3cret/a", "no bucket"),
        ("s3://drop//s3cret", "is empty"),
        ("s3://drop/s3cret/[", "cannot be read"),
        ("s3://drop/s3cret**.csv", "`**`"),
        ("abfss://drop/s3cret", "no container"),
        ("abfss://drop@s3cret.example/a", "no container"),
        ("abfss://@s3cret.dfs.core.windows.net/a", "no bucket"),
        ("https://host/s3cret*.csv", "lists no files"),
        ("https://host/s3cret[1].csv", "lists no files"),
        ("https://host/s3cret/", "names no file"),
        ("https://host", "names no file"),
        ("https://u:s3cret@host/a", "password"),
        ("https://host/a#s3cret", "`#`"),
        ("https://", "not a URL"),
    ] {
        let error = Address::parse(url).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{url}");
        let said = error.chain();
        assert!(said.starts_with("read `source.url`: ") && said.contains(why), "{url}: {said}");
        let hint = error.remedy().unwrap();
        assert!(!format!("{said}{hint}{error:?}").contains("s3cret"), "{url}: {said}");
    }
}

proptest! {
    #[test]
    fn reading_a_url_never_panics(scheme in "(file|gs|s3|az|abfss|https?)", rest in ".*") {
        let url = format!("{scheme}://{rest}");
        if let Ok(address) = Address::parse(&url) {
            prop_assert!(address.is_pattern() || address.path().is_some());
            drop((address.place(), address.prefix(), address.matches("x")));
        }
    }

    #[test]
    fn a_name_of_an_object_is_taken_as_it_is(name in "[^/*?\\[{\0-\u{1f}\u{7f}]{1,9}") {
        prop_assume!(name != "." && name != "..");
        let address = Address::parse(&format!("s3://drop/in/{name}")).unwrap();
        let path = format!("in/{name}");
        prop_assert!(address.matches(&path));
        prop_assert_eq!(address.path().unwrap(), Path::parse(path).unwrap());
    }
}
