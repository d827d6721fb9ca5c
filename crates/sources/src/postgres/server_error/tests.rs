//! Who must act on what the server says.

use Kind::{Data, Denied, Invalid, NotFound, Transient};

use super::*;

const PLAIN: Said<'_> = Said { code: "", message: "", routine: None, is_fatal: false };

/// What of the errors means something else: who must act, and a word of the hint; an empty one
/// where there is none.
fn assert_mean(expected: &[(Said<'_>, Kind, &str)]) {
    let mut wrong = Vec::new();
    for (said, kind, word) in expected {
        let (found, hint) = meaning(said);
        let fits = match hint {
            Some(hint) => !word.is_empty() && hint.contains(word),
            None => word.is_empty(),
        };
        if found != *kind || !fits {
            wrong.push(format!("{} {}: {found:?}, {hint:?}", said.code, said.message));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
#[test]
fn each_class_of_errors_is_for_the_one_who_can_act() {
    let codes = [
        ("08001", Denied, "user mapping"),
        ("0A000", Invalid, ""),
        ("21000", Data, "`where`"),
        ("22012", Data, "`where`"),
        ("22P05", Data, "convert_to"),
        ("25006", Denied, ""),
        ("28000", Denied, "`pg_hba.conf`"),
        ("28P01", Denied, "the password"),
        ("3D000", NotFound, "the database's name"),
        ("3F000", NotFound, "the names in the job"),
        ("40001", Transient, ""),
        ("40P01", Transient, ""),
        ("42501", Denied, "grant this user"),
        ("42601", Invalid, ""),
        ("42703", NotFound, "the names in the job"),
        ("42P01", NotFound, "the names in the job"),
        ("53100", Transient, ""),
        ("53200", Transient, ""),
        ("53300", Transient, "`limits.max_connections`"),
        ("54000", Denied, ""),
        ("54001", Denied, ""),
        ("54011", Denied, ""),
        ("55000", Denied, ""),
        ("55P03", Transient, "holds a lock"),
        ("57014", Transient, "in planning"),
        ("57P01", Transient, ""),
        ("57P03", Transient, ""),
        ("58030", Denied, ""),
        ("P0001", Data, "`where`"),
        ("XX000", Data, ""),
        ("XX001", Data, ""),
        ("HV00N", Denied, ""),
    ];
    assert_mean(&codes.map(|(code, kind, word)| (Said { code, ..PLAIN }, kind, word)));
}

#[test]
fn what_a_code_of_many_meanings_means_is_read_from_the_rest() {
    let (recovery, read_only) = ("conflict with recovery", "not possible during recovery");
    assert_mean(&[
        (Said { code: "40001", message: recovery, ..PLAIN }, Transient, "hot_standby_feedback"),
        (Said { code: "0A000", message: read_only, ..PLAIN }, Denied, "read the primary"),
        (
            Said { code: "42501", routine: Some("check_enable_rls"), ..PLAIN },
            Denied,
            "`row_security: filter`",
        ),
        (
            Said { code: "55000", routine: Some("ExecOpenScanRelation"), ..PLAIN },
            Denied,
            "`REFRESH MATERIALIZED VIEW`",
        ),
        (Said { code: "08P01", message: "query_timeout", is_fatal: true, ..PLAIN }, Transient, ""),
        (
            Said { code: "08P01", message: "query_wait_timeout", is_fatal: true, ..PLAIN },
            Transient,
            "default_pool_size",
        ),
        (
            Said { code: "08P01", message: "SASL authentication failed", ..PLAIN },
            Denied,
            "the pooler's configuration",
        ),
        (
            Said { code: "08P01", message: "unsupported startup parameter: geqo", ..PLAIN },
            Invalid,
            "`ignore_startup_parameters`",
        ),
        (Said { code: "08P01", message: "statement pooling", ..PLAIN }, Invalid, "`pool_mode`"),
    ]);
}
