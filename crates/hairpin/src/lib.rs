//! The program around the engines: configuration, live traffic, captures, the lab.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the commands and their arguments |
//! | [`config`] | the configuration file: reading, errors that name the line, `check`, `explain` |
//! | [`live`] | `run`: TUN devices, workers, what is set up on the machine and taken back |
//! | [`host`] | `tcp`: our own TCP on a TUN device, in the manner of netcat |
//! | [`translate`] | `translate`: capture in, capture out |
//! | [`inspect`] | `inspect`: captures through the lens |
//! | [`observe`] | captures read at full speed, for `inspect` |
//! | [`lab`] | `lab`: real kernels in network namespaces around the real daemon |
//! | [`sim`] | `sim`: scenarios in virtual time, drawn as ladders |
//! | `drill` | `drill`: scripts in the packetdrill language against the endpoint |
//! | [`who`] | `who`: whose an external address and port is, from the file alone |
//! | [`net`] | netlink, sysctls and namespaces, for `live` and `lab` |

pub mod cli;
pub mod config;
mod drill;
pub mod host;
pub mod inspect;
pub mod lab;
pub mod live;
pub mod net;
pub mod observe;
pub mod sim;
pub mod translate;
pub mod who;
