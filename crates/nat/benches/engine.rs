//! The engine alone on one core: established flows in random order, session set-up with expiry
//! running, and the memory of a session.
//!
//! `cargo bench -p hairpin-nat --bench engine [-- 65536 1000000 10000000 set-up]` prints a line of JSON for each
//! figure, behind `bench: `. Packets are built outside the timed part, 16,384 at a time, as a network
//! card would leave them in the cache; everything that the engine does to them is inside.
//!
//! There is no peer in here: these are absolute figures with their targets. Each is the median of
//! several rounds, and the spread is printed with it.

mod common;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant as Clock;

use common::{EACH, Flow, LEN, PIECE, Random, flow, resident, write};
use hairpin_nat as nat;
use nat::config::{Config, Pool, RstPolicy, TcpChecks, TimeWaitPolicy};
use nat::event::EventKind;
use nat::{BATCH, Engine, Offload, Packet, Protocol, Realm, Verdict};
use rules::Instant;
use wire::tcp::Flags;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|arg| arg == name);
    for sessions in [65_536, 1_000_000, 10_000_000] {
        if wants(&sessions.to_string()) {
            established(sessions, false);
        }
        if wants(&format!("{sessions}-checked")) {
            established(sessions, true);
        }
    }
    if wants("set-up") {
        for live in [100_000, 1_000_000] {
            set_up(Protocol::Udp, live);
            set_up(Protocol::Tcp, live);
        }
    }
}

fn config(sessions: usize) -> Config {
    // A third of the ports will be in use.
    let last = Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 113, 0).to_bits() + (sessions / 40_000) as u32);
    let pool = Pool::new(vec![Ipv4Addr::new(203, 0, 113, 0)..=last], 1..=65_535);
    let mut config = Config::new(vec!["100.64.0.0/10".parse().expect("a prefix")], vec![pool]);
    config.gateway.inside = Ipv4Addr::new(100, 127, 0, 1);
    config.limits.sessions = sessions as u32;
    config.limits.mappings = sessions as u32;
    config
}

/// Runs `packets` through the engine in batches; the answer is how long that took.
fn run(engine: &mut Engine, buffers: &mut [[u8; LEN]], realms: &[Realm], now: Instant) -> f64 {
    let start = Clock::now();
    let mut verdicts = [Verdict::Held; BATCH];
    for (buffers, realms) in buffers.chunks_mut(BATCH).zip(realms.chunks(BATCH)) {
        let mut realms = realms.iter();
        let mut packets: Vec<Packet<'_>> = Vec::with_capacity(BATCH);
        packets.extend(buffers.iter_mut().map(|data| Packet {
            data,
            from: *realms.next().expect("one for each"),
            offload: Offload::default(),
        }));
        engine.handle_batch(&mut packets, &mut verdicts, now);
        for verdict in &verdicts[..packets.len()] {
            assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
        }
        black_box(&mut packets);
    }
    start.elapsed().as_secs_f64()
}

/// `checked`: with everything that TCP segments can be asked, not RSTs alone.
fn established(sessions: usize, checked: bool) {
    let mut flows: Vec<Flow> = (0..sessions).map(flow).collect();
    let before = resident();
    let now = Instant::from_secs(1);
    let mut config = config(sessions);
    if checked {
        config.tcp_checks = TcpChecks {
            rst: RstPolicy::Delete,
            time_wait: TimeWaitPolicy::Rfc6191,
            paws: true,
            monotonic_rewrite: true,
            resend_last_ack: true,
        };
    }
    let mut engine = Engine::new(&config, [7; 32], now).expect("a good configuration");
    open_all(&mut engine, &mut flows, now);
    let per_session = (resident() - before) as f64 / sessions as f64;
    assert_eq!(engine.session_count() as usize, sessions);

    let mut random = Random(0x1234_5678_9abc_def1);
    let mut rates = Vec::new();
    let mut buffers = vec![[0u8; LEN]; PIECE];
    let mut realms = vec![Realm::Inside; PIECE];
    for round in 0..9 {
        let (mut spent, mut count) = (0.0, 0);
        for _ in 0..4_096_000 / PIECE {
            for (buffer, realm) in buffers.iter_mut().zip(&mut realms) {
                let flow = flows[(random.next() % sessions as u64) as usize];
                if random.next() & 1 << 40 == 0 {
                    *realm = Realm::Inside;
                    write(buffer, flow.protocol, flow.internal, flow.remote, Flags::ACK);
                } else {
                    *realm = Realm::Outside;
                    write(buffer, flow.protocol, flow.remote, flow.external, Flags::ACK);
                }
            }
            spent += run(&mut engine, &mut buffers, &realms, now);
            count += PIECE;
        }
        if round > 0 {
            rates.push(count as f64 / spent / 1e6);
        }
    }
    let target = match sessions {
        0..=100_000 => 15.0,
        100_001..=2_000_000 => 9.0,
        _ => 7.0,
    };
    // RSTs are always checked against the connection's numbers: checks may cost 15 in 100 of what was asked of
    // an engine without them.
    let target = target * 0.85;
    let checks = if checked { ", all TCP checks" } else { ", RST checks" };
    report(&format!("established flows, {sessions} sessions{checks}"), "Mpps", &mut rates, Some(target));
    if sessions >= 1_000_000 && !checked {
        let note = "resident memory, tables included";
        println!(
            "bench: {{\"group\":\"engine\",\"name\":\"memory of a session, {sessions} sessions\",\"unit\":\"octets\",\"ours\":{per_session:.1},\"target\":200,\"at_most\":true,\"note\":\"{note}\"}}"
        );
    }
}

