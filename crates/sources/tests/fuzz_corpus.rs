//! Decodes every input that fuzzing was given or has found once more.
#![expect(clippy::expect_used, reason = "a test that cannot go on has to stop and say why")]
#![expect(clippy::print_stdout, reason = "a test that fails names its input")]

#[path = "../../../fuzz/fuzz_targets/check.rs"]
mod check;
#[path = "../../../fuzz/fuzz_targets/plain.rs"]
mod plain;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Decodes each file of a folder; how many there are.
fn decode_all(folder: &Path) -> usize {
    let files: Vec<_> = fs::read_dir(folder).expect("the folder is there").flatten().collect();
    for file in &files {
        let input = fs::read(file.path()).expect("an input can be read");
        // Names the input where it panics.
        println!("{}", file.path().display());
        check::check(&input);
    }
    files.len()
}

#[test]
fn the_inputs_with_a_name_are_decoded() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/copy_decoder");
    assert!(decode_all(&corpus) > 20);
}

#[test]
fn what_fuzzing_has_found_is_decoded() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/found.tar.gz");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unpacked =
        Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(unpacked.expect("tar starts").success());
    assert!(decode_all(folder.path()) > 1000);
}
