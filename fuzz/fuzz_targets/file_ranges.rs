//! Cuts any text into ranges, and reads them.

#![no_main]

mod ranges;

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static SITE: OnceCell<(Runtime, tempfile::TempDir)> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    SITE.with(|site| {
        let (runtime, folder) = site.get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            (runtime.expect("a runtime"), tempfile::tempdir().expect("a folder"))
        });
        runtime.block_on(ranges::check(input, folder.path()));
    });
});
