//! libFuzzer's way into [`fuzz::dialect`] for the dialect `cm360`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::dialect::run("cm360", input));
