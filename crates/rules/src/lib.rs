//! What the TCP and NAT standards decide, written once.
//!
//! Pure functions and tables; no state of their own, no I/O, no allocation. The host asks them when
//! it receives a segment, the middlebox when it must know what a segment does to a connection, the
//! observer when it must know what a host would have made of it. One bug is fixed in one place.
//!
//! In the order in which a host asks on arrival: [`paws`], [`acceptability`], [`rfc5961`] (RST, SYN,
//! ACK), [`window`] for the peer's window, [`urgent`]; without a connection [`reset`] and
//! [`time_wait`]; to open one [`isn`] and [`port_selection`]. The middlebox has [`tracking`],
//! [`middlebox`], [`flags`] and [`address`]; it and the observer have [`war`].
//!
//! ```
//! use hairpin_rules::acceptability::{Acceptability, Edge, Window, acceptability, trim};
//! use hairpin_rules::seq::SeqNumber;
//!
//! // The peer's SYN-ACK again, one octet left of the window: its ACK counts, its SYN does not.
//! let window = Window { nxt: SeqNumber(301), wnd: 1000 };
//! assert_eq!(acceptability(SeqNumber(300), 1, window, Edge::Seqval), Acceptability::Acceptable);
//! assert_eq!(acceptability(SeqNumber(300), 1, window, Edge::Rfc793), Acceptability::Unacceptable);
//! assert_eq!(trim(SeqNumber(300), 1, window).keep, 0);
//! ```
//!
//! ```
//! use hairpin_rules::tracking::{Segment, Side, State, step};
//!
//! // A client's SYN and a server's SYN establish a session (RFC 7857 section 2).
//! let opening = step(State::Closed, Side::Client, Segment::Syn);
//! let open = step(opening.state, Side::Server, Segment::Syn);
//! assert_eq!(open.state, State::Established);
//!
//! // A RST puts it on notice; whoever sends data after that proves that it lives on.
//! let reset = step(open.state, Side::Server, Segment::Rst);
//! assert_eq!(reset.state, State::Trans);
//! assert_eq!(step(reset.state, Side::Client, Segment::Other).state, State::Established);
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod acceptability;
pub mod address;
pub mod flags;
pub mod isn;
pub mod middlebox;
pub mod path_mtu;
pub mod paws;
pub mod port_selection;
pub mod reset;
pub mod rfc5961;
pub mod seq;
pub mod time;
pub mod time_wait;
pub mod tracking;
pub mod urgent;
pub mod user_timeout;
pub mod war;
pub mod window;

pub use time::Instant;
