//! Whether the made-up database is as awkward as a real one.

use super::*;

fn made(rows: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.db");
    let mut heard = Vec::new();
    generate(&path, rows, &mut |done| heard.push(done)).unwrap();
    assert_eq!(heard.last(), Some(&rows));
    assert!(heard.is_sorted());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    (folder, path)
}

#[test]
fn the_table_has_what_makes_a_real_one_awkward() {
    let (_folder, path) = made(20_000);
    let connection = Connection::open(&path).unwrap();
    let share = |condition: &str| -> f64 {
        let sql = format!("SELECT avg({condition}) FROM events");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let holds = |condition: &str| assert!(share(condition) >= 1.0, "{condition}");
    for (some, least, most) in [
        ("user_id IS NULL", 0.05, 0.12),
        ("payload IS NULL", 0.1, 0.25),
        ("created_at IS NULL", 0.005, 0.03),
        ("created_at IS NOT NULL AND created_at LIKE '% 00:00:00'", 0.02, 0.05),
        ("note IS NULL", 0.5, 0.7),
        ("amount < 0", 0.005, 0.03),
        ("created_at > '2025-01-01'", 0.4, 0.6),
        ("created_at < '2022-01-01'", 0.001, 0.02),
    ] {
        assert!((least..=most).contains(&share(some)), "{some}: {}", share(some));
    }
    for all in [
        "payload IS NULL OR json_valid(payload)",
        "amount IS NULL OR typeof(amount) <> 'text' AND abs(amount) < 1e10",
        "created_at IS NULL OR julianday(created_at) IS NOT NULL",
        "length(session_id) = 36 AND length(checksum) = 16",
        "is_test IN (0, 1)",
    ] {
        holds(all);
    }
    let (rows, gap): (i64, i64) = connection
        .query_row("SELECT count(*), max(id) - count(*) FROM events", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert!(rows == 20_000 && gap > 40_000);
}

#[test]
fn the_same_rows_are_made_every_time() {
    let ((_one, one), (_other, other)) = (made(500), made(500));
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    made(0);
}

#[test]
fn one_generator_works_at_a_time_and_takes_over_what_a_killed_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.db");
    let partial = folder.path().join("demo.db.partial");
    std::fs::write(&partial, "half a database").unwrap();
    let other = File::open(&partial).unwrap();
    other.lock().unwrap();
    let error = generate(&path, 10, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(!path.exists());
    drop(other);
    generate(&path, 10, &mut |_| {}).unwrap();
    assert!(path.exists() && !partial.exists());
}
