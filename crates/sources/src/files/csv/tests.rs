//! Tables written with any characters and read again.

use proptest::prelude::*;

use super::{Boundary, Dialect, Malformed, Records, find_boundary};

type Table = Vec<Vec<String>>;

/// How a test writes a table.
#[derive(Debug, Clone, Copy)]
struct Style {
    delimiter: u8,
    escape: Option<u8>,
    line_end: &'static str,
    /// Whether every field stands in quotes.
    quotes_all: bool,
    /// Whether the last record ends in a line's end too.
    ends: bool,
}

impl Style {
    fn dialect(self) -> Dialect {
        Dialect::new(self.delimiter, Some(b'"'), self.escape, None)
            .with_returns(self.line_end == "\r")
    }

    fn field(self, text: &str) -> String {
        let marks = ['"', '\n', '\r', '\\', char::from(self.delimiter)];
        if !self.quotes_all && !text.contains(marks) && !text.is_empty() {
            return text.to_owned();
        }
        let inner = match self.escape {
            Some(_) => text.replace('\\', "\\\\").replace('"', "\\\""),
            None => text.replace('"', "\"\""),
        };
        format!("\"{inner}\"")
    }

    fn write(self, table: &Table) -> String {
        let delimiter = char::from(self.delimiter).to_string();
        let line = |record: &Vec<String>| {
            let fields: Vec<String> = record.iter().map(|text| self.field(text)).collect();
            fields.join(&delimiter)
        };
        let lines: Vec<String> = table.iter().map(line).collect();
        let end = if self.ends { self.line_end } else { "" };
        lines.join(self.line_end) + end
    }
}

fn styles() -> impl Strategy<Value = Style> {
    let delimiters = prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')];
    let ends = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    let escape = prop_oneof![Just(None), Just(Some(b'\\'))];
    (delimiters, escape, ends, any::<bool>(), any::<bool>()).prop_map(
        |(delimiter, escape, line_end, quotes_all, ends)| Style {
            delimiter,
            escape,
            line_end,
            quotes_all,
            ends,
        },
    )
}

fn tables(
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
) -> impl Strategy<Value = Table> {
    let field = prop_oneof![
        3 => "[a-z0-9 ]{0,12}",
        2 => "[a\",;\t|\n\r\\\\x]{0,8}",
        1 => "\\PC{0,6}",
    ];
    columns.prop_flat_map(move |columns| {
        let record = proptest::collection::vec(field.clone(), columns);
        proptest::collection::vec(record, rows.clone())
    })
}

/// The values of records.
fn values(dialect: &Dialect, text: &[u8], records: &mut Records) -> Table {
    let mut text = text.to_vec();
    for field in &mut records.fields {
        if field.is_escaped() {
            dialect.unescape(field, b"", &mut text);
        }
    }
    let value = |field: &super::Field| String::from_utf8(field.of(&text).to_vec()).unwrap();
    records.iter().map(|fields| fields.iter().map(value).collect()).collect()
}

/// Reads a text whose bytes come in pieces.
fn read(dialect: &Dialect, text: &[u8], piece: usize, is_single: bool) -> Result<Table, Malformed> {
    let (mut table, mut buffer, mut at) = (Table::new(), Vec::new(), 0);
    loop {
        let end = text.len().min(at + piece);
        buffer.extend_from_slice(&text[at..end]);
        at = end;
        let is_last = at == text.len();
        let mut records = Records::default();
        let taken = dialect.split(&buffer, is_last, is_single, usize::MAX, &mut records)?;
        table.extend(values(dialect, &buffer, &mut records));
        buffer.drain(..taken);
        if is_last {
            assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
            return Ok(table);
        }
    }
}

/// Where each record begins.
fn starts(dialect: &Dialect, text: &[u8]) -> Vec<usize> {
    let mut records = Records::default();
    dialect.split(text, true, false, usize::MAX, &mut records).unwrap();
    records.starts.iter().map(|start| *start as usize).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_pieces_of_any_size(
        table in tables(2..5, 0..12),
        style in styles(),
        piece in 1_usize..40,
    ) {
        let text = style.write(&table);
        let read = read(&style.dialect(), text.as_bytes(), piece, false).unwrap();
        prop_assert_eq!(read, table);
    }

    #[test]
    fn tables_of_one_column_keep_their_blank_lines(
        table in tables(1..2, 1..12),
        style in styles(),
        piece in 1_usize..40,
    ) {
        let style = Style { ends: true, ..style };
        let text = style.write(&table);
        prop_assert_eq!(read(&style.dialect(), text.as_bytes(), piece, true).unwrap(), table);
    }

    #[test]
    fn a_look_at_the_middle_finds_where_a_record_begins(
        table in tables(3..6, 8..30),
        style in styles(),
        at in 1_usize..1_000,
    ) {
        let text = style.write(&table);
        let dialect = style.dialect();
        let at = at.min(text.len() - 1);
        let window = &text.as_bytes()[at..];
        let found = find_boundary(&dialect, text.as_bytes()[at - 1], window, table[0].len());
        if let Boundary::At(found) = found {
            prop_assert!(starts(&dialect, text.as_bytes()).contains(&(at + found)));
        }
    }
}

fn malformed(text: &str) -> &'static str {
    let dialect = Dialect::new(b',', Some(b'"'), None, None);
    read(&dialect, text.as_bytes(), 1_000, false).unwrap_err().why
}

#[test]
fn damage_is_found() {
    assert_eq!(malformed("a,b\n1,\"x\n"), "a quote is opened and not closed");
    assert_eq!(
        malformed("a,b\n1,\"x\"y\n"),
        "something other than a delimiter follows a closing quote"
    );
    assert_eq!(malformed("a,b\r1,2\n"), "a carriage return stands alone outside of quotes");
}

#[test]
fn blank_lines_and_comments_are_no_records() {
    let dialect = Dialect::new(b',', Some(b'"'), None, Some(b'#'));
    let table = read(&dialect, b"#x,\"\n\n1,2\r\n\r\n# y\n3,\"#4\"\n\n", 3, false).unwrap();
    assert_eq!(table, [["1", "2"], ["3", "#4"]]);
}

#[test]
fn a_quote_within_a_plain_field_is_a_character() {
    let dialect = Dialect::new(b',', Some(b'"'), None, None);
    let table = read(&dialect, b"5\" pipe,x\"y\"\n", 4, false).unwrap();
    assert_eq!(table, [["5\" pipe", "x\"y\""]]);
}

/// Lines within quotes look like records in every way, until a look reaches the end of the quotes.
#[test]
fn a_table_within_a_field_is_not_taken_for_records() {
    let inner = "1,2,3\n".repeat(50);
    let text = format!("a,b,\"{inner}\"\n").repeat(20);
    let dialect = Dialect::new(b',', Some(b'"'), None, None);
    let starts = starts(&dialect, text.as_bytes());
    for at in (1..text.len() - 1).step_by(7) {
        let window = &text.as_bytes()[at..(at + 2_000).min(text.len())];
        match find_boundary(&dialect, text.as_bytes()[at - 1], window, 3) {
            Boundary::At(found) => assert!(starts.contains(&(at + found)), "{at}"),
            Boundary::Unknown => {}
        }
    }
}
