//! The demo's database: made up, and as awkward as a real one.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::{Connection, Statement};
use sluice_contracts::{Error, Kind, Result};

/// Every machine makes the same rows.
const SEED: u64 = 20_240_229;

/// Rows between two reports of progress.
const REPORT: u64 = 10_000;

/// Days from the first event to the last.
const DAYS: f64 = 5.0 * 365.25;

const SCHEMA: &str = "
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        user_id INTEGER,
        event_type TEXT NOT NULL,
        amount DECIMAL(12,2),
        payload JSON,
        created_at DATETIME,
        is_test BOOLEAN NOT NULL,
        session_id CHAR(36) NOT NULL,
        note TEXT,
        checksum BLOB NOT NULL
    )";

/// With how often each happens, in thousandths.
const EVENTS: &[(&str, u32)] = &[
    ("page_view", 620),
    ("search", 130),
    ("add_to_cart", 110),
    ("purchase", 70),
    ("login", 45),
    ("refund", 15),
    ("Kündigung", 10),
];

/// Two scripts, a joined emoji, both directions, letters of two code points, quotes, line breaks.
const NOTES: &[&str] = &[
    "gift wrapped",
    "Größe M, bitte vor 18 Uhr",
    "お届けは午後にお願いします",
    "happy customer 👩🏽‍🚀🎉",
    "يرجى الاتصال قبل التسليم",
    "שלום, call \u{202b}אחרי 17:00\u{202c} please",
    "cafe\u{301} u\u{308}ber alles",
    "said \"it's 5% off\"; was not",
    "two\nlines\tand a tab",
    "",
];

/// Makes a database of one table, `events`, with `rows` rows. `progress` is called with how many
/// there are.
///
/// The database appears at `path` when it is complete. A killed generator leaves another file
/// behind, which the next one takes over.
///
/// # Errors
/// `Conflict` where another process is making the same database.
pub(crate) fn generate(path: &Path, rows: u64, progress: &mut dyn FnMut(u64)) -> Result<()> {
    let doing = || format!("make the database `{}`", path.display());
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // Held until the file has its name, so that there is one generator at a time.
    let lock = lock(&partial, path)?;
    fill(&partial, rows, progress).map_err(|error| {
        let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        let kind = if full { Kind::Denied } else { Kind::Transient };
        Error::new(kind, doing()).because(error)
    })?;
    lock.sync_data()
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|error| Error::new(Kind::Denied, doing()).because(error))
}

/// Opens the unfinished file, empties it and keeps others out.
fn lock(partial: &Path, path: &Path) -> Result<File> {
    let denied = |error: std::io::Error| {
        Error::new(Kind::Denied, format!("make the database `{}`", path.display())).because(error)
    };
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(partial)
            .map_err(denied)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("make the database `{}`: another process is making it", path.display()),
                )
                .hint("wait for it, or name another folder with `--dir`"));
            }
            Err(TryLockError::Error(error)) => return Err(denied(error)),
        }
        // Between opening and locking, the other generator may have finished and renamed the file:
        // then this is the finished one.
        let mine = file.metadata().map_err(denied)?;
        let same = std::fs::metadata(partial)
            .is_ok_and(|named| (named.dev(), named.ino()) == (mine.dev(), mine.ino()));
        if same {
            file.set_len(0).map_err(denied)?;
            return Ok(file);
        }
    }
}

fn fill(path: &Path, rows: u64, progress: &mut dyn FnMut(u64)) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    // The file is thrown away if this fails, so nothing has to be undone or to survive.
    connection.execute_batch(
        "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA locking_mode = exclusive;
         PRAGMA cache_size = -65536; BEGIN",
    )?;
    connection.execute_batch(SCHEMA)?;
    let mut statement = connection
        .prepare("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    let mut events = Events::new(rows);
    for number in 0..rows {
        if number % REPORT == 0 {
            progress(number);
        }
        events.insert(&mut statement, number)?;
    }
    drop(statement);
    connection.execute_batch("CREATE INDEX events_created_at ON events (created_at); COMMIT")?;
    progress(rows);
    connection.close().map_err(|(_, error)| error)
}

/// Makes one row after another. Its texts are kept, so that a row costs no allocation.
struct Events {
    random: StdRng,
    rows: u64,
    id: i64,
    day: NaiveDate,
    payload: String,
    created_at: String,
    session_id: String,
    note: String,
}

