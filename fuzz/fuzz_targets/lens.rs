//! The lens under traffic that the octets choose. The body is the one that `cargo test` runs.
#![no_main]

#[path = "../../crates/lens/tests/fuzz_body/mod.rs"]
mod fuzz_body;

// About twenty octets choose a packet.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_body::run(1, data, data.len() as u64 / 20 + 1);
});
