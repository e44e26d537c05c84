//! End to end: real kernels in network namespaces, the real daemon between them.
//!
//! | file | what is in it |
//! |---|---|
//! | `lab` | the checks of `hairpin lab`: one run of the program, a test for each of its checks |
//! | `run` | what `hairpin run` does to a machine and takes back |
//! | `urgent_kernel` | urgent data: the same segments to the kernel and to our endpoint, and what is read of them |
//!
//! A lab is a process of its own, so that it can also enter a user namespace.

mod lab;
mod run;
mod urgent_kernel;
