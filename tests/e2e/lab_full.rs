//! The checks of `hairpin lab --full` that have a gateway of their own, a test each; short versions, all in
//! one run.

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use std::sync::OnceLock;

use serde_json::Value;

use super::lab::{lab, live, report, verdict};

const CHECKS: [&str; 16] = [
    "stun",
    "time-wait",
    "time-wait-kept",
    "last-ack",
    "rst-hold",
    "rst-delete",
    "inbound-flood",
    "inbound-refresh",
    "inbound-opening",
    "ftp",
    "basic-nat",
    "static-forward",
    "bypass",
    "pools",
    "port-blocks",
    "ip-id",
];

fn run() -> &'static Value {
    static RUN: OnceLock<Value> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut arguments = vec!["--quick", "--json", "--rounds", "0"];
        arguments.extend(CHECKS.iter().flat_map(|name| ["--only", name]));
        report(&lab(&arguments))
    })
}

fn passes(name: &str) {
    let run = run();
    if !live(run) {
        return;
    }
    let (passed, seen) = verdict(run, name);
    if !passed && seen.contains("is not installed") {
        eprintln!("not tested: {seen}");
        assert!(std::env::var_os("CI").is_none(), "under CI this has to be tested; {seen}");
        return;
    }
    assert!(passed, "{name}: {seen}");
}

// covers: N8, N10, N19, B1.4787-1, B1.4787-8
#[test]
fn stun_discovery_finds_mapping_and_filtering_as_configured() {
    passes("stun");
}

// covers: N3, N4
#[test]
fn hundreds_of_connections_of_two_clients_go_through_four_ports() {
    passes("time-wait");
}

// covers: N3
#[test]
fn without_re_use_four_ports_are_four_connections() {
    passes("time-wait-kept");
}

// covers: N6
#[test]
fn a_fin_after_the_end_of_its_session_is_answered_by_the_gateway() {
    passes("last-ack");
}

// covers: N7
#[test]
fn only_an_exact_rst_ends_a_connection_and_its_endpoints_decide() {
    passes("rst-hold");
}

// covers: N7
#[test]
fn only_an_exact_rst_deletes_a_session() {
    passes("rst-delete");
}

// covers: N10, B10
#[test]
fn a_flood_from_outside_leaves_the_subscriber_its_sessions() {
    passes("inbound-flood");
}

// covers: N12, B1.4787-5a
#[test]
fn refused_packets_keep_no_mapping_alive() {
    passes("inbound-refresh");
}

// covers: N10
#[test]
fn no_segment_but_a_syn_opens_a_session_from_outside() {
    passes("inbound-opening");
}

// covers: B8
#[test]
fn ftp_works_active_and_passive_with_the_server_on_either_side() {
    passes("ftp");
}

// covers: B5, B6
#[test]
fn a_whole_address_passes_every_port_and_protocol() {
    passes("basic-nat");
}

// covers: B5
#[test]
fn strangers_reach_a_server_inside_over_a_static_mapping() {
    passes("static-forward");
}

// covers: B5, B1.6888-6
#[test]
fn some_destinations_see_subscribers_untranslated() {
    passes("bypass");
}

// covers: B5
#[test]
fn a_subscriber_has_addresses_of_its_pool() {
    passes("pools");
}

// covers: N5, B1.6888-14
#[test]
fn a_subscriber_has_the_ports_of_its_block_and_no_more() {
    passes("port-blocks");
}

// covers: N17
#[test]
fn identifications_of_two_subscribers_never_collide() {
    passes("ip-id");
}
