//! End to end: real kernels in network namespaces, the real daemon between them.

mod run;
