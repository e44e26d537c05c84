//! The fuzz target under plain `cargo test`: the same body as in fuzz/. A fixed seed drives it, so a failure repeats.
//!
//! `HAIRPIN_LENS_PACKETS` asks for another number of packets.

mod fuzz_body;

/// Packets of all lenses together.
const PACKETS: u64 = 300_000;
/// Packets that one lens sees.
const EACH: u64 = 20_000;

// covers: L2, L4
#[test]
fn no_packet_makes_the_lens_panic_or_contradict_itself() {
    let packets = std::env::var("HAIRPIN_LENS_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(PACKETS);
    let (mut seen, mut reports) = (0, 0);
    for seed in 1.. {
        if seen >= packets {
            break;
        }
        let (more, told) = fuzz_body::run(seed, &[], EACH);
        (seen, reports) = (seen + more, reports + told);
    }
    println!("{seen} packets, {reports} flows");
    assert!(reports > seen / 1_000, "the packets make flows: {reports}");
}

// covers: L4
#[test]
fn octets_choose_the_traffic() {
    for octets in [&[][..], &[0; 100], &[0xff; 1_000], b"any octets at all, and an odd number of them, too."]
    {
        let (seen, _) = fuzz_body::run(1, octets, 200);
        assert!(seen >= 200);
    }
}
