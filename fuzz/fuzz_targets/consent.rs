//! libFuzzer's way into [`fuzz::consent`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::consent::run(input));
