//! What a connection sends.

pub(crate) mod buffer;
