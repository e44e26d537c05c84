//! What a connection sends.

pub(crate) mod buffer;
pub(crate) mod frto;
pub(crate) mod prr;
pub(crate) mod rack;
pub(crate) mod recovery;
pub(crate) mod scoreboard;
