#![no_main]
//! See `holdfast_fuzz::engine::check_speaker`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::engine::check_speaker(input));
