#![no_main]
//! See `holdfast_fuzz::wire::check_open`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::wire::check_open(input));
