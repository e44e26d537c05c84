//! The totals of all workers, for people and for machines.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use nat::Counters;
use serde_json::{Value, json};

use super::worker::Traffic;
use crate::net::failure;

/// The totals of all workers at one time.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    engine: Counters,
    traffic: Traffic,
    workers: usize,
}

impl Totals {
    /// The sums over `workers`.
    pub fn of(workers: impl IntoIterator<Item = (Counters, Traffic)>) -> Self {
        let mut totals = Self::default();
        for (engine, traffic) in workers {
            add_counters(&mut totals.engine, &engine);
            add_traffic(&mut totals.traffic, &traffic);
            totals.workers += 1;
        }
        totals
    }

    /// As a JSON object. Names are those of [`Counters`] and [`Traffic`]; `dropped` has one entry
    /// for each reason that has occurred.
    pub fn json(&self, uptime: std::time::Duration) -> Value {
        let Counters {
            forwarded,
            hairpinned,
            dropped: _,
            icmp_errors_sent,
            icmp_errors_limited,
            sessions_created,
            sessions_deleted,
            mappings_created,
            mappings_deleted,
            ip_ids_reused,
            last_acks_sent,
            last_acks_limited,
            sessions_shifted,
            ftp_rewritten,
            ftp_passed,
            scrubbed,
        } = &self.engine;
        let drops: serde_json::Map<_, _> =
            self.engine.drops().map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
        let found: serde_json::Map<_, _> =
            scrubbed.found().map(|(finding, count)| (finding.name().to_owned(), count.into())).collect();
        json!({
            "uptime_seconds": uptime.as_secs_f64(),
            "workers": self.workers,
            "forwarded": { "from_inside": forwarded[0], "from_outside": forwarded[1] },
            "hairpinned": hairpinned,
            "dropped": drops,
            "dropped_total": self.dropped(),
            "icmp_errors_sent": icmp_errors_sent,
            "icmp_errors_limited": icmp_errors_limited,
            "sessions": sessions_created - sessions_deleted,
            "sessions_created": sessions_created,
            "sessions_deleted": sessions_deleted,
            "mappings": mappings_created - mappings_deleted,
            "mappings_created": mappings_created,
            "mappings_deleted": mappings_deleted,
            "ip_ids_reused": ip_ids_reused,
            "last_acks_sent": last_acks_sent,
            "last_acks_limited": last_acks_limited,
            "sessions_shifted": sessions_shifted,
            "ftp_rewritten": ftp_rewritten,
            "ftp_passed": ftp_passed,
            "scrubbed": found,
            "wars_damped": scrubbed.wars,
            "scrub_events_lost": scrubbed.events_lost,
            "connections_not_followed": scrubbed.not_followed,
            "traffic": self.traffic,
        })
    }

    /// Writes [`Self::json`] to a file, so that a reader sees the old one or the new one.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, path: &Path, uptime: std::time::Duration) -> io::Result<()> {
        let tried = |error| failure(format!("writing {}", path.display()), error);
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, format!("{:#}\n", self.json(uptime))).map_err(tried)?;
        fs::rename(&beside, path).map_err(tried)
    }

    fn dropped(&self) -> u64 {
        self.engine.dropped.iter().sum()
    }
}