impl Events {
    fn new(rows: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(SEED),
            rows,
            id: 0,
            day: NaiveDate::from_ymd_opt(2021, 1, 1).unwrap_or_default(),
            payload: String::new(),
            created_at: String::new(),
            session_id: String::new(),
            note: String::new(),
        }
    }

    fn insert(&mut self, statement: &mut Statement<'_>, number: u64) -> rusqlite::Result<()> {
        self.next_id(number);
        let kind = self.kind();
        statement.raw_bind_parameter(1, self.id)?;
        statement.raw_bind_parameter(2, self.user())?;
        statement.raw_bind_parameter(3, kind)?;
        statement.raw_bind_parameter(4, self.amount(kind))?;
        let payload = self.write_payload(kind);
        statement.raw_bind_parameter(5, payload.then_some(self.payload.as_str()))?;
        let dated = self.write_created_at(number);
        statement.raw_bind_parameter(6, dated.then_some(self.created_at.as_str()))?;
        statement.raw_bind_parameter(7, self.random.random_ratio(1, 50))?;
        self.write_session_id();
        statement.raw_bind_parameter(8, self.session_id.as_str())?;
        let noted = self.write_note(number);
        statement.raw_bind_parameter(9, noted.then_some(self.note.as_str()))?;
        let checksum: [u8; 16] = self.random.random();
        statement.raw_bind_parameter(10, &checksum[..])?;
        statement.raw_execute()?;
        Ok(())
    }

    /// Deleted rows leave small gaps, and an import that was undone has left a large one.
    fn next_id(&mut self, number: u64) {
        self.id += 1;
        if self.random.random_ratio(1, 40) {
            self.id += self.random.random_range(1..60);
        }
        if number == self.rows * 2 / 3 {
            self.id += i64::try_from(self.rows).unwrap_or(0) * 2;
        }
    }

    fn kind(&mut self) -> &'static str {
        let mut place = self.random.random_range(0..1000);
        for (kind, share) in EVENTS {
            if place < *share {
                return kind;
            }
            place -= share;
        }
        "page_view"
    }

    /// A few users do most, and one in twelve visitors is not a user yet.
    fn user(&mut self) -> Option<i64> {
        let share: f64 = self.random.random();
        #[expect(clippy::cast_possible_truncation, reason = "a number below 200,001")]
        let user = 1 + (share * share * share * 200_000.0) as i64;
        (!self.random.random_ratio(1, 12)).then_some(user)
    }

    /// Most events cost nothing; a few cost as much as the type holds.
    fn amount(&mut self, kind: &str) -> Option<f64> {
        let cents: u64 = match kind {
            "purchase" | "refund" | "add_to_cart" if self.random.random_ratio(1, 5_000) => {
                999_999_999_999
            }
            "purchase" | "refund" | "add_to_cart" => {
                let digits = self.random.random_range(2..6);
                self.random.random_range(99..10_u64.pow(digits + 1))
            }
            _ if self.random.random_ratio(1, 3) => return None,
            _ => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "12 digits are exact in a double")]
        let amount = cents as f64 / 100.0;
        Some(if kind == "refund" { -amount } else { amount })
    }

    fn write_payload(&mut self, kind: &str) -> bool {
        self.payload.clear();
        if self.random.random_ratio(1, 6) {
            return false;
        }
        let (page, taken) =
            (self.random.random_range(1..40_000), self.random.random_range(3..2_500));
        // Writing to a text does not fail.
        let _ = match kind {
            "search" => write!(
                self.payload,
                r#"{{"q":"schuhe \"größe\" {}","hits":{page},"ms":{taken}}}"#,
                page % 50
            ),
            "purchase" | "refund" => write!(
                self.payload,
                r#"{{"items":[{{"sku":"A-{page:05}","n":{}}},{{"sku":"B-{:05}","n":1}}],"coupon":null}}"#,
                page % 4 + 1,
                taken
            ),
            _ => write!(
                self.payload,
                r#"{{"page":"/products/{page}","ms":{taken},"tags":["web","v{}"],"ab":{}}}"#,
                page % 9,
                page % 2 == 0
            ),
        };
        true
    }

    /// There are more events every year; a few have only a day, written as its midnight, and a few
    /// have lost their time.
    fn write_created_at(&mut self, number: u64) -> bool {
        const DAY: i64 = 86_400_000_000;
        self.created_at.clear();
        if self.random.random_ratio(1, 70) {
            return false;
        }
        // Some events arrive late: the order of time is nearly, not quite, that of the numbers.
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = number as f64 / self.rows as f64;
        let late = if self.random.random_ratio(1, 20) { self.random.random::<f64>() } else { 0.0 };
        let days = (DAYS * share.cbrt() - late * 2.0).max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of five years")]
        let micros = (days * 86_400e6) as i64 + self.random.random_range(0..1_000_000);
        let (day, clock) = (micros / DAY, micros % DAY);
        let day = self.day + TimeDelta::days(day);
        let clock = if self.random.random_ratio(1, 33) { 0 } else { clock };
        let (seconds, fraction) = (clock / 1_000_000, clock % 1_000_000);
        let _ = write!(
            self.created_at,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            day.year(),
            day.month(),
            day.day(),
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        if fraction > 0 {
            let _ = write!(self.created_at, ".{fraction:06}");
        }
        true
    }

    /// A random UUID, version 4.
    fn write_session_id(&mut self) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bits: u128 = self.random.random();
        self.session_id.clear();
        for place in 0..32_u32 {
            if matches!(place, 8 | 12 | 16 | 20) {
                self.session_id.push('-');
            }
            let digit = (bits >> (4 * place)) & 15;
            let digit = match place {
                12 => 4,
                16 => 8 | digit & 3,
                _ => digit,
            };
            self.session_id.push(char::from(HEX[usize::try_from(digit).unwrap_or(0)]));
        }
    }

    fn write_note(&mut self, number: u64) -> bool {
        self.note.clear();
        if self.random.random_ratio(3, 5) {
            return false;
        }
        self.note.push_str(NOTES[self.random.random_range(0..NOTES.len())]);
        if self.random.random_ratio(1, 4) {
            let _ = write!(self.note, " #{number}");
        }
        true
    }
}

#[cfg(test)]
mod tests;
