//! The checks of `hairpin lab`, a test each.

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

/// One lab at a time: their checks have patience, but not for one another.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) fn lab(arguments: &[&str]) -> Output {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(env!("CARGO_BIN_EXE_hairpin"))
        .arg("lab")
        .args(arguments)
        .output()
        .expect("the program that cargo has just built can be started")
}

pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: no report on standard output; on standard error:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Whether the lab had namespaces. Where not, says why; under CI that is a failure.
pub(crate) fn live(report: &Value) -> bool {
    let setting = report["setting"].as_str().expect("the report says how it was made");
    let live = !setting.starts_with("offline");
    if !live {
        eprintln!("not tested: {setting}");
        assert!(std::env::var_os("CI").is_none(), "under CI this has to be tested; {setting}");
    }
    live
}

/// The run that all single checks are looked up in.
fn full_run() -> &'static Value {
    static RUN: OnceLock<Value> = OnceLock::new();
    RUN.get_or_init(|| report(&lab(&["--json", "--rounds", "0"])))
}

pub(crate) fn verdict<'a>(report: &'a Value, name: &str) -> (bool, &'a str) {
    let checks = report["checks"].as_array().expect("the report has checks");
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("there is no check {name}"));
    (check["passed"] == true, check["seen"].as_str().unwrap_or_default())
}

fn passes(name: &str) {
    let run = full_run();
    if live(run) {
        let (passed, seen) = verdict(run, name);
        assert!(passed, "{name}: {seen}");
    }
}

// covers: B1.5382-1
#[test]
fn bulk_tcp_downwards_arrives_octet_for_octet() {
    passes("tcp-download");
}

// covers: B1.5382-1
#[test]
fn bulk_tcp_upwards_arrives_octet_for_octet() {
    passes("tcp-upload");
}

// covers: N1, B1.5382-2
#[test]
fn two_thousand_short_connections_are_all_answered() {
    passes("tcp-short");
}

// covers: N1, B1.5382-2
#[test]
fn a_half_closed_connection_goes_on_in_the_other_direction() {
    passes("tcp-half-close");
}

// covers: N1, B1.5382-2
#[test]
fn a_simultaneous_open_succeeds() {
    passes("tcp-simultaneous-open");
}

// covers: B1.5382-2
#[test]
fn an_urgent_octet_keeps_its_place_both_ways() {
    passes("tcp-urgent");
}

// covers: B1.5382-3, N10
#[test]
fn an_inbound_syn_passes_to_a_mapped_port_only() {
    passes("tcp-unsolicited");
}

// covers: B1.4787-1, B1.4787-2, B1.4787-3, N9
#[test]
fn udp_mapping_is_endpoint_independent_and_paired() {
    passes("udp-mapping");
}

// covers: B1.4787-8
#[test]
fn udp_filtering_is_endpoint_independent() {
    passes("udp-filtering");
}

// covers: B1.5508-1
#[test]
fn pings_of_all_sizes_and_many_at_once_are_answered() {
    passes("ping");
}

// covers: B4, B7, B1.5508-4
#[test]
fn traceroute_sees_every_hop_and_its_own_packets_quoted() {
    passes("traceroute");
}

// covers: B4, B7, B1.5508-4
#[test]
fn path_mtu_discovery_works_through_the_gateway() {
    passes("path-mtu");
}

// covers: B3, B1.4787-14
#[test]
fn fragments_pass_in_any_order() {
    passes("fragments");
}

// covers: N19, B1.4787-9, B1.4787-9a
#[test]
fn two_subscribers_meet_over_udp_at_their_external_endpoints() {
    passes("hairpin-udp");
}

// covers: N19, B1.5382-8, B1.5382-8a
#[test]
fn two_subscribers_meet_over_tcp_at_their_external_endpoints() {
    passes("hairpin-tcp");
}

// covers: N19, B4, B1.5508-5, B1.5508-7
#[test]
fn an_icmp_error_is_hairpinned_with_the_sender_s_own_packet_quoted() {
    passes("hairpin-error");
}

// covers: T1, T11
#[test]
fn our_own_tcp_carries_bulk_both_ways_octet_for_octet() {
    passes("own-bulk");
}

// covers: T1, T11
#[test]
fn our_own_tcp_serves_five_thousand_short_connections() {
    passes("own-short");
}

// covers: T1, T11
#[test]
fn our_own_tcp_holds_two_hundred_connections_at_once() {
    passes("own-many");
}

// covers: T1, T11
#[test]
fn our_own_tcp_goes_on_after_the_fin_of_either_side() {
    passes("own-half-close");
}

// covers: U1, U6
#[test]
fn our_own_tcp_and_the_kernel_agree_where_urgent_data_ends() {
    passes("own-urgent");
}

// covers: T1, T11
#[test]
fn our_own_tcp_meets_the_kernel_in_a_simultaneous_open() {
    passes("own-simultaneous-open");
}

// covers: T1, T11
#[test]
fn our_own_tcp_is_told_of_a_reset_and_tells_of_one() {
    passes("own-abort");
}

// covers: O1
#[test]
fn nothing_of_the_full_run_failed_and_the_daemon_counted() {
    let run = full_run();
    if live(run) {
        assert_eq!(run["failures"], 0, "{run:#}");
        assert_eq!(run["problems"], serde_json::json!([]));
        assert!(run["counters"]["forwarded"]["from_inside"].as_u64() > Some(0), "{run:#}");
    }
}

// covers: O1
#[test]
fn a_quick_run_prints_one_object_measures_and_ends_with_success() {
    let output = lab(&["--quick", "--json"]);
    let report = report(&output);
    assert!(output.status.success(), "{}\n{report:#}", output.status);
    if live(&report) {
        let throughput = report["throughput"].as_array().expect("a list");
        // Three loads, with and without offloads, and two of a scrubber.
        assert_eq!(throughput.len(), 8);
        for comparison in throughput {
            assert!(comparison["hairpin"][0].as_f64() > Some(0.0), "{comparison}");
        }
    }
}

/// The checks themselves: each must be able to fail.
// covers: O1
#[test]
fn without_a_gateway_the_checks_fail() {
    let some = ["tcp-short", "tcp-unsolicited", "udp-mapping", "ping", "traceroute", "hairpin-udp"];
    let mut arguments = vec!["--quick", "--json", "--middle", "nothing"];
    arguments.extend(some.iter().flat_map(|name| ["--only", name]));
    let output = lab(&arguments);
    let report = report(&output);
    if live(&report) {
        assert!(!output.status.success());
        for name in some {
            let (passed, seen) = verdict(&report, name);
            assert!(!passed, "{name} passed although nothing forwards: {seen}");
        }
    }
}

// covers: O1
#[test]
fn the_offline_run_needs_no_privilege_and_ends_with_success() {
    let output = lab(&["--offline", "--json"]);
    let report = report(&output);
    assert!(report["setting"].as_str().is_some_and(|setting| setting.starts_with("offline")), "{report:#}");
    assert!(report["checks"].as_array().is_some_and(|checks| checks.len() >= 8), "{report:#}");
    assert_eq!(report["failures"], 0, "{report:#}");
    assert!(output.status.success());
}
