#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nixmon_fuzz::sanitize_text(data));
