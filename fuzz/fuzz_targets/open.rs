#![no_main]
//! See `holdfast_fuzz::check_open`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::check_open(input));
