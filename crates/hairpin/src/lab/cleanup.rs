//! Nothing of the lab outlives it: its directory and its programs end with it, however it ends. (The
//! namespaces and the links in them are gone with the last process that is in one.)

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getpid;

use super::process::stop_running;

/// What the process ends with when somebody stops it: 128 + SIGINT, or the result if it is known.
static EXIT_STATUS: AtomicU8 = AtomicU8::new(130);

/// A directory for the daemon's files, removed when dropped.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new one, for this user only, for one lab a process.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("hairpin-lab-{}", getpid()));
        let made = fs::DirBuilder::new();
        let mut made = made;
        std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
        made.create(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("making {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP end the daemon, remove `directory`, and end the process.
///
/// To be called before there is a second thread: threads inherit which signals they leave alone.
///
/// # Errors
/// The system's.
pub(super) fn on_signals(directory: PathBuf) -> io::Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // An error would be EINVAL for a signal that does not exist.
        while signals.wait().is_err() {}
        stop_running();
        drop(fs::remove_dir_all(directory));
        exit(EXIT_STATUS.load(Ordering::Relaxed).into());
    })?;
    Ok(())
}

/// The result is known: it is what the process ends with, even if somebody stops it.
pub(super) fn exit_status(status: u8) {
    EXIT_STATUS.store(status, Ordering::Relaxed);
}
