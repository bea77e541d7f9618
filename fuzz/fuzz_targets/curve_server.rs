#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| curvelink_tests::fuzz::run("curve_server", data));
