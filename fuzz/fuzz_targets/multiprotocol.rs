#![no_main]
//! See `holdfast_fuzz::attributes::check_multiprotocol`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::attributes::check_multiprotocol(input));
