#![no_main]
//! See `holdfast_fuzz::policy::expression::check_expression`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::policy::expression::check_expression(input));
