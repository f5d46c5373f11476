//! libFuzzer's way into [`fuzz::deletion`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::deletion::run(input));
