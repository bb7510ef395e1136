#![no_main]
//! See `holdfast_fuzz::policy::check_expression`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::policy::check_expression(input));
