//! End to end: real kernels in network namespaces, the real daemon between them.
//!
//! | file | what is in it |
//! |---|---|
//! | `lab` | the checks of `hairpin lab`: one run of the program, a test for each of its checks |
//! | `lab_full` | those that have a gateway of their own: TIME-WAIT, RST, floods, STUN, FTP and more |
//! | `run` | what `hairpin run` does to a machine and takes back |
//! | `scrub` | urgent data scrubbed: every reader, Telnet, FTP, and nftables beside it |
//! | `war` | two hosts at war through the daemon, and the end of it |
//! | `host` | `hairpin tcp`, and a web server on our own TCP |
//! | `urgent_kernel` | urgent data: the same segments to the kernel and to our endpoint, and what is read of them |
//! | `lens_kernel` | urgent flows to the kernel, and what `hairpin inspect` says of a capture of them |
//! | `inspect_live` | `hairpin inspect --live` on interfaces |
//! | `by_hand` | the client, the kernel and the segments of both |
//!
//! A lab is a process of its own, so that it can also enter a user namespace.

mod by_hand;
mod host;
mod inspect_live;
mod lab;
mod lab_full;
mod lens_kernel;
mod run;
mod scrub;
mod urgent_kernel;
mod war;

use nix::sched::{CloneFlags, unshare};

/// Runs `body` on a thread of its own in a fresh network namespace, which ends with it.
fn in_new_namespace(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("not run: no network namespace here (root is needed): {error}");
                assert!(std::env::var_os("CI").is_none(), "CI must be able to run this test");
                return;
            }
            body();
        });
        if let Err(panic) = outcome.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
