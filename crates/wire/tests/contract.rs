//! What other rooms of the house count on beyond behaviour: sizes.

use hairpin_wire as wire;

// Batches of parsed packets live on the stack, and a result must not be larger than the packet.
#[test]
fn a_packet_is_forty_octets() {
    assert_eq!(size_of::<wire::Packet>(), 40);
    assert_eq!(size_of::<Result<wire::Packet, wire::Malformed>>(), 40);
}
