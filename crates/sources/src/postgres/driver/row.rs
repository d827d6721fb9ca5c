//! A row of an answer, whose values are texts.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use super::failure::Failure;

/// The identifier of an object of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Oid(pub(crate) u32);

/// A column of an answer.
#[derive(Debug)]
pub(crate) struct ColumnOfRow {
    pub(crate) name: String,
    /// Its type.
    pub(crate) oid: Oid,
}

/// A row of an answer.
pub(crate) struct Row {
    columns: Arc<[ColumnOfRow]>,
    values: Vec<Option<Bytes>>,
}

/// A type that is read from the text that the server writes for it.
/// <https://www.postgresql.org/docs/current/datatype.html>
pub(crate) trait FromText: Sized {
    /// Reads a value; `None` for a text that is not one.
    fn from_text(text: &str) -> Option<Self>;

    /// What NULL becomes; `None` where there has to be a value.
    fn null() -> Option<Self> {
        None
    }
}

// The values are not shown.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Row {
    pub(super) fn read(columns: &Arc<[ColumnOfRow]>, body: &DataRowBody) -> std::io::Result<Self> {
        // A copy, so that the row does not keep the memory of all that was received with it.
        let all = Bytes::copy_from_slice(body.buffer());
        let values =
            body.ranges().map(|range| Ok(range.map(|range| all.slice(range)))).collect()?;
        Ok(Self { columns: Arc::clone(columns), values })
    }

    /// The columns of the answer.
    pub(crate) fn columns(&self) -> &[ColumnOfRow] {
        &self.columns
    }

    /// The bytes of a value; `None` for NULL.
    pub(crate) fn bytes(&self, at: usize) -> Result<Option<&[u8]>, Failure> {
        let value = self.values.get(at).ok_or(Failure::Unexpected(at))?;
        Ok(value.as_deref())
    }

    /// A value.
    pub(crate) fn get<T: FromText>(&self, at: usize) -> Result<T, Failure> {
        let value = match self.bytes(at)? {
            Some(bytes) => std::str::from_utf8(bytes).ok().and_then(T::from_text),
            None => T::null(),
        };
        value.ok_or(Failure::Unexpected(at))
    }
}

pub(super) fn columns(body: &RowDescriptionBody) -> std::io::Result<Arc<[ColumnOfRow]>> {
    let column = body
        .fields()
        .map(|field| Ok(ColumnOfRow { name: field.name().to_owned(), oid: Oid(field.type_oid()) }));
    Ok(column.collect::<Vec<_>>()?.into())
}

/// Types that the server writes as Rust reads them.
macro_rules! parsed {
    ($($kind:ty),*) => {$(
        impl FromText for $kind {
            fn from_text(text: &str) -> Option<Self> {
                <$kind>::from_str(text).ok()
            }
        }
    )*};
}

parsed!(i32, i64, f64, String);

impl FromText for Oid {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        }
    }
}

impl<T: FromText> FromText for Option<T> {
    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }

    fn null() -> Option<Self> {
        Some(None)
    }
}

/// Arrays of numbers: their elements are written without quotes.
macro_rules! arrays {
    ($($kind:ty),*) => {$(
        impl FromText for Vec<$kind> {
            fn from_text(text: &str) -> Option<Self> {
                let elements = text.strip_prefix('{')?.strip_suffix('}')?;
                if elements.is_empty() {
                    return Some(Self::new());
                }
                elements.split(',').map(<$kind>::from_text).collect()
            }
        }
    )*};
}

arrays!(f64, Oid);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Row {
        let values = values.iter().map(|value| value.map(|text| text.to_owned().into())).collect();
        Row { columns: Arc::new([]), values }
    }

    #[test]
    fn values_are_read_as_the_server_writes_them() {
        let row = row(&[
            Some("-7"),
            Some("t"),
            Some("1e-05"),
            Some("Infinity"),
            Some("{1,22}"),
            Some("{}"),
        ]);
        assert_eq!(row.get::<i64>(0).unwrap(), -7);
        assert!(row.get::<bool>(1).unwrap());
        assert!((row.get::<f64>(2).unwrap() - 1e-5).abs() < 1e-20);
        assert!(row.get::<f64>(3).unwrap().is_infinite());
        assert_eq!(row.get::<Vec<Oid>>(4).unwrap(), [Oid(1), Oid(22)]);
        assert_eq!(row.get::<Vec<f64>>(5).unwrap(), [0.0; 0]);
        assert_eq!(row.get::<Option<String>>(0).unwrap().as_deref(), Some("-7"));
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let row = row(&[None, Some("x"), Some("{1,NULL}")]);
        assert_eq!(row.get::<Option<i64>>(0).unwrap(), None);
        for refused in [
            row.get::<i64>(0).map(drop),
            row.get::<i64>(1).map(drop),
            row.get::<bool>(1).map(drop),
            row.get::<Vec<f64>>(2).map(drop),
            row.get::<String>(9).map(drop),
        ] {
            assert!(matches!(refused, Err(Failure::Unexpected(_))), "{refused:?}");
        }
    }
}
