#![no_main]
//! See `holdfast_fuzz::machine::check_netlink`.

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdfast_fuzz::machine::check_netlink(input));
