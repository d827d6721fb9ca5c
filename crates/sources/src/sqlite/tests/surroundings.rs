use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{Access, access};
use sluice_contracts::Kind;
use sluice_contracts::documents::SnapshotPlan;

use super::super::surroundings::Surroundings;
use super::*;

const LOGGED: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY);
    INSERT INTO t VALUES (1), (2);";

/// A folder that nobody but its owner may write to, until it is dropped.
struct Folder(tempfile::TempDir);

impl Folder {
    /// With a database, changed by `change`.
    fn new(change: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a?b.db");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(LOGGED).unwrap();
        connection.close().unwrap();
        change(&file);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
        Self(folder)
    }

    fn source(&self, query: &str) -> Arc<dyn Source> {
        let url = format!("sqlite://{}/a%3Fb.db{query}", self.0.path().display());
        crate::open(&url, &|_| None, None).unwrap()
    }

    /// Rows of `t`, or the error, as the chain without the folder's name and the hint.
    fn rows(&self, query: &str) -> std::result::Result<usize, (Kind, String)> {
        let source = self.source(query);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let mut survey = source.survey("test").await?;
            let table = planned(&job("t"), survey.describe(&job("t")).await?);
            let SnapshotPlan::Pinned { value } = survey.snapshot().await? else { panic!() };
            let mut found = Vec::new();
            for join in [Join::Independent, Join::Pinned(&value)] {
                let mut reader = source.reader("test", join).await?.unwrap();
                let unit = unit(Cut::Full);
                let mut batches = reader.read(&table, &unit).await?;
                found.push(rows(&drain(&mut *batches).await?));
                drop(batches);
                reader.confirm().await?;
            }
            assert_eq!(found[0], found[1]);
            Ok(found[0])
        });
        let told = |error: Error| message(&error).replace(source.label(), "FILE");
        read.map_err(|error: Error| (error.kind(), told(error)))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.0.path(), Permissions::from_mode(0o755));
    }
}

/// The file beside a database.
fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}

/// Leaves the database as it is while a process has it open: with rows in its log.
fn leave_rows_in_the_log(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("INSERT INTO t VALUES (3)").unwrap();
    let files = ["", "-wal", "-shm"].map(|ending| beside(file, ending));
    let left = files.each_ref().map(|file| fs::read(file).unwrap());
    connection.close().unwrap();
    for (file, left) in files.iter().zip(left) {
        fs::write(file, left).unwrap();
    }
}

/// Runs `check` as a user whom permissions bind. `None`, with a message for the summary of the tests,
/// if this user cannot become one.
fn bound<T: Send>(check: impl FnOnce() -> T + Send) -> Option<T> {
    let folder = Folder::new(|_| {});
    let may = |what| access(folder.0.path(), what).is_ok();
    let binds = || !may(Access::WRITE_OK) && may(Access::READ_OK);
    let checked = std::thread::scope(|scope| {
        let run = || {
            if !binds() {
                // A thread has rights of its own, and the threads that it starts inherit them.
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).ok()?;
            }
            binds().then(check)
        };
        scope.spawn(run).join().unwrap()
    });
    if checked.is_none() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a test");
        let why = "a user whom permissions bind needs rights that this user has not";
        let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
    }
    checked
}

#[test]
fn a_database_is_read_without_locks_only_where_nobody_can_write() {
    let quiet = Surroundings { writable: false, log: false, index: false, journal: false };
    let told = |refused: Result<()>| refused.map_err(|error| message(&error));
    assert_eq!(told(quiet.refuse_unasked("x")), Ok(()));
    assert_eq!(told(quiet.refuse_asked("x")), Ok(()));
    for (around, reason) in [
        (Surroundings { log: true, index: true, ..quiet }, "cannot read its `-wal` file"),
        (Surroundings { log: true, ..quiet }, "cannot read its `-wal` file"),
        (Surroundings { journal: true, ..quiet }, "`-journal` file has a transaction"),
        (Surroundings { index: true, ..quiet }, "`-shm` file shows that another process may"),
        (Surroundings { writable: true, ..quiet }, "`-wal` or `-shm` file cannot be opened"),
    ] {
        let refused = told(around.refuse_unasked("x")).unwrap_err();
        assert!(refused.contains(reason), "{around:?}: {refused}");
        // What a file holds is never left out; that nobody writes, the URL may say.
        let lost = around.log || around.journal;
        assert_eq!(around.refuse_asked("x").is_err(), lost, "{around:?}");
    }
}

