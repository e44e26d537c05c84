//! The endpoint behind the shared-object interface of packetdrill: `packetdrill --so_filename=...`.
//!
//! The tool loads this library, calls `packetdrill_interface_init`, and makes every call of its scripts through the
//! table that it gets. Time is ours: it moves in `usleep`, in `netdev_receive`, and by a microsecond whenever
//! the tool asks for it, because the tool spins on the clock. `--so_flags` are settings of the endpoint.
//!
//! | file | what is in it |
//! |---|---|
//! | [`table`] | the table of functions, as the tool's header has it |
//! | [`calls`] | the functions: C's values to ours and back |
//! | [`world`] | the host, shared by the tool's two threads |

mod calls;
mod table;
mod world;

#[cfg(test)]
mod tests;
