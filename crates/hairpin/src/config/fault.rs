//! What is wrong with a configuration file: each fault with its place and its remedy.

use core::fmt;
use core::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Where: octets of the file.
    pub span: Range<usize>,
    /// The words below the underlined text.
    pub label: String,
    /// Another place that it clashes with, and the words for that.
    pub other: Option<(Range<usize>, String)>,
    /// What to write.
    pub help: String,
}

/// Everything that is wrong with one file.
#[derive(Debug)]
pub struct Faults {
    source: NamedSource<String>,
    faults: Vec<Fault>,
}

impl Faults {
    pub(crate) fn new(name: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.span.start);
        let source = NamedSource::new(name, text.to_owned());
        Self { source, faults }
    }

    /// The faults, in the order of the file.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [one] => f.write_str(&one.message),
            more => write!(f, "{}: {} errors", self.source.name(), more.len()),
        }
    }
}

impl std::error::Error for Faults {}

// One fault is shown as itself; several are shown below a headline that counts them.
impl Diagnostic for Faults {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.faults.as_slice() {
            [one] => one.labels(),
            _ => None,
        }
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        match self.faults.as_slice() {
            [one] => one.help(),
            _ => None,
        }
    }

    fn related(&self) -> Option<Box<dyn Iterator<Item = &dyn Diagnostic> + '_>> {
        match self.faults.as_slice() {
            [_] => None,
            more => Some(Box::new(more.iter().map(|fault| fault as &dyn Diagnostic))),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let first = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.span.clone());
        let other = self
            .other
            .iter()
            .map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone()));
        Some(Box::new(core::iter::once(first).chain(other)))
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(&self.help))
    }
}
