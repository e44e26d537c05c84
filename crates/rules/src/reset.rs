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
