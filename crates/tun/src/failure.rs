//! Errors that say what was tried: "adding route 192.0.2.0/24 dev hp-out: File exists".

use std::fmt;
use std::io;

/// The system's error, and what it answered to.
#[derive(Debug)]
struct Failure {
    tried: String,
    source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tried, self.source)?;
        f.write_str(match self.source.raw_os_error() {
            Some(libc::EPERM) => " (CAP_NET_ADMIN is needed: run as root)",
            Some(libc::EACCES) => " (run as root)",
            _ => "",
        })
    }
}

/// Without a source: its text is in ours, and a report would print it twice.
impl std::error::Error for Failure {}

/// `source` as the answer to `tried`, e.g. "bringing up hp-in".
pub fn failure(tried: impl Into<String>, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), Failure { tried: tried.into(), source })
}

/// The system's error number behind an error of this module. (`io::Error::raw_os_error` sees it
/// only where nothing was added.)
pub fn errno(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| error.get_ref()?.downcast_ref::<Failure>().and_then(|f| errno(&f.source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn an_error_names_what_was_tried_and_keeps_its_number() {
        let error =
            failure("adding route 192.0.2.0/24 dev hp-out", io::Error::from_raw_os_error(libc::EEXIST));
        assert!(
            error.to_string().starts_with("adding route 192.0.2.0/24 dev hp-out: File exists"),
            "{error}"
        );
        assert_eq!(errno(&error), Some(libc::EEXIST));
        assert_eq!(errno(&io::Error::other("no number")), None);
    }
}
