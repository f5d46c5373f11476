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
fn consent() {
    each("consent", fuzz::consent::run);
}

#[test]
fn deletion() {
    each("deletion", fuzz::deletion::run);
}

#[test]
fn record() {
    each("record", fuzz::record::run);
}

#[test]
fn journal() {
    each("journal", fuzz::journal::run);
}

#[test]
fn dialects() {
    each("dialect_native", |input| fuzz::dialect::run("native", input));
    each("dialect_miaozhen", |input| fuzz::dialect::run("miaozhen", input));
    each("dialect_admaster", |input| fuzz::dialect::run("admaster", input));
    each("dialect_cm360", |input| fuzz::dialect::run("cm360", input));
    each("dialect_nielsen", |input| fuzz::dialect::run("nielsen", input));
    each("dialect_gridsum", |input| fuzz::dialect::run("gridsum", input));
    each("dialect_talkingdata", |input| fuzz::dialect::run("talkingdata", input));
    each("dialect_rtbasia", |input| fuzz::dialect::run("rtbasia", input));
    each("dialect_adbug", |input| fuzz::dialect::run("adbug", input));
    each("dialect_vast", |input| fuzz::dialect::run("vast", input));
}
