use super::*;

#[test]
fn a_url_names_a_file_and_its_label_hides_the_rest() {
    let parsed = |url: &str| {
        let Location { label, path, immutable } = parse(url)?;
        Ok::<_, Error>((label, path.display().to_string(), immutable))
    };
    let found = |label: &str, path: &str, immutable| (label.to_owned(), path.to_owned(), immutable);
    assert_eq!(parsed("sqlite:///a/b.db").unwrap(), found("sqlite:///a/b.db", "/a/b.db", false));
    for (query, immutable) in [
        ("", false),
        ("mode=ro", false),
        ("immutable=1", true),
        ("mode=ro&immutable=1", true),
        ("mode=ro#?immutable=1", false),
    ] {
        let url = format!("sqlite://b.db?{query}");
        assert_eq!(parsed(&url).unwrap(), found("sqlite://b.db", "b.db", immutable), "{query}");
    }
    assert_eq!(
        parsed("sqlite:///50%25%zz").unwrap(),
        found("sqlite:///50%25%zz", "/50%%zz", false)
    );
    assert!(parsed("sqlite://").is_err());
    assert!(parsed("sqlite:///%ff").is_err());
}

#[test]
fn a_parameter_that_would_do_nothing_is_refused() {
    for (query, expected) in [
        ("mod=ro", "read `source.url`: unknown parameter `mod` | did you mean `mode`?"),
        (
            "mode=ro&cache=shared",
            "read `source.url`: unknown parameter `cache` | use `mode` or `immutable`",
        ),
        (
            "mode=secret",
            "read `source.url`: parameter `mode` has an unknown value | write `mode=ro`, or leave it \
             out",
        ),
        (
            "immutable",
            "read `source.url`: parameter `immutable` has an unknown value | write `immutable=1`, or \
             leave it out",
        ),
    ] {
        let error = crate::open(&format!("sqlite:///a.db?{query}"), &|_| None, None).unwrap_err();
        assert_eq!(message(&error), expected);
        assert_eq!(error.kind(), sluice_contracts::Kind::Invalid);
    }
}
