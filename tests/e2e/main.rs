//! End to end: real kernels in network namespaces, the real daemon between them.
//!
//! The tests run the program's own `lab` and look at what it found: one run of all checks, a test
//! for each. A run is a process of its own, so that it can also enter a user namespace.

mod lab;
