//! A table's columns as the target sees them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A BigQuery column type, by its standard SQL name.
///
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetType {
    /// 64-bit signed integer.
    Int64,
    /// 64-bit IEEE 754.
    Float64,
    /// Exact decimal: 29 digits before the point, 9 after.
    Numeric,
    /// Exact decimal: 38 digits before the point, 38 after (and part of a 39th).
    Bignumeric,
    /// True or false.
    Bool,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A day of the years 1 to 9999.
    Date,
    /// A time of day to the microsecond, below 24:00.
    Time,
    /// A date and time without a zone, to the microsecond, years 1 to 9999.
    Datetime,
    /// A point in time, to the microsecond, years 1 to 9999 UTC.
    Timestamp,
    /// A JSON document, verbatim.
    Json,
    /// Points, lines and polygons on the earth, as WKT or `GeoJSON`.
    Geography,
    /// Months, days and microseconds, each with a sign of its own, as ISO 8601: up to 10,000 years,
    /// 3,660,000 days and 87,840,000 hours.
    Interval,
    /// The days from one to before another, each of which may be missing: `[2024-01-01, UNBOUNDED)`.
    #[serde(rename = "RANGE<DATE>")]
    RangeDate,
    /// The same of DATETIME.
    #[serde(rename = "RANGE<DATETIME>")]
    RangeDatetime,
    /// The same of TIMESTAMP.
    #[serde(rename = "RANGE<TIMESTAMP>")]
    RangeTimestamp,
    /// Named fields, each with a type of its own: [`Column::fields`]. A job can ask for it where the values
    /// are objects or lists of JSON lines.
    Struct,
}

impl TargetType {
    /// Every type but STRUCT, in the order of the documentation.
    pub const ALL: [Self; 17] = [
        Self::Int64,
        Self::Float64,
        Self::Numeric,
        Self::Bignumeric,
        Self::Bool,
        Self::String,
        Self::Bytes,
        Self::Date,
        Self::Time,
        Self::Datetime,
        Self::Timestamp,
        Self::Json,
        Self::Geography,
        Self::Interval,
        Self::RangeDate,
        Self::RangeDatetime,
        Self::RangeTimestamp,
    ];

    /// The standard SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int64 => "INT64",
            Self::Float64 => "FLOAT64",
            Self::Numeric => "NUMERIC",
            Self::Bignumeric => "BIGNUMERIC",
            Self::Bool => "BOOL",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Datetime => "DATETIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Json => "JSON",
            Self::Geography => "GEOGRAPHY",
            Self::Interval => "INTERVAL",
            Self::RangeDate => "RANGE<DATE>",
            Self::RangeDatetime => "RANGE<DATETIME>",
            Self::RangeTimestamp => "RANGE<TIMESTAMP>",
            Self::Struct => "STRUCT",
        }
    }

    /// What a range is of; `None` for the other types.
    pub fn range_element(self) -> Option<Self> {
        match self {
            Self::RangeDate => Some(Self::Date),
            Self::RangeDatetime => Some(Self::Datetime),
            Self::RangeTimestamp => Some(Self::Timestamp),
            _ => None,
        }
    }
}

impl std::fmt::Display for TargetType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Digits of an exact decimal column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decimal {
    /// All digits, 1 to 76.
    pub precision: u8,
    /// Digits after the point, at most `precision`.
    pub scale: u8,
}

impl Decimal {
    /// What BigQuery's NUMERIC holds of a decimal without a declared size.
    pub const NUMERIC: Self = Self { precision: 38, scale: 9 };
    /// What BigQuery's BIGNUMERIC holds of a decimal without a declared size. One digit fewer
    /// before the point than BigQuery's own limit, which is not a whole digit.
    pub const BIGNUMERIC: Self = Self { precision: 76, scale: 38 };

    /// The narrowest BigQuery type that holds every decimal of these digits, if one does.
    pub fn target_type(self) -> Option<TargetType> {
        let whole = self.precision.checked_sub(self.scale)?;
        match (whole, self.scale) {
            (0..=29, 0..=9) => Some(TargetType::Numeric),
            (0..=38, 0..=38) => Some(TargetType::Bignumeric),
            _ => None,
        }
    }
}

