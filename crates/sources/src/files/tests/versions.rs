//! Files that change while a run reads them.

use super::*;

#[tokio::test]
async fn a_file_that_is_replaced_or_deleted_is_refused() {
    let folder = Folder::of("a.csv", "a,b\n1,x\n");
    let job = folder.job();
    let described = folder.describe(&job).await.unwrap();
    let (table, whole) =
        (planned(&job, &described), unit(described.pieces[0].leaf.clone(), Cut::Full));
    assert_eq!(folder.read(&table, &whole).await.unwrap().0, ["1|x"]);
    // As many bytes as before.
    let folder = folder.with("a.csv", "a,b\n2,y\n");
    let error = folder.read(&table, &whole).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(said(&error).contains("was replaced since the run was planned"), "{error:?}");
    std::fs::remove_file(folder.path("a.csv")).unwrap();
    let error = folder.read(&table, &whole).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(said(&error).contains("is gone since the run was planned"), "{error:?}");
}

#[tokio::test]
async fn a_file_that_became_shorter_is_refused_wherever_it_is_read() {
    let folder = Folder::of("a.csv", format!("a,b\n{}", "12345,x\n".repeat(3_000)));
    let (table, units) = ranges::ranges(&folder, 4).await;
    let folder = folder.with("a.csv", "a,b\n1,x\n");
    for unit in units {
        let error = said(&folder.read(&table, &unit).await.unwrap_err());
        assert!(error.contains("was replaced since the run was planned"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_comes_later_is_of_the_next_run() {
    let folder = Folder::new("*.csv").with("a.csv", "a,b\n1,x\n");
    let described = folder.describe(&folder.job()).await.unwrap();
    let folder = folder.with("b.csv", "a,b\n2,y\n");
    assert_eq!(described.pieces.len(), 1);
    assert_eq!(folder.rows().await.unwrap(), ["1|x", "2|y"]);
}

#[tokio::test]
async fn no_file_and_no_row_are_told_apart() {
    let none = Folder::new("*.csv");
    assert_eq!(none.refused().await.kind(), Kind::NotFound);
    let empty = Folder::of("a.csv", "");
    assert!(said(&empty.refused().await).contains("none has a byte"), "no columns are told");
    let header = Folder::of("a.csv", "a,b\n");
    assert_eq!(header.columns().await, ["a: STRING", "b: STRING"]);
    assert!(header.rows().await.unwrap().is_empty());
}

#[tokio::test]
async fn formats_that_are_not_read_are_named() {
    let folder = Folder::of("a.orc", "ORC");
    let error = said(&folder.refused().await);
    assert!(error.contains("no files that end in `.orc`"), "{error}");
}
