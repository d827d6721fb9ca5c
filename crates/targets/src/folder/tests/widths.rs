//! Columns whose values need 32 bits in some files, and 64 in others.

use arrow_array::{ArrayRef, Int32Array};

use super::*;

/// The column of a source that calls its type so.
fn ids_of(encoding: &str) -> Vec<Column> {
    let mut columns = columns("id", TargetType::Int64);
    columns[0].encoding = encoding.into();
    columns
}

fn part_of(encoding: &str, ids: &[i32]) -> Vec<u8> {
    let schema = arrow_schema(&ids_of(encoding));
    let wide = ids.iter().map(|id| i64::from(*id));
    let array: ArrayRef = match encoding {
        "int8" => Arc::new(Int64Array::from_iter_values(wide)),
        _ => Arc::new(Int32Array::from(ids.to_vec())),
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A load of parts whose encodings and ids are given, of a source with the column `encoding`.
async fn load_of(world: &World, encoding: &str, parts: &[(&str, &[i32])]) -> Load {
    let mut load = world.load(WriteDisposition::Append, &[]).await;
    for (number, (encoding, ids)) in parts.iter().enumerate() {
        let path = format!("runs/{}/parts/00000/{number}.parquet", load.run);
        load.parts.push(put(&world.bucket, &path, part_of(encoding, ids)).await);
        load.rows += ids.len() as u64;
    }
    load.columns = ids_of(encoding);
    load
}

#[tokio::test]
async fn integers_of_32_bits_are_appended_to_those_of_64_that_an_earlier_version_wrote() {
    let world = World::new();
    let old = load_of(&world, "int8", &[("int8", &[1, 2])]).await;
    load_into(&old).await.unwrap();
    // An earlier version has written the first part of this run, too.
    let new = load_of(&world, "int4", &[("int8", &[3]), ("int4", &[4]), ("int2", &[5])]).await;
    assert_eq!(load_into(&new).await.unwrap().rows, 3);
}

#[tokio::test]
async fn a_column_that_became_wider_is_not_appended() {
    let world = World::new();
    load_into(&load_of(&world, "int4", &[("int4", &[1])]).await).await.unwrap();
    let wide = load_of(&world, "int8", &[("int8", &[2])]).await;
    let (kind, said) = refused(load_into(&wide).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("column `id` in 32 bits, and the source's has 64 now"), "{said}");
    let anew = Load { disposition: WriteDisposition::Truncate, ..wide };
    load_into(&anew).await.unwrap();
    assert_eq!(world.ids(), [2]);
}
