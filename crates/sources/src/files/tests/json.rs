//! JSON lines: what is told, what is read, and what is refused.

use sluice_contracts::documents::OnInvalid;

use super::*;

#[tokio::test]
async fn numbers_texts_and_nested_values_are_exact() {
    let text = concat!(
        "{\"id\": 1, \"price\": 1.10, \"name\": \"a\\\"\\u00fc\", \"ok\": true, \"o\": {\"x\": 1.10}}\n",
        "\n",
        "{\"o\": null, \"id\": 2, \"name\": null, \"late\": \"2026-11-30\"}\r\n",
        "{\"id\": 9223372036854775807, \"price\": 3, \"o\": {\"big\": 12345678901234567890123}}",
    );
    let folder = Folder::of("a.jsonl", text);
    let columns =
        ["id: INT64", "price: NUMERIC", "name: STRING", "ok: BOOL", "o: JSON", "late: DATE"];
    assert_eq!(folder.columns().await, columns);
    let rows = [
        "1|1.100000000|a\"ü|true|{\"x\": 1.10}|-",
        "2|-|-|-|-|2026-11-30",
        "9223372036854775807|3.000000000|-|-|{\"big\": 12345678901234567890123}|-",
    ];
    assert_eq!(folder.rows().await.unwrap(), rows);
}

#[tokio::test]
async fn damage_is_refused_with_its_place_and_without_its_value() {
    let good = "{\"a\": 1, \"b\": \"s3cret\"}\n";
    for (line, words) in [
        ("{\"a\": 2, \"b\": \"s3cret\"", "line 3: it is not JSON, at its character"),
        ("{\"a\": 2, \"b\": \"ü\" s3cret", "line 3: it is not JSON, at its character 19"),
        ("[1, \"s3cret\"]", "line 3: it is not a JSON object"),
        ("{\"a\": 2} {\"b\": \"s3cret\"}", "line 3: it is not JSON"),
        ("{\"a\": 2, \"a\": 3}", "line 3: the object has the key `a` twice"),
        ("{\"a\": 2, \"c\": \"s3cret\"}", "line 3: the plan does not know the key `c`"),
        ("{\"a\": \"s3cret\"}", "line 3: column `a`: INT64 cannot hold a string"),
        ("{\"a\": 2.5}", "line 3: column `a`: INT64 cannot hold"),
        ("{\"b\": 7}", "line 3: column `b`: STRING cannot hold a number"),
        ("{\"b\": \"\\ud800\"}", "line 3: column `b`: STRING cannot hold a string with half"),
    ] {
        // The plan is made of the good lines alone.
        let folder = Folder::of("a.jsonl", format!("{good}{good}"));
        let job = folder.job();
        let table = planned(&job, &folder.describe(&job).await.unwrap());
        let folder = folder.with("a.jsonl", format!("{good}{good}{line}\n"));
        let leaf = Some(Leaf::Object(version_of_file(&folder, "a.jsonl").await));
        let error = said(&folder.read(&table, &unit(leaf, Cut::Full)).await.unwrap_err());
        assert!(error.contains(words), "{line}: {error}");
        assert!(error.contains("a.jsonl`") && !error.contains("s3cret"), "{error}");
    }
}

/// A file as a plan names it.
async fn version_of_file(
    folder: &Folder,
    name: &str,
) -> sluice_contracts::documents::ObjectVersion {
    let address = Address::parse(&format!("file://{}", folder.path(name).display())).unwrap();
    let store = FileStore::open(&address).unwrap();
    let found = super::super::listing::list(&store.objects, &[address]).await.unwrap();
    super::super::sample::object(&found[0])
}

#[tokio::test]
async fn unknown_keys_are_left_out_where_the_job_says_so() {
    let folder = Folder::of("a.jsonl", "{\"a\": 1, \"b\": {\"a\": 5}}\n{\"a\": 2, \"c\": 3}\n");
    let job = TableJob { select: Some(vec!["a".into()]), ..folder.job() };
    // The plan has seen them.
    assert_eq!(folder.rows_of(&job).await.unwrap().0, ["1", "2"]);
}

#[tokio::test]
async fn a_type_that_the_job_names_takes_the_text_of_a_value() {
    let folder = Folder::of("a.jsonl", "{\"a\": 1.10, \"b\": \"7\", \"c\": [1, {}]}\n");
    let mut job = folder.job();
    for (name, target) in [("a", "STRING"), ("b", "INT64"), ("c", "STRING")] {
        job.columns.insert(name.into(), of_type(target));
    }
    assert_eq!(folder.rows_of(&job).await.unwrap().0, ["1.10|7|[1, {}]"]);
}

/// A folder whose column `v` becomes a STRUCT or an array.
fn nested(lines: &[&str]) -> (Folder, TableJob) {
    let folder = Folder::of("a.jsonl", lines.join("\n") + "\n");
    let mut job = folder.job();
    job.columns.insert("v".into(), of_type("STRUCT"));
    (folder, job)
}

