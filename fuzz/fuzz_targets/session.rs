#![no_main]
//! See `holdfast_fuzz::session::check_session`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::session::check_session(input));
