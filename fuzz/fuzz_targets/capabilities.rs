#![no_main]
//! See `holdfast_fuzz::wire::check_capabilities`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::wire::check_capabilities(input));