#[tokio::test]
async fn objects_and_lists_become_structs_and_arrays_when_asked() {
    let (folder, job) = nested(&[
        r#"{"id": 1, "v": {"name": "A\"nn", "age": 7, "tags": ["x", "y"], "at": {"day": "2026-11-30"}}}"#,
        r#"{"id": 2, "v": null}"#,
        r#"{"id": 3}"#,
        r#"{"id": 4, "v": {"age": null, "tags": [], "at": {}, "many": [{"n": 1.5}, {"n": 2}, {}]}}"#,
        r#"{"id": 5, "v": {}}"#,
    ]);
    let rows = folder.rows_of(&job).await.unwrap().0;
    assert_eq!(
        rows,
        [
            "1|{name: A\"nn, age: 7, tags: [x, y], at: {day: 2026-11-30}, many: }",
            "2|-",
            "3|-",
            "4|{name: , age: , tags: [], at: {day: }, many: [{n: 1.500000000}, {n: 2.000000000}, {n: }]}",
            "5|{name: , age: , tags: , at: , many: }",
        ]
    );
    let (lists, job) = nested(&["{\"v\": [[1, 2], []]}", "{\"v\": []}", "{}", "{\"v\": [[3]]}"]);
    let rows = lists.rows_of(&job).await.unwrap().0;
    let expected = ["[{element: [1, 2]}, {element: []}]", "[]", "-", "[{element: [3]}]"];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_a_struct_cannot_hold_is_refused_or_becomes_null_as_a_whole() {
    let good = r#"{"id": 1, "v": {"n": 1, "many": [{"day": "2026-11-30"}]}}"#;
    for (line, why) in [
        (r#"{"id": 2, "v": {"n": "s3cret"}}"#, "a string"),
        (r#"{"id": 2, "v": {"n": 1.5}}"#, "text that is not a 64-bit integer"),
        (r#"{"id": 2, "v": {"n": 1, "other": "s3cret"}}"#, "a key that the plan does not know"),
        (r#"{"id": 2, "v": {"n": 1, "n": 2}}"#, "has a key twice"),
        (r#"{"id": 2, "v": [1]}"#, "a value other than an object"),
        (r#"{"id": 2, "v": "s3cret"}"#, "a value other than an object"),
        (r#"{"id": 2, "v": {"many": {}}}"#, "a value other than a list"),
        (r#"{"id": 2, "v": {"many": [null]}}"#, "a NULL in an array"),
        (r#"{"id": 2, "v": {"many": [{"day": "2026-13-01"}, {}]}}"#, "text that is not a day"),
    ] {
        // The plan is made of the good lines alone.
        let (folder, mut job) = nested(&[good, good]);
        for on_invalid in [OnInvalid::Fail, OnInvalid::Null] {
            job.columns.get_mut("v").unwrap().on_invalid = Some(on_invalid);
            std::fs::write(folder.path("a.jsonl"), format!("{good}\n{good}\n")).unwrap();
            let table = planned(&job, &folder.describe(&job).await.unwrap());
            std::fs::write(folder.path("a.jsonl"), format!("{good}\n{line}\n{good}\n")).unwrap();
            let leaf = Some(Leaf::Object(version_of_file(&folder, "a.jsonl").await));
            let read = folder.read(&table, &unit(leaf, Cut::Full)).await;
            if on_invalid == OnInvalid::Fail {
                let error = said(&read.unwrap_err());
                assert!(error.contains("line 2: column `v`: STRUCT cannot hold"), "{error}");
                assert!(error.contains(why) && !error.contains("s3cret"), "{line}: {error}");
                continue;
            }
            let (rows, invalid) = read.unwrap();
            let whole = "1|{n: 1, many: [{day: 2026-11-30}]}";
            assert_eq!(
                (rows, invalid),
                (vec![whole.into(), "2|-".into(), whole.into()], vec![0, 1])
            );
        }
    }
    let (ignored, job) = nested(&[r#"{"v": {"a": 1}}"#, r#"{"v": {"a": 2}}"#]);
    let ignored = ignored.option("unknown", "ignore");
    let job = TableJob { relation: ignored.job().relation, ..job };
    let table = planned(&job, &ignored.describe(&job).await.unwrap());
    let ignored = ignored.with("a.jsonl", "{\"v\": {\"b\": 1, \"a\": 3}}\n");
    let leaf = Some(Leaf::Object(version_of_file(&ignored, "a.jsonl").await));
    assert_eq!(ignored.read(&table, &unit(leaf, Cut::Full)).await.unwrap().0, ["{a: 3}"]);
    let (mixed, job) = nested(&[r#"{"v": {"a": 1}}"#, r#"{"v": 7}"#]);
    let error = said(&mixed.rows_of(&job).await.unwrap_err());
    assert!(error.contains("cannot become `STRUCT`") && error.contains("`JSON`"), "{error}");
}
