//! libFuzzer's way into [`fuzz::dialect`] for the dialect `native`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::dialect::run("native", input));
