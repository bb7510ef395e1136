#![no_main]
//! See `holdfast_fuzz::bfd::check_sessions`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::bfd::check_sessions(input));
