//! libFuzzer's way into [`fuzz::dialect`] for the dialect `rtbasia`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::dialect::run("rtbasia", input));
