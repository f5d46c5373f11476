//! libFuzzer's way into [`fuzz::parser`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::parser::run(input));
