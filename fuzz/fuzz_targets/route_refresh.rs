#![no_main]
//! See `holdfast_fuzz::wire::check_route_refresh`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::wire::check_route_refresh(input));
