//! Decodes every input that fuzzing was given or has found once more.
#![expect(clippy::expect_used, reason = "a test that cannot go on has to stop and say why")]
#![expect(clippy::print_stdout, reason = "a test that fails names its input")]

#[path = "../../../fuzz/fuzz_targets/check.rs"]
mod check;
#[path = "../../../fuzz/fuzz_targets/plain.rs"]
mod plain;
#[path = "../../../fuzz/fuzz_targets/ranges.rs"]
mod ranges;

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::strategy::Strategy;

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

/// Texts of the characters that CSV and JSON give a meaning, and tables with new lines in quotes.
fn texts() -> impl Strategy<Value = String> {
    let any = "([a1\",;\\t\r\n|{}: ]|\"\"|\n\"|\",|\\{\"a\": 1\\}\n|1,2\n){0,400}";
    let field = "([a1]{0,3}|\"([a\n,]|\"\"){0,6}\")";
    let table = proptest::collection::vec((field, field, field), 0..60);
    let table = table.prop_map(|rows| {
        rows.iter().map(|(a, b, c)| format!("{a},{b},{c}\n")).collect::<Vec<_>>().concat()
    });
    proptest::prop_oneof![any, table]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_in_ranges_is_the_text_or_refused(count: u8, style: u8, text in texts()) {
        let input = [&[count, style], text.as_bytes()].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let folder = tempfile::tempdir().expect("a temporary folder");
        runtime.expect("a runtime").block_on(ranges::check(&input, folder.path()));
    }
}
