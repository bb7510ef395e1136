#![no_main]
//! See `holdfast_fuzz::wire::check_notification`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::wire::check_notification(input));
