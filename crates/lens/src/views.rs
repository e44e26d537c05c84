//! Whose readings are compared: every host profile with each of its readers, and three that are no host.

use rules::urgent::profiles::{Extraction, HostProfile, Superseded};
use rules::urgent::{Delivery, PROFILES, Pointer};
use serde::Serialize;

use crate::fold::{Kind, Reader};

/// One reader of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// The profile's name in [`rules::urgent::PROFILES`]; or `scrubbed`, `rfc1122-in-line`, `sensor`.
    pub host: &'static str,
    /// When and how its application reads.
    pub reader: Reader,
    pub(crate) kind: Kind,
}

/// A view by its names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ViewName {
    /// [`View::host`].
    pub host: &'static str,
    /// [`View::reader`].
    pub reader: Reader,
}

/// All views, hosts first, in the order of the table of profiles.
pub fn views() -> Vec<View> {
    let mut views: Vec<View> = PROFILES.iter().flat_map(of_profile).collect();
    let in_line = |host| View { host, reader: Reader::InLine, kind: Kind::InLine };
    views.push(in_line("rfc1122-in-line"));
    views.push(in_line("scrubbed"));
    views.push(View { host: "sensor", reader: Reader::OutOfBand, kind: Kind::Sensor });
    views
}

fn of_profile(profile: &'static HostProfile) -> Vec<View> {
    let view = |reader, kind| View { host: profile.name, reader, kind };
    let mut views = Vec::new();
    if let Delivery::OutOfBand { .. } = profile.delivery {
        for reader in [Reader::Lazy, Reader::Prompt, Reader::OutOfBand] {
            views.push(view(reader, out_of_band(profile, reader)));
        }
    }
    if views.is_empty() || profile.in_line_option {
        views.push(view(Reader::InLine, Kind::InLine));
    }
    views
}

fn out_of_band(profile: &HostProfile, reader: Reader) -> Kind {
    let last = profile.receive == Pointer::Last;
    match (profile.extraction, profile.superseded) {
        (Extraction::WhenRead, Superseded::ReturnsToStream) => {
            Kind::Linux { stdurg: last, prompt: reader == Reader::Prompt }
        }
        (Extraction::OnArrival, _) => Kind::Bsd { last },
        // Out of band only where the application asks for it, and then by the standard's own mark.
        (Extraction::WhenRead, _) => Kind::InLine,
    }
}

impl View {
    /// Its names.
    pub const fn name(&self) -> ViewName {
        ViewName { host: self.host, reader: self.reader }
    }
}

impl core::fmt::Display for ViewName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let reader = match self.reader {
            Reader::Lazy => "late",
            Reader::Prompt => "prompt",
            Reader::OutOfBand => "out of band",
            Reader::InLine => "in line",
        };
        match self.host {
            "scrubbed" | "rfc1122-in-line" | "sensor" => f.write_str(self.host),
            host => write!(f, "{host} ({reader})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: L1, U11
    #[test]
    fn every_profile_has_a_view_and_its_readers_where_they_differ() {
        let views = views();
        for profile in PROFILES {
            let of: Vec<_> = views.iter().filter(|view| view.host == profile.name).collect();
            assert!(!of.is_empty(), "{}", profile.name);
            let out_of_band = matches!(profile.delivery, Delivery::OutOfBand { .. });
            assert_eq!(of.len(), if out_of_band { 3 + usize::from(profile.in_line_option) } else { 1 });
        }
        for extra in ["scrubbed", "rfc1122-in-line", "sensor"] {
            assert!(views.iter().any(|view| view.host == extra));
        }
        assert!(views.iter().all(|view| Kind::ALL.contains(&view.kind)));
    }
}