/// Opens every flow and learns its external endpoint from the event.
fn open_all(engine: &mut Engine, flows: &mut [Flow], now: Instant) {
    let mut buffers = vec![[0u8; LEN]; BATCH];
    for flows in flows.chunks_mut(BATCH) {
        let buffers = &mut buffers[..flows.len()];
        for (buffer, flow) in buffers.iter_mut().zip(flows.iter()) {
            write(buffer, flow.protocol, flow.internal, flow.remote, Flags::SYN);
        }
        run(engine, buffers, &[Realm::Inside; BATCH], now);
        let mut created = flows.iter_mut();
        while let Some(event) = engine.poll_event() {
            if let EventKind::MappingCreated(id) = event.kind {
                let flow = created.next().expect("one for each");
                assert_eq!(flow.internal, id.internal);
                flow.external = id.external;
            }
        }
        for (buffer, flow) in buffers.iter_mut().zip(flows.iter()) {
            write(buffer, flow.protocol, flow.remote, flow.external, Flags::SYN | Flags::ACK);
        }
        run(engine, buffers, &[Realm::Outside; BATCH], now);
    }
}

/// New sessions, each with a mapping of its own, while as many old ones expire: `live` at a time.
fn set_up(protocol: Protocol, live: usize) {
    /// Each has 500 sessions at a time.
    const EACH_LIVE: usize = 500;
    let subscribers = live / EACH_LIVE;
    // As many UDP ports are held back as are in use: a third of what lies in the ephemeral range of one
    // address for every 5,000 sessions, so one session in three gets another port than its own.
    let mut config = config(8 * live);
    config.limits.sessions = (live + live / 4) as u32;
    config.limits.mappings = config.limits.sessions;
    config.limits.ports_per_subscriber = 65_535;
    config.limits.sessions_per_subscriber = 65_535;
    config.udp.timeout = core::time::Duration::from_secs(120);
    config.tcp.opening = core::time::Duration::from_secs(120);
    let mut engine = Engine::new(&config, [7; 32], Instant::ZERO).expect("a good configuration");
    let per_batch = core::time::Duration::from_secs(120) * BATCH as u32 / live as u32;
    let mut now = Instant::ZERO;
    let mut buffers = vec![[0u8; LEN]; PIECE];
    let mut rates = Vec::new();
    let mut number = 0;
    // Two timeouts to fill and settle, then the rounds.
    for round in 0..14 {
        let mut spent = 0.0;
        let expired = engine.counters().sessions_deleted;
        let mut created = 0;
        while created < live / 4 {
            for buffer in &mut buffers {
                // The subscribers in turn, with the ports that Linux would take.
                let (host, nth) = (number * 7_919 % subscribers, number / subscribers);
                let mut flow = flow(host * EACH + nth % EACH);
                flow.internal.port = 32_768 + ((nth * 7_919 + host * 31) % 28_232) as u16;
                write(buffer, protocol, flow.internal, flow.remote, Flags::SYN);
                number += 1;
            }
            for buffers in buffers.chunks_mut(BATCH) {
                now = now + per_batch;
                spent += run(&mut engine, buffers, &[Realm::Inside; BATCH], now);
                let start = Clock::now();
                while let Some(event) = engine.poll_event() {
                    black_box(event);
                }
                spent += start.elapsed().as_secs_f64();
            }
            created += PIECE;
        }
        let expired = engine.counters().sessions_deleted - expired;
        if round >= 9 {
            assert!(expired as usize > created * 9 / 10, "as many end as begin: {expired} of {created}");
            rates.push(created as f64 / spent / 1e6);
        }
    }
    report(&format!("set-up and expiry of {protocol} sessions, {live} alive"), "M/s", &mut rates, Some(2.0));
}

fn report(name: &str, unit: &str, values: &mut [f64], target: Option<f64>) {
    values.sort_by(f64::total_cmp);
    let (min, median, max) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let target = target.map_or(String::new(), |target| format!(",\"target\":{target}"));
    println!(
        "bench: {{\"group\":\"engine\",\"name\":\"{name}\",\"unit\":\"{unit}\",\"ours\":{median:.2},\"ours_min\":{min:.2},\"ours_max\":{max:.2}{target}}}"
    );
}
