//! Programs in the hosts: the daemon, and the servers and clients of others.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getppid};

use super::sockets::left;
use super::world::Host;

/// The executable of this process, whatever has become of its file.
pub const OWN_EXECUTABLE: &str = "/proc/self/exe";
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The programs that are running, for whoever ends this process without unwinding it.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running program. Dropped, it is stopped.
#[derive(Debug)]
pub struct Process {
    /// What it is called in messages.
    name: &'static str,
    pid: Pid,
    /// What it printed; read up to the point of the last question.
    lines: Receiver<String>,
    log: Vec<String>,
    keeper: Option<JoinHandle<io::Result<ExitStatus>>>,
}

impl Process {
    /// Starts `program` in `host`.
    ///
    /// # Errors
    /// The system's, with the name.
    pub fn start<'a>(
        host: &Host,
        name: &'static str,
        program: &OsStr,
        arguments: impl IntoIterator<Item = &'a OsStr>,
    ) -> io::Result<Self> {
        // By way of this executable, so that it ends when the lab does: see `exec`.
        let mut command = Command::new(OWN_EXECUTABLE);
        command.args(["lab", "--exec"]).arg(program).args(arguments).stdin(Stdio::null());
        let (pid_sender, pid) = channel();
        let (line_sender, lines) = channel();
        let namespace = File::from(std::os::fd::AsFd::as_fd(host.namespace()).try_clone_to_owned()?);
        let keeper = thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || keep(&namespace, command, &pid_sender, &line_sender))?;
        let Ok(pid) = pid.recv() else {
            // It ended without a process: its error says why.
            return Err(match keeper.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other(format!("{name} was not started")),
            });
        };
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        Ok(Self { name, pid, lines, log: Vec::new(), keeper: Some(keeper) })
    }

    /// Waits for a line that `wanted` is true of.
    ///
    /// # Errors
    /// What it printed, when it ends or says nothing instead.
    pub fn await_line(&mut self, wanted: impl Fn(&str) -> bool, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = left(deadline, "ready line").unwrap_or(Duration::ZERO);
            let problem = match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let ready = wanted(&line);
                    self.log.push(line);
                    if ready {
                        return Ok(());
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => "is not ready in time",
                Err(RecvTimeoutError::Disconnected) => "ended instead of being ready",
            };
            return Err(io::Error::other(format!(
                "{} {problem}; it said:\n{}",
                self.name,
                self.log.join("\n")
            )));
        }
    }

    /// Waits until it ends by itself, and returns what it printed, and whether it succeeded.
    ///
    /// # Errors
    /// What it printed, when it does not end.
    pub fn finish(mut self, patience: Duration) -> io::Result<(bool, Vec<String>)> {
        let deadline = Instant::now() + patience;
        while let Ok(left) = left(deadline, "end") {
            match self.lines.recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.reap()?;
                    return Ok((status.is_none_or(|status| status.success()), std::mem::take(&mut self.log)));
                }
            }
        }
        Err(io::Error::other(format!("{} does not end; it said:\n{}", self.name, self.log.join("\n"))))
    }

    /// Everything that it has printed so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Ends it and waits for that.
    ///
    /// # Errors
    /// How it ended, where that was not with success.
    pub fn stop(&mut self) -> io::Result<()> {
        if let Some(keeper) = &self.keeper {
            terminate(self.pid, || keeper.is_finished());
        }
        match self.reap()? {
            Some(status) if !status.success() => {
                let (name, said) = (self.name, self.log().join("\n"));
                Err(io::Error::other(format!("{name} ended with {status}; it said:\n{said}")))
            }
            _ => Ok(()),
        }
    }

    fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(keeper) = self.keeper.take() else { return Ok(None) };
        let status = keeper.join().map_err(|_| io::Error::other("a program's keeper panicked"))??;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|&pid| pid != self.pid);
        Ok(Some(status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell.
        drop(self.stop());
    }
}

/// Ends the programs of this process; for exits that unwind nothing.
pub fn stop_running() {
    for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        terminate(pid, || kill(pid, None).is_err());
    }
}

/// Asks first, and insists after [`STOP_PATIENCE`].
fn terminate(pid: Pid, gone: impl Fn() -> bool) {
    if gone() {
        return;
    }
    let _ = kill(pid, Signal::SIGTERM);
    let deadline = Instant::now() + STOP_PATIENCE;
    while !gone() {
        if Instant::now() > deadline {
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lives as long as the program: the kernel tells a child that its parent died when the *thread* that
/// made it ends, see [`exec`].
fn keep(
    namespace: &File,
    mut command: Command,
    pid: &Sender<Pid>,
    lines: &Sender<String>,
) -> io::Result<ExitStatus> {
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Its copies of the pipe would keep the reader waiting for ever.
    drop(command);
    let listener_gone = pid.send(Pid::from_raw(child.id().cast_signed())).is_err();
    for line in BufReader::new(reader).lines() {
        // Read on although nobody listens: a full pipe would block the program.
        let _ = lines.send(line?);
    }
    if listener_gone {
        child.kill()?;
    }
    child.wait()
}

/// Becomes a program: what `lab --exec PROGRAM ARGUMENTS` does in the child process.
///
/// It is sent SIGTERM when the lab ends in a way that leaves no time to clean up.
///
/// # Errors
/// Always, for it does not return otherwise.
pub fn exec(program: &[OsString]) -> io::Error {
    let prepare = || -> io::Result<()> {
        set_pdeathsig(Signal::SIGTERM)?;
        if getppid() == Pid::from_raw(1) {
            return Err(io::Error::other("the lab is gone already"));
        }
        // The lab blocks signals in all its threads but one, and a child inherits that.
        Ok(SigSet::all().thread_unblock()?)
    };
    if let Err(error) = prepare() {
        return error;
    }
    match program {
        [program, arguments @ ..] => Command::new(program).args(arguments).exec(),
        [] => io::Error::other("no program"),
    }
}

/// Where a program is that a distribution may have put beside everybody's path.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut found = std::env::split_paths(&path).chain(system).map(|directory| directory.join(name));
    found.find(|program| program.is_file())
}