/// A table: what came, what became of it.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, traffic) = (&self.engine, &self.traffic);
        let mut line = |name: &str, value: u64| writeln!(f, "  {name:<34}{value:>16}");
        line("packets from inside", traffic.received[0])?;
        line("packets from outside", traffic.received[1])?;
        line("translated outwards", engine.forwarded[0])?;
        line("  of these back inside (hairpin)", engine.hairpinned)?;
        line("translated inwards", engine.forwarded[1])?;
        line("ICMP errors sent", engine.icmp_errors_sent)?;
        line("  held back by the rate limit", engine.icmp_errors_limited)?;
        line("last ACKs sent for subscribers", engine.last_acks_sent)?;
        line("  held back by the rate limit", engine.last_acks_limited)?;
        line("sessions with shifted numbers", engine.sessions_shifted)?;
        line("mappings now", engine.mappings_created - engine.mappings_deleted)?;
        line("  since the start", engine.mappings_created)?;
        line("sessions now", engine.sessions_created - engine.sessions_deleted)?;
        line("  since the start", engine.sessions_created)?;
        if engine.scrubbed.found().next().is_some() {
            line("changed or found by scrubbing", engine.scrubbed.findings.iter().sum())?;
        }
        for (finding, count) in engine.scrubbed.found() {
            line(&format!("  {finding}"), count)?;
        }
        if engine.scrubbed.wars > 0 {
            line("wars damped", engine.scrubbed.wars)?;
        }
        line("dropped", self.dropped())?;
        for (reason, count) in engine.drops() {
            line(&format!("  {reason}"), count)?;
        }
        if self.workers > 1 {
            line("handed to another worker", traffic.handed_over)?;
            line("  dropped: it was too far behind", traffic.hand_over_full)?;
        }
        line("not taken by a device", traffic.send_failed)
    }
}

fn add_counters(sum: &mut Counters, more: &Counters) {
    // All fields by name: a new one must be added here, too.
    let Counters {
        forwarded,
        hairpinned,
        dropped,
        icmp_errors_sent,
        icmp_errors_limited,
        sessions_created,
        sessions_deleted,
        mappings_created,
        mappings_deleted,
        ip_ids_reused,
        last_acks_sent,
        last_acks_limited,
        sessions_shifted,
        ftp_rewritten,
        ftp_passed,
        scrubbed,
    } = more;
    add_all(&mut sum.forwarded, forwarded);
    add_all(&mut sum.dropped, dropped);
    sum.hairpinned += hairpinned;
    sum.icmp_errors_sent += icmp_errors_sent;
    sum.icmp_errors_limited += icmp_errors_limited;
    sum.sessions_created += sessions_created;
    sum.sessions_deleted += sessions_deleted;
    sum.mappings_created += mappings_created;
    sum.mappings_deleted += mappings_deleted;
    sum.ip_ids_reused += ip_ids_reused;
    sum.last_acks_sent += last_acks_sent;
    sum.last_acks_limited += last_acks_limited;
    sum.sessions_shifted += sessions_shifted;
    sum.ftp_rewritten += ftp_rewritten;
    sum.ftp_passed += ftp_passed;
    add_all(&mut sum.scrubbed.findings, &scrubbed.findings);
    sum.scrubbed.wars += scrubbed.wars;
    sum.scrubbed.events_lost += scrubbed.events_lost;
    sum.scrubbed.not_followed += scrubbed.not_followed;
}

fn add_traffic(sum: &mut Traffic, more: &Traffic) {
    let Traffic { received, received_octets, sent, send_failed, handed_over, hand_over_full, batches, waits } =
        more;
    add_all(&mut sum.received, received);
    add_all(&mut sum.received_octets, received_octets);
    add_all(&mut sum.sent, sent);
    sum.send_failed += send_failed;
    sum.handed_over += handed_over;
    sum.hand_over_full += hand_over_full;
    sum.batches += batches;
    sum.waits += waits;
}

fn add_all(sum: &mut [u64], more: &[u64]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use nat::Reason;

    use super::*;

    // covers: O3
    #[test]
    fn totals_are_sums_and_name_their_drop_reasons() {
        let mut engine = Counters { forwarded: [3, 4], sessions_created: 5, ..Counters::default() };
        engine.sessions_deleted = 2;
        engine.dropped[Reason::TtlExpired.index()] = 7;
        let traffic = Traffic { received: [10, 20], ..Traffic::default() };
        let totals = Totals::of([(engine.clone(), traffic.clone()), (engine, traffic)]);
        let json = totals.json(std::time::Duration::from_secs(1));
        assert_eq!(json["forwarded"]["from_outside"], 8);
        assert_eq!(json["sessions"], 6);
        assert_eq!(json["dropped"], json!({ "ttl-expired": 14 }));
        assert_eq!(json["traffic"]["received"], json!([20, 40]));
        let table = totals.to_string();
        assert!(table.lines().any(|line| line.split_whitespace().eq(["ttl-expired", "14"])), "{table}");
    }
}