#[test]
fn the_files_beside_a_database_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    fs::write(&file, "").unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink("a.db", &link).unwrap();
    let look = || Surroundings::of(&link).unwrap();
    let nothing = Surroundings { writable: true, log: false, index: false, journal: false };
    assert_eq!(look(), nothing);
    for ending in ["-wal", "-shm", "-journal"] {
        fs::write(beside(&file, ending), "").unwrap();
    }
    assert_eq!(look(), nothing);
    fs::write(beside(&file, "-journal"), "\0\0").unwrap();
    assert_eq!(look(), nothing);
    for ending in ["-wal", "-shm", "-journal"] {
        fs::write(beside(&file, ending), "x").unwrap();
    }
    assert_eq!(look(), Surroundings { log: true, index: true, journal: true, ..nothing });
}

#[test]
fn a_folder_that_may_not_be_written_to_is_read() {
    let clean = Folder::new(|_| {});
    let empty_log = Folder::new(|file| fs::write(beside(file, "-wal"), "").unwrap());
    let old = Folder::new(|file| {
        let connection = Connection::open(file).unwrap();
        connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    });
    let rights = Folder::new(|file| {
        fs::set_permissions(file, Permissions::from_mode(0o444)).unwrap();
    });
    let index = Folder::new(|file| fs::write(beside(file, "-shm"), vec![0; 32_768]).unwrap());
    let journal = Folder::new(|file| fs::write(beside(file, "-journal"), "x").unwrap());
    let log = Folder::new(|file| {
        leave_rows_in_the_log(file);
        fs::remove_file(beside(file, "-shm")).unwrap();
    });
    let readable_log = Folder::new(leave_rows_in_the_log);
    let unindexed_log = Folder::new(|file| {
        leave_rows_in_the_log(file);
        fs::write(beside(file, "-shm"), "").unwrap();
    });
    let unreadable = Folder::new(|file| {
        fs::set_permissions(file, Permissions::from_mode(0o000)).unwrap();
    });
    bound(|| {
        for folder in [&clean, &empty_log, &old, &rights] {
            assert_eq!(folder.rows(""), Ok(2));
        }
        assert_eq!((readable_log.rows(""), unindexed_log.rows("")), (Ok(3), Ok(3)));
        let told = |folder: &Folder| {
            let (kind, told) = folder.rows("").unwrap_err();
            assert_eq!(kind, Kind::Denied);
            told
        };
        let refused = told(&log);
        assert!(
            refused.starts_with("open `FILE`: this user cannot read its `-wal` file"),
            "{refused}"
        );
        let refused = told(&journal);
        assert!(refused.starts_with("open `FILE`: its `-journal` file has"), "{refused}");
        let refused = told(&index);
        assert!(refused.starts_with("open `FILE`: its `-shm` file shows"), "{refused}");
        assert_eq!(index.rows("?immutable=1"), Ok(2));
        let refused = told(&unreadable);
        assert!(refused.contains("the file must be readable"), "{refused}");
    });
    // The rows of the log are there for a user who may read them.
    fs::set_permissions(log.0.path(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(log.rows(""), Ok(3));
}

#[test]
fn what_is_read_without_locks_is_refused_once_it_changed() {
    let folder = Folder::new(|_| {});
    let file = folder.0.path().join("a?b.db");
    fs::set_permissions(folder.0.path(), Permissions::from_mode(0o755)).unwrap();
    let source = folder.source("?immutable=1");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut reader = source.reader("test", Join::Independent).await.unwrap().unwrap();
        reader.confirm().await.unwrap();
        let mut survey = source.survey("test").await.unwrap();
        survey.snapshot().await.unwrap();
        let writer = Connection::open(&file).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (3)").unwrap();
        // The change is in the log alone, which the reader does not see.
        let error = reader.confirm().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{}", message(&error));
        let error = survey.snapshot().await.unwrap_err();
        assert!(error.to_string().ends_with("a process began to write to the database"), "{error}");
        let error = source.reader("test", Join::Independent).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().ends_with("`immutable=1` leaves out its `-wal` file"), "{error}");
        writer.close().unwrap();
        assert_eq!(reader.confirm().await.unwrap_err().kind(), Kind::Data);
    });
    assert_eq!(folder.rows("?immutable=1"), Ok(3));
}
