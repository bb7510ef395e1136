#![no_main]
//! See `holdfast_fuzz::policy::whole::check_policy`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::policy::whole::check_policy(input));
