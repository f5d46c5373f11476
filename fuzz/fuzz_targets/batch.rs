//! libFuzzer's way into [`fuzz::batch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::batch::run(input));