/// What to do with a value that the target type cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// End the run at the first such value.
    #[default]
    Fail,
    /// Load NULL in its place and count it in the receipt.
    Null,
}

/// One column, in the source and in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name in the target.
    pub name: String,
    /// Name in the source.
    pub source_name: String,
    /// Type as the source spells it, for people.
    pub source_type: String,
    /// Name of the row of the source's type table that reads this column.
    pub encoding: String,
    /// Type in the target.
    pub target_type: TargetType,
    /// Whether the target column is an array of `target_type`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Digits, for NUMERIC and BIGNUMERIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// Its fields, for STRUCT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Column>,
    /// Whether the source allows NULL in it; absent where the source does not say so, as for a view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// Most characters of its values, for STRING, or bytes, for BYTES, if the source limits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// What the column is about, for readers of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What happens to a value that `target_type` cannot hold.
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// Which values of the source type the target cannot hold; empty where every value fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
}

impl Column {
    /// A column that has one name in source and target, and nothing said of it but its types.
    pub fn plain(name: &str, encoding: &str, target_type: TargetType) -> Self {
        Self {
            name: name.to_owned(),
            source_name: name.to_owned(),
            source_type: encoding.to_owned(),
            encoding: encoding.to_owned(),
            target_type,
            repeated: false,
            decimal: None,
            fields: Vec::new(),
            nullable: None,
            max_length: None,
            description: None,
            on_invalid: OnInvalid::Fail,
            invalid: None,
        }
    }
}

/// The table's schema as `bq show --schema` prints it.
///
/// Columns are NULLABLE even where the source forbids NULL: a constraint that the source drops
/// later must not make the next night's load fail.
///
/// <https://cloud.google.com/bigquery/docs/schemas#specify-schema-manual-python>
pub fn bigquery_schema(columns: &[Column]) -> serde_json::Value {
    columns
        .iter()
        .map(|column| {
            let mut field = bigquery_field(column);
            if column.target_type == TargetType::Struct {
                field["fields"] = bigquery_schema(&column.fields);
            }
            field
        })
        .collect()
}

/// One field of [`bigquery_schema`], without the fields inside of a STRUCT.
pub fn bigquery_field(column: &Column) -> serde_json::Value {
    let (kind, element) = (column.target_type, column.target_type.range_element());
    let mut field = serde_json::json!({
        "name": column.name,
        "type": if element.is_some() { "RANGE" } else { kind.name() },
        "mode": if column.repeated { "REPEATED" } else { "NULLABLE" },
    });
    if let Some(element) = element {
        field["rangeElementType"] = serde_json::json!({"type": element.name()});
    }
    field
}

/// The Arrow schema of a table's part files. Every field is nullable, as every target column is.
///
/// Parquet's JSON annotation would make BigQuery load BYTES, so JSON is plain text here.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(arrow_fields(columns)))
}

fn arrow_fields(columns: &[Column]) -> Vec<Field> {
    columns.iter().map(|column| Field::new(&column.name, arrow_type(column), true)).collect()
}

/// Bytes of each value of a column of BYTES, where all have the same length: the encoding `uuid` means that
/// of 16 bytes in every source. A part file holds them without their lengths, which takes a fifth less.
pub fn fixed_length(column: &Column) -> Option<i32> {
    let is_uuid = column.target_type == TargetType::Bytes && column.encoding == "uuid";
    (is_uuid && !column.repeated).then_some(16)
}

/// Whether a part file holds a column of INT64 in 32 bits, because all its values fit: that is what the encodings
/// `int2` and `int4` mean in every source.
pub fn is_short_integer(column: &Column) -> bool {
    let is_short = matches!(column.encoding.as_str(), "int2" | "int4");
    is_short && column.target_type == TargetType::Int64 && !column.repeated
}

