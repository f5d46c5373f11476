//! Every seed runs through its target on any toolchain, without libFuzzer.

use std::fs;
use std::path::Path;

fn each(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("the target has seeds") {
        run(&fs::read(entry.expect("a seed").path()).expect("a seed is a file"));
        seeds += 1;
    }
    assert!(seeds >= 3, "{target} has {seeds} seeds");
}

#[test]
fn batch() {
    each("batch", fuzz::batch::run);
}

#[test]
fn parser() {
    each("parser", fuzz::parser::run);
}

#[test]
fn record() {
    each("record", fuzz::record::run);
}

#[test]
fn journal() {
    each("journal", fuzz::journal::run);
}
