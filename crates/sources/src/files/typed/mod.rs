//! Files that name the types of their columns: Parquet and Avro.
//!
//! Libraries decode both into Arrow's arrays. What is done here is to say what each type becomes, to read each
//! row group or block once, to prove that none is missing, and to make the columns of part files of the arrays
//! without a change to a value.

mod avro;
mod batches;
mod block;
mod field;
mod look;
mod marks;
mod merge;
mod native;
mod nested;
mod parquet;
mod scale;
mod schema_names;
mod step;
mod text;
mod union;

pub(super) use self::avro::MAGIC as AVRO_MAGIC;
pub(super) use self::batches::TypedBatches;
pub(super) use self::field::type_documentation;
pub(super) use self::look::{look_at, starts_of};
pub(super) use self::parquet::MAGIC as PARQUET_MAGIC;