fn arrow_type(column: &Column) -> DataType {
    let single = match column.target_type {
        _ if is_short_integer(column) => DataType::Int32,
        _ if let Some(length) = fixed_length(column) => DataType::FixedSizeBinary(length),
        TargetType::Struct => DataType::Struct(arrow_fields(&column.fields).into()),
        scalar => scalar_type(scalar, column.decimal),
    };
    if column.repeated {
        // `element` is the name that Parquet's specification gives the inner field.
        DataType::List(Arc::new(Field::new("element", single, true)))
    } else {
        single
    }
}

/// The Arrow type of one value of a column, or of one element of an array column. A STRUCT has the
/// fields of its column, which are not known here: it is a STRUCT of none.
pub fn scalar_type(target: TargetType, decimal: Option<Decimal>) -> DataType {
    match target {
        TargetType::Int64 => DataType::Int64,
        TargetType::Float64 => DataType::Float64,
        TargetType::Numeric | TargetType::Bignumeric => {
            let decimal = digits(target, decimal);
            let scale = i8::try_from(decimal.scale).unwrap_or(i8::MAX);
            if decimal.precision <= 38 {
                DataType::Decimal128(decimal.precision, scale)
            } else {
                DataType::Decimal256(decimal.precision, scale)
            }
        }
        TargetType::Bool => DataType::Boolean,
        TargetType::String
        | TargetType::Json
        | TargetType::Geography
        | TargetType::Interval
        | TargetType::RangeDate
        | TargetType::RangeDatetime
        | TargetType::RangeTimestamp => DataType::Utf8,
        TargetType::Bytes => DataType::Binary,
        TargetType::Date => DataType::Date32,
        TargetType::Time => DataType::Time64(TimeUnit::Microsecond),
        TargetType::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
        TargetType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        TargetType::Struct => DataType::Struct(Fields::empty()),
    }
}

/// The digits of a decimal column: those declared, or all that its type holds.
pub fn digits(target: TargetType, decimal: Option<Decimal>) -> Decimal {
    decimal.unwrap_or(match target {
        TargetType::Bignumeric => Decimal::BIGNUMERIC,
        _ => Decimal::NUMERIC,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, target_type: TargetType, fields: Vec<Column>) -> Column {
        let repeated = target_type == TargetType::Struct;
        Column { repeated, fields, ..Column::plain(name, "", target_type) }
    }

    #[test]
    fn only_single_integers_of_a_short_type_have_32_bits() {
        let of = |encoding: &str, target_type, repeated| {
            let plain = column("n", target_type, vec![]);
            let column = Column { encoding: encoding.into(), repeated, ..plain };
            arrow_schema(&[column]).field(0).data_type().clone()
        };
        for encoding in ["int2", "int4"] {
            assert_eq!(of(encoding, TargetType::Int64, false), DataType::Int32);
            assert_eq!(of(encoding, TargetType::Numeric, false), DataType::Decimal128(38, 9));
            let list = of(encoding, TargetType::Int64, true);
            assert_eq!(list, of("int8", TargetType::Int64, true));
        }
        for encoding in ["int8", "oid", "integer", ""] {
            assert_eq!(of(encoding, TargetType::Int64, false), DataType::Int64, "{encoding}");
        }
    }

    #[test]
    fn a_nested_column_has_its_fields_in_every_schema() {
        let inner = vec![column("sku", TargetType::String, vec![])];
        let columns = [column("lines", TargetType::Struct, inner)];
        let field = Field::new("sku", DataType::Utf8, true);
        let element = Field::new("element", DataType::Struct(vec![field].into()), true);
        let lines = Field::new("lines", DataType::List(Arc::new(element)), true);
        assert_eq!(*arrow_schema(&columns), Schema::new(vec![lines]));
        let sku = serde_json::json!({"name": "sku", "type": "STRING", "mode": "NULLABLE"});
        assert_eq!(
            bigquery_schema(&columns),
            serde_json::json!([
                {"name": "lines", "type": "STRUCT", "mode": "REPEATED", "fields": [sku]}
            ])
        );
    }
}
