//! Any value of a variable, anywhere in a source's URL: it is read or refused, and never repeated.

use proptest::prelude::*;

/// What no message may contain, in any case.
const PLANTED: &str = "pl4nt3d";

/// A URL with a variable in each place that a parser of one of the sources looks at.
const TEMPLATES: &[&str] = &[
    "${V}",
    "${V}://u@h/d",
    "${V}?sslmode=require",
    "${V}/d",
    "postgres://${V}",
    "postgres://${V}@h/d",
    "postgres://u:${V}@h/d",
    "postgres://u:a${V}b@h/d",
    "postgres://u@${V}/d",
    "postgres://u@${V}:5432/d",
    "postgres://u@h:${V}/d",
    "postgres://u@h/${V}",
    "postgres://u@h/d?${V}",
    "postgres://u@h/d?${V}=1",
    "postgres://u@h/d?sslmode=${V}",
    "postgres://u@h/d?sslrootcert=${V}",
    "postgres://u@h/d?sslmode=verify-ca&sslcert=${V}&sslkey=${V}",
    "postgres://u@h/d?host=${V}&port=${V}",
    "postgres://u@h/d?hostaddr=${V}&dbname=${V}&user=${V}&password=${V}",
    "postgres://u@h/d?options=${V}&application_name=${V}",
    "postgres://u@h/d#${V}",
    "sqlite://${V}",
    "sqlite:///${V}",
    "sqlite:///a/${V}/b.db?mode=ro",
    "sqlite:///a.db?${V}",
    "sqlite:///a.db?${V}=1",
    "sqlite:///a.db?mode=${V}",
    "${V}${V}",
];

fn values() -> impl Strategy<Value = String> {
    let noise = || {
        prop_oneof![
            "[@:/?#&=%\\[\\]{}$,;+ ]{0,4}",
            "[a-zA-Z0-9]{0,6}",
            "\\PC{0,6}",
            Just("postgres://".to_owned()),
            Just("sqlite:///".to_owned()),
            Just("://".to_owned()),
            Just("%2F%40%3a".to_owned()),
            Just("@host:1/".to_owned()),
            Just("?sslmod=".to_owned()),
            Just("?sslrootcert=/".to_owned()),
            Just("x".repeat(70)),
        ]
    };
    let marker = prop_oneof![Just("Pl4nt3d"), Just("pl4nt3d"), Just("PL4NT3D")];
    (noise(), noise(), marker, noise(), noise())
        .prop_map(|(a, b, marker, c, d)| format!("{a}{b}{marker}{c}{d}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_value_is_never_repeated(template in prop::sample::select(TEMPLATES), value in values()) {
        let opened = sluice_sources::open(template, &|_| Some(value.clone()), None);
        let said = match &opened {
            Ok(source) => format!("{} {source:?}", source.label()),
            Err(error) => format!("{} {:?} {error:?}", error.chain(), error.remedy()),
        };
        prop_assert!(!said.to_lowercase().contains(PLANTED), "{template} {value}: {said}");
    }
}
