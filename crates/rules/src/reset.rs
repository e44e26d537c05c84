//! When a RST is sent, and what it says (RFC 9293 3.5.2 and 3.10.7).

use wire::SeqNumber;

/// A reset to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK, and the ACK flag, if the offending segment had none.
    pub ack: Option<SeqNumber>,
}

/// The groups of states that the standard distinguishes, with what it takes to decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// 1: there is no connection. Everything is reset.
    Closed,
    /// 2: LISTEN. Nothing was sent, so every acknowledgment is unacceptable.
    Listen,
    /// 2: SYN-SENT and SYN-RECEIVED. Reset unless SND.UNA < SEG.ACK =< SND.NXT.
    Opening {
        /// SND.UNA: ISS, as long as our SYN is not acknowledged.
        snd_una: SeqNumber,
        /// SND.NXT.
        snd_nxt: SeqNumber,
    },
    /// 3: from ESTABLISHED on. What is unacceptable is answered with an ACK, never with a RST.
    Synchronized,
}

/// The reset that a segment provokes, if any: never in answer to a RST.
///
/// `ack` is SEG.ACK if the ACK flag is set; `len` is SEG.LEN, with SYN and FIN; `rst` is the flag.
pub fn reset_for(seq: SeqNumber, ack: Option<SeqNumber>, len: u32, rst: bool, group: Group) -> Option<Reset> {
    let provoked = match (group, ack) {
        (Group::Closed, _) | (Group::Listen, Some(_)) => true,
        (Group::Opening { snd_una, snd_nxt }, Some(ack)) => {
            let acknowledged = ack.distance_from(snd_una);
            acknowledged == 0 || acknowledged > snd_nxt.distance_from(snd_una)
        }
        (Group::Listen | Group::Opening { .. }, None) | (Group::Synchronized, _) => false,
    };
    (provoked && !rst).then(|| match ack {
        Some(ack) => Reset { seq: ack, ack: None },
        None => Reset { seq: SeqNumber(0), ack: Some(seq.plus(len)) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNA: u32 = u32::MAX;
    const SEQ: SeqNumber = SeqNumber(u32::MAX - 1);

    fn opening(sent: u32) -> Group {
        Group::Opening { snd_una: SeqNumber(UNA), snd_nxt: SeqNumber(UNA).plus(sent) }
    }

    fn groups() -> [Group; 4] {
        [Group::Closed, Group::Listen, opening(1), Group::Synchronized]
    }

    // covers: T1
    #[test]
    fn a_rst_never_provokes_a_rst() {
        for group in groups() {
            for ack in [None, Some(SeqNumber(0)), Some(SeqNumber(77))] {
                assert_eq!(reset_for(SEQ, ack, 3, true, group), None, "{group:?} {ack:?}");
            }
        }
    }

    // covers: T1
    #[test]
    fn without_a_connection_everything_is_reset_in_a_way_the_peer_accepts() {
        let with_ack = reset_for(SEQ, Some(SeqNumber(77)), 3, false, Group::Closed);
        assert_eq!(with_ack, Some(Reset { seq: SeqNumber(77), ack: None }));
        let without = reset_for(SEQ, None, 3, false, Group::Closed);
        assert_eq!(without, Some(Reset { seq: SeqNumber(0), ack: Some(SeqNumber(1)) }), "across 2^32");
    }

    // covers: T1
    #[test]
    fn a_listener_resets_acknowledgments_only() {
        assert_eq!(reset_for(SEQ, None, 1, false, Group::Listen), None);
        let reset = reset_for(SEQ, Some(SeqNumber(9)), 1, false, Group::Listen);
        assert_eq!(reset, Some(Reset { seq: SeqNumber(9), ack: None }));
    }

    // covers: T1
    #[test]
    fn while_opening_whatever_acknowledges_nothing_sent_is_reset() {
        for sent in 1..6 {
            assert_eq!(reset_for(SEQ, None, 1, false, opening(sent)), None);
            for offset in -4_i32..12 {
                let ack = SeqNumber(UNA.wrapping_add(offset as u32));
                // Walk over what was sent: an acknowledgment names the octet behind one of these.
                let names_one = (0..sent).any(|octet| SeqNumber(UNA).plus(octet).plus(1) == ack);
                let reset = reset_for(SEQ, Some(ack), 1, false, opening(sent));
                assert_eq!(reset.is_none(), names_one, "{sent} {offset}");
                assert!(reset.is_none_or(|reset| reset == Reset { seq: ack, ack: None }));
            }
        }
    }

    // covers: T1
    #[test]
    fn a_synchronized_connection_answers_with_an_ack_and_never_with_a_rst() {
        for ack in [None, Some(SeqNumber(0)), Some(SeqNumber(1 << 31))] {
            assert_eq!(reset_for(SEQ, ack, 9, false, Group::Synchronized), None);
        }
    }
}
