#![no_main]
//! See `holdfast_fuzz::configuration::check_editing`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::configuration::check_editing(input));
