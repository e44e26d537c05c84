//! What a connection receives.

pub(crate) mod assembler;
pub(crate) mod buffer;
pub(crate) mod urgent;
