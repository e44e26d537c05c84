//! Network namespaces: making them, and running code in them.
//!
//! A socket, a netlink connection and a child process belong to the namespace of the *thread* that
//! made them and stay there, whichever thread uses them later. So nothing here forks: to do
//! something in a namespace is to do it on a short-lived thread that has entered it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};

/// The namespace of the calling thread. `/proc/self` would be the one of the process's first thread.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// A network namespace, alive as long as this value or something in it is.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one, with nothing in it but a loopback interface that is down.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; ENOSPC where `user.max_net_namespaces` is reached.
    pub fn create() -> io::Result<Self> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(Self { file: File::open(CURRENT)? })
        })
    }

    /// Runs `work` in it, on a thread of its own, and waits for it.
    ///
    /// # Errors
    /// Those of `work`, and of entering the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Moves the calling thread into it, for good.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Runs `work` on a new thread, so that what it does to its own namespaces ends with it.
fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// How this process came to be allowed to make network namespaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privilege {
    /// It was all along.
    Already,
    /// In a user namespace of its own, in which it is root.
    UserNamespace,
}

/// Gets the right to make network namespaces; where it is not there, from a new user namespace.
///
/// In either case the calling thread is in a new, empty network namespace afterwards: whatever it
/// does by mistake does not reach the machine's own. To be called before the process has a second
/// thread: the kernel gives no user namespace to one thread of several.
///
/// # Errors
/// The system's error, with what was tried and where a machine forbids it.
pub fn acquire_privilege() -> io::Result<Privilege> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok(Privilege::Already),
        Err(nix::Error::EPERM) => {}
        Err(error) => return Err(tried("making a network namespace", error.into())),
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| {
        let hint = match error {
            nix::Error::EPERM => "not root, and user namespaces are not allowed here (seccomp, or kernel.unprivileged_userns_clone = 0)",
            nix::Error::ENOSPC => "user.max_user_namespaces is reached or 0",
            nix::Error::EINVAL => "not root, and a process with several threads cannot enter a user namespace",
            _ => "not root",
        };
        tried(&format!("making a user namespace ({hint})"), error.into())
    })?;
    // Without this the kernel takes no group map from somebody unprivileged.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
        // Ubuntu's AppArmor lets everybody make a user namespace, but one without capabilities.
        let hint = "in a user namespace; kernel.apparmor_restrict_unprivileged_userns = 1 would forbid it";
        tried(&format!("making a network namespace ({hint})"), error.into())
    })?;
    Ok(Privilege::UserNamespace)
}

fn write(path: &str, value: &str) -> io::Result<()> {
    fs::write(path, value).map_err(|error| tried(&format!("writing \"{value}\" to {path}"), error))
}

fn tried(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
