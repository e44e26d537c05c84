//! Scripts in the packetdrill language against the endpoint, in virtual time.
//!
//! [`parse`] reads a script, [`run`] carries it out: packets go in, packets that come out are compared, calls
//! are made on [`sockets::Host`], and the clock moves only as the script says. No root, no kernel, no waiting.
//!
//! ```
//! # use hairpin_drill as drill;
//! let script = r#"
//!    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!   +0 bind(3, ..., ...) = 0
//!   +0 listen(3, 1) = 0
//!   +0 < S 0:0(0) win 65535 <mss 1000>
//!   +0 > S. 0:0(0) ack 1 <...>
//! "#;
//! let outcome = drill::run(script, &drill::Options::default());
//! assert!(outcome.verdict.is_ok());
//! assert_eq!(outcome.records.len(), 2);
//! ```
#![forbid(unsafe_code)]

pub mod ast;
mod fault;
mod lexer;
mod parser;
mod report;
mod run;
pub mod settings;
pub mod sockets;
mod sockstat;
pub mod symbols;

pub use fault::{Fault, Kind};
pub use parser::parse;
pub use report::packet_line;
pub use run::{Mark, Options, Outcome, Record, run};
