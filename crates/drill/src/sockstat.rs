//! `sockstat ... | grep -c STATE | grep NUMBER`: how FreeBSD's scripts ask in which states connections are.

use tcp::State;

use crate::sockets::Host;

/// What such a line of a shell comes to: how many there are, and whether that is the number that the script wants.
/// `None`: it is another line.
pub(crate) fn sockstat(host: &Host, words: &[String]) -> Option<(usize, bool)> {
    let mut stages = words.split(|word| word == "|").map(|stage| stage.iter().map(String::as_str));
    // Which addresses and ports: there are no others here than the script's.
    let ours = stages.next()?.any(|word| word == "-4");
    let mut found = None;
    for mut stage in stages {
        match (stage.next()?, stage.next()?, stage.next(), found) {
            ("grep", "-c", Some(name), None) => found = Some(host.in_state(state(name)?)),
            ("grep", number, None, Some(found)) => {
                return ours.then_some((found, found.to_string().contains(number)));
            }
            // The name of the program.
            ("grep", _, None, None) => {}
            _ => return None,
        }
    }
    None
}

/// A state as `sockstat` prints it.
fn state(name: &str) -> Option<State> {
    Some(match name {
        "CLOSED" => State::Closed,
        "SYN_SENT" => State::SynSent,
        "SYN_RCVD" => State::SynReceived,
        "ESTABLISHED" => State::Established,
        "FIN_WAIT_1" => State::FinWait1,
        "FIN_WAIT_2" => State::FinWait2,
        "CLOSE_WAIT" => State::CloseWait,
        "CLOSING" => State::Closing,
        "LAST_ACK" => State::LastAck,
        "TIME_WAIT" => State::TimeWait,
        _ => return None,
    })
}
