#![no_main]
//! See `holdfast_fuzz::engine::check_facts`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::engine::check_facts(input));
