//! Everything in `wire` that reads octets, fed with any. The body is the one that `cargo test` runs.
#![no_main]

#[path = "../../crates/wire/tests/fuzz_body/mod.rs"]
mod fuzz_body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_body::one(data));
