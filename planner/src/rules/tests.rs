//! What the rules allow and refuse.

use super::*;

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn variable(name: &str) -> Option<String> {
    match name {
        "SOURCE_URL" => Some("postgres://ann:s3cret@db.internal:5432/shop".to_owned()),
        "DB_PASSWORD" => Some("s3cret".to_owned()),
        "OTHER_PASSWORD" => Some("s3cond".to_owned()),
        "DB_LOGIN" => {
            Some("postgres://db.internal/shop?login=google_iam&sslmode=require".to_owned())
        }
        "DB_PLAIN" => Some("postgres://db.internal/shop".to_owned()),
        _ => None,
    }
}

fn rules() -> JobRules {
    JobRules {
        sluice_job_variables: list(&["SOURCE_URL", "DB_*"]),
        sluice_job_hosts: list(&[
            "db.example:5433",
            "*.shop.example",
            "/cloudsql/p:r:i",
            "/cloudsql/p:r:own",
        ]),
        sluice_login_hosts: list(&["*.shop.example", "/cloudsql/p:r:own"]),
        sluice_job_datasets: list(&["shop.sales", "lake.*"]),
        sluice_job_buckets: list(&["s3://partner-drop", "gs://lake/"]),
        sluice_job_files: vec!["/data".into()],
        ..JobRules::default()
    }
}

#[test]
fn each_list_is_read_from_the_variable_of_its_name() {
    let read = |set: &[(&str, &str)]| {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        JobRules::of(envy::from_iter(set))
    };
    let rules = read(&[
        ("SLUICE_JOB_VARIABLES", "SOURCE_URL,DB_*"),
        ("SLUICE_JOB_HOSTS", "db.example:5433,*.shop.example"),
        ("SLUICE_JOB_DATASETS", "shop.sales,lake.*"),
        ("SLUICE_JOB_BUCKETS", "s3://partner-drop,gs://lake"),
        ("SLUICE_JOB_FILES", "/data,/certificates/ca.crt"),
        ("SLUICE_INLINE_CALLERS", "ann@shop.example,bob@shop.example"),
        ("SLUICE_SOURCE_TLS", "verify-ca"),
    ])
    .unwrap();
    assert_eq!(rules.sluice_job_variables, ["SOURCE_URL", "DB_*"]);
    assert_eq!(rules.sluice_job_hosts, ["db.example:5433", "*.shop.example"]);
    assert_eq!(rules.sluice_job_datasets, ["shop.sales", "lake.*"]);
    assert_eq!(rules.sluice_job_buckets, ["s3://partner-drop", "gs://lake"]);
    let files = ["/data", "/certificates/ca.crt"].map(PathBuf::from);
    assert_eq!(rules.sluice_job_files, files);
    assert_eq!(rules.sluice_inline_callers, ["ann@shop.example", "bob@shop.example"]);
    assert_eq!(rules.sluice_source_tls, LeastTls::VerifyCa);
    // What an operator mistypes must not mean that nothing is demanded.
    let error = read(&[("SLUICE_SOURCE_TLS", "verify_ca")]).unwrap_err();
    assert!(error.remedy().is_some_and(|hint| hint.contains("`verify-ca`")), "{error:?}");
    assert!(read(&[]).unwrap().open("sqlite:///data/a.db", &variable, None).is_err());
}

