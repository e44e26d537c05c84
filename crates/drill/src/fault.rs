//! What is wrong with a script, or with what the endpoint did: with its place and its remedy.

use core::fmt;
use core::ops::Range;

use miette::{Diagnostic, LabeledSpan};

/// What sort of trouble it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The script is not of the language.
    Syntax,
    /// The script asks for something that there is not here.
    Unsupported,
    /// The endpoint did not do what the script says.
    Failed,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What sort of trouble.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// Where: octets of the script.
    pub span: Range<usize>,
    /// The words below the underlined text.
    pub label: String,
    /// What to write or to look at.
    pub help: String,
}

/// What most of this crate returns.
pub(crate) type Result<T> = core::result::Result<T, Box<Fault>>;

impl Fault {
    pub(crate) fn syntax(
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<Self> {
        Self::new(Kind::Syntax, span, message, "here", help)
    }

    pub(crate) fn unsupported(
        span: &Range<usize>,
        what: impl fmt::Display,
        help: impl Into<String>,
    ) -> Box<Self> {
        Self::new(Kind::Unsupported, span, format!("not supported: {what}"), "needs this", help)
    }

    pub(crate) fn failed(
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<Self> {
        Self::new(Kind::Failed, span, message, label, help)
    }

    fn new(
        kind: Kind,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            kind,
            message: message.into(),
            span: span.clone(),
            label: label.into(),
            help: help.into(),
        })
    }

    /// The line that it is in, counted from 1.
    pub fn line(&self, text: &str) -> usize {
        let upto = text.as_bytes().get(..self.span.start).unwrap_or(text.as_bytes());
        upto.iter().filter(|octet| **octet == b'\n').count() + 1
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.span.clone());
        Some(Box::new(core::iter::once(label)))
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        if self.help.is_empty() { None } else { Some(Box::new(&self.help)) }
    }
}
