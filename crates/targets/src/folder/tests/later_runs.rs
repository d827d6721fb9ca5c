//! Runs of which a later one is visible.

use super::*;

#[tokio::test]
async fn a_run_does_not_replace_the_rows_of_a_later_one() {
    let world = World::new();
    let older = world.load(WriteDisposition::Truncate, &[&[1]]).await;
    let mut newer = world.load(WriteDisposition::Truncate, &[&[2, 3]]).await;
    // Two ids of one millisecond are in no order.
    newer.run = std::iter::repeat_with(RunId::generate).find(|id| *id > older.run).unwrap();
    load_into(&newer).await.unwrap();
    for disposition in [WriteDisposition::Truncate, WriteDisposition::Empty] {
        let late = Load { disposition, ..older.clone() };
        let loaded = load_into(&late).await.unwrap();
        assert_eq!((loaded.rows, loaded.overtaken_by), (0, Some(newer.run)));
        assert_eq!(world.ids(), [2, 3]);
    }
    // What is only added replaces nothing.
    let late = Load { disposition: WriteDisposition::Append, ..older };
    assert_eq!(load_into(&late).await.unwrap().overtaken_by, None);
    assert_eq!(world.ids(), [1, 2, 3]);
    assert!(world.leftovers().is_empty());
}