#[test]
fn spaces_and_commas_too_many_allow_nothing_more() {
    let set = [
        ("SLUICE_JOB_VARIABLES", " SOURCE_URL , DB_* ,"),
        ("SLUICE_JOB_HOSTS", "db.example:5433, /cloudsql/p:r:i,, "),
        ("SLUICE_JOB_FILES", "/data, /certificates,"),
        ("SLUICE_INLINE_CALLERS", "ann@shop.example, bob@shop.example,"),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rules = JobRules::of(envy::from_iter(set)).unwrap();
    assert_eq!(rules.sluice_job_variables, ["SOURCE_URL", "DB_*"]);
    assert_eq!(rules.sluice_job_hosts, ["db.example:5433", "/cloudsql/p:r:i"]);
    assert_eq!(rules.sluice_job_files, ["/data", "/certificates"].map(PathBuf::from));
    assert!(rules.open("sqlite:///certificates/a.db", &variable, None).is_ok());
    assert!(rules.open("postgres://u@localhost/d?host=/cloudsql/p:r:i", &variable, None).is_ok());
    let error = rules.open("sqlite:///etc/passwd", &variable, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(rules.check_inline(Some("bob@shop.example")).is_ok());
    assert!(rules.check_inline(Some("")).is_err());
    let nothing = [("SLUICE_JOB_FILES".to_owned(), String::new())];
    let rules = JobRules::of(envy::from_iter(nothing)).unwrap();
    assert!(rules.open("sqlite:///etc/passwd", &variable, None).is_err());
}

#[test]
fn a_job_names_only_what_is_listed() {
    for (template, refused) in [
        ("${SOURCE_URL}", None),
        ("${SOURCE_URL}?sslmode=require", None),
        ("postgres://u:${DB_PASSWORD}@db.example:5433/shop", None),
        ("postgres://u:${DB_PASSWORD}@DB.example:5433/shop", None),
        ("postgres://u:${DB_PASSWORD}@a.shop.example/shop", None),
        ("postgres://u@localhost/shop?host=/cloudsql/p:r:i", None),
        ("sqlite:///data/shop.db", None),
        ("bigquery://shop/sales", None),
        ("bigquery://lake/raw?billing_project=shop", None),
        ("bigquery://lake", None),
        ("bigquery://shop", Some("SLUICE_JOB_DATASETS")),
        ("bigquery://shop/people", Some("SLUICE_JOB_DATASETS")),
        ("bigquery://shop-prod/sales", Some("SLUICE_JOB_DATASETS")),
        ("postgres://u:${OTHER_PASSWORD}@db.example:5433/d", Some("SLUICE_JOB_VARIABLES")),
        ("sqlite:///${OTHER_PASSWORD}", Some("SLUICE_JOB_VARIABLES")),
        ("postgres://u:${DB_PASSWORD}@elsewhere.example/d", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u:${DB_PASSWORD}@db.example/d", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u:${DB_PASSWORD}@shop.example/d", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u:${DB_PASSWORD}@evilshop.example/d", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u@db.example:5433/d?host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u@db.example:5433/d?hostaddr=10.0.0.1", Some("SLUICE_JOB_HOSTS")),
        ("${SOURCE_URL}?host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
        ("${SOURCE_URL}?port=6432", Some("SLUICE_JOB_HOSTS")),
        ("postgres://u@h/d?host=/tmp", Some("SLUICE_JOB_HOSTS")),
        ("sqlite:///etc/passwd", Some("SLUICE_JOB_FILES")),
        ("sqlite:///data/../etc/passwd", Some("SLUICE_JOB_FILES")),
        ("sqlite:///data%2F..%2Fetc/passwd", Some("SLUICE_JOB_FILES")),
        ("sqlite:///database.db", Some("SLUICE_JOB_FILES")),
        ("sqlite:///${DB_PASSWORD}", Some("SLUICE_JOB_FILES")),
        // The same answer whether the planner has the file or not.
        ("${SOURCE_URL}?sslrootcert=/etc/hostname", Some("SLUICE_JOB_FILES")),
        ("${SOURCE_URL}?sslrootcert=/nowhere/ca.crt", Some("SLUICE_JOB_FILES")),
        ("${SOURCE_URL}?sslrootcert=/data/nowhere.crt", None),
        // A server that may be read may not have the token yet.
        ("postgres://u@db.example:5433/d?login=google_iam&sslmode=require", Some("SLUICE_LOGIN")),
        ("postgres://localhost/d?host=/cloudsql/p:r:i&login=google_iam", Some("SLUICE_LOGIN")),
        ("postgres://a.shop.example/d?login=google_iam&sslmode=require", None),
        ("postgres://localhost/d?host=/cloudsql/p:r:own&login=google_iam", None),
        (
            "postgres://a.shop.example/d?hostaddr=10.0.0.1&login=google_iam&sslmode=require",
            Some("SLUICE_JOB_HOSTS"),
        ),
        ("${DB_LOGIN}", None),
        ("${DB_LOGIN}&host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
        ("${DB_LOGIN}&host=db.example&port=5433", Some("SLUICE_LOGIN")),
        // The operator has chosen the server of this one, but not the login.
        ("${DB_PLAIN}?login=google_iam&sslmode=require", Some("SLUICE_LOGIN")),
    ] {
        match (rules().open(template, &variable, None), refused) {
            (Ok(source), None) => assert!(!source.label().contains("s3cret")),
            (Err(error), Some(list)) => {
                assert_eq!(error.kind(), Kind::Denied, "{template}");
                assert!(error.remedy().is_some_and(|hint| hint.contains(list)), "{template}");
                let said = format!("{} {:?}", error.chain(), error.remedy());
                assert!(!said.contains("s3cret") && !said.contains("s3cond"), "{said}");
            }
            (found, _) => panic!("{template}: {found:?}"),
        }
    }
}

#[test]
fn a_job_reads_only_buckets_that_are_listed() {
    let check = |rules: &JobRules, url: &str| rules.check_place(&Place::Bucket { url: url.into() });
    for url in ["s3://partner-drop", "gs://lake"] {
        check(&rules(), url).unwrap();
    }
    for url in ["gs://partner-drop", "s3://partner-drop-2", "s3://partner", "gs://lak", "gs://"] {
        let error = check(&rules(), url).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{url}");
        assert!(error.remedy().is_some_and(|hint| hint.contains("SLUICE_JOB_BUCKETS")));
        assert!(!error.chain().contains(url), "{error}");
    }
    let all = JobRules { sluice_job_buckets: list(&["*"]), ..JobRules::default() };
    check(&all, "az://anything").unwrap();
}

#[test]
fn nothing_is_allowed_unless_it_is_listed() {
    let rules = JobRules::default();
    for template in ["${SOURCE_URL}", "postgres://u@h/d", "sqlite:///data/a.db"] {
        assert_eq!(rules.open(template, &variable, None).unwrap_err().kind(), Kind::Denied);
    }
    assert_eq!(rules.check_inline(Some("ann@shop.example")).unwrap_err().kind(), Kind::Denied);
    assert_eq!(rules.check_inline(None).unwrap_err().kind(), Kind::Denied);
}

#[test]
fn a_caller_that_is_listed_sends_jobs() {
    let inline = |callers: &[&str], caller| {
        let rules = JobRules { sluice_inline_callers: list(callers), ..JobRules::default() };
        rules.check_inline(caller).is_ok()
    };
    assert!(inline(&["ann@shop.example"], Some("ann@shop.example")));
    assert!(!inline(&["ann@shop.example"], Some("bob@shop.example")));
    assert!(!inline(&["ann@shop.example"], None));
    assert!(inline(&["anybody"], None));
}

#[test]
fn an_operator_can_demand_more_than_a_job_asks_for() {
    let least = |tls, url: &str| {
        let rules = JobRules {
            sluice_job_hosts: list(&["*"]),
            sluice_job_files: vec!["/".into()],
            sluice_source_tls: tls,
            ..JobRules::default()
        };
        rules.open(url, &variable, None).map(|_| ()).map_err(|error| error.chain())
    };
    let require = "postgres://u@h/d?sslmode=require";
    assert!(least(LeastTls::Prefer, "postgres://u@h/d").is_ok());
    assert!(least(LeastTls::Require, require).is_ok());
    assert!(least(LeastTls::VerifyCa, "postgres://u@127.0.0.1/d").is_ok());
    assert!(least(LeastTls::VerifyFull, "sqlite:///data/a.db").is_ok());
    let said = least(LeastTls::VerifyFull, require).unwrap_err();
    assert!(said.contains("at least `sslmode=verify-full`"), "{said}");
    assert!(least(LeastTls::Require, "postgres://u@h/d?sslmode=allow").is_err());
}
