//! The sender's side: the octets that wait, what of them is on its way, and what is lost.

pub(crate) mod buffer;
pub(crate) mod frto;
pub(crate) mod prr;
pub(crate) mod rack;
pub(crate) mod recovery;
pub(crate) mod scoreboard;
