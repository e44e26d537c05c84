//! Scrubbing, in the NAT and alone: what goes, what stays, what is told (C1 to C5).

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::config::{Action, Scrub, Urgent, Watch};
use nat::{Config, Finding, Instant, Offload, Packet, Realm, Reason, ScrubEventKind, Scrubber, Verdict};
use wire::tcp::{Flags, Tcp, TcpOption};

const URG: Flags = Flags(Flags::ACK.0 | Flags::URG.0);

/// A segment with an urgent pointer, and everything right.
fn urgent(mut packet: Vec<u8>, pointer: u16) -> Vec<u8> {
    packet[38..40].copy_from_slice(&pointer.to_be_bytes());
    fix(&mut packet);
    packet
}

fn header(data: &[u8]) -> Tcp<&[u8]> {
    Tcp::new(&data[usize::from(data[0] & 15) * 4..]).expect("a segment")
}

/// Flags and urgent pointer; the checksum must be right.
fn indication(data: &[u8]) -> (bool, u16) {
    let mut again = data.to_vec();
    fix(&mut again);
    assert_eq!(again, data, "checksums are right");
    (header(data).flags().contains(Flags::URG), header(data).urgent())
}

/// A scrubber alone.
struct Alone {
    scrubber: Scrubber,
    now: Instant,
}

impl Alone {
    fn with(change: impl FnOnce(&mut Scrub)) -> Self {
        let mut config = Config::new(Vec::new(), Vec::new());
        change(&mut config.scrub);
        Self {
            scrubber: Scrubber::new(&config, [7; 32], Instant::ZERO).expect("it makes sense"),
            now: Instant::ZERO,
        }
    }

    /// What comes out, or why not.
    fn pass(&mut self, from: Realm, packet: impl Into<Octets>) -> Result<Vec<u8>, Reason> {
        let Octets { mut data, offload } = packet.into();
        let before = data.clone();
        let mut verdict = [Verdict::Held];
        self.scrubber.handle_batch(&mut [Packet { data: &mut data, from, offload }], &mut verdict, self.now);
        match verdict {
            [Verdict::Forward(to)] => {
                assert_eq!(to, from.other());
                Ok(data)
            }
            [Verdict::Drop(reason)] => {
                assert_eq!(data, before, "what is dropped is as it was");
                Err(reason)
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn count(&self, finding: Finding) -> u64 {
        self.scrubber.counters().scrubbed.count(finding)
    }

    /// An open connection.
    fn open(&mut self, client: &str, server: &str) {
        self.pass(Inside, tcp(client, server).syn()).expect("a SYN");
        self.pass(Outside, tcp(server, client).syn_ack()).expect("its answer");
        self.pass(Inside, tcp(client, server)).expect("the ACK of that");
    }
}

// covers: C1
#[test]
fn urgent_indications_go_from_every_segment_from_the_syn_on_both_ways() {
    let mut world = World::with(|_| {});
    let syn = world.inside(urgent(tcp(A, S).flags(Flags::SYN | Flags::URG).octets(), 7)).after;
    assert_eq!(indication(&syn), (false, 0));
    let back = world.outside(urgent(tcp(S, XA).flags(Flags::SYN | URG).octets(), 1)).after;
    assert_eq!(indication(&back), (false, 0));
    for payload in [&b""[..], b"x", b"with data"] {
        for _again in 0..2 {
            let out = world.inside(urgent(tcp(A, S).flags(URG).payload(payload).octets(), 65_535)).after;
            assert_eq!(indication(&out), (false, 0));
            assert_eq!(header(&out).payload(), payload);
            let back = world.outside(urgent(tcp(S, XA).flags(URG).payload(payload).octets(), 2)).after;
            assert_eq!(indication(&back), (false, 0));
        }
    }
    assert_eq!(world.counters().scrubbed.count(Finding::Urgent), 2 + 12);
}

// covers: C1
#[test]
fn partial_checksums_verified_ones_and_fragments_stay_what_they_are() {
    let mut world = World::with(|_| {});
    world.establish(A, S);
    let plain = tcp(A, S).flags(URG).payload(b"octets");
    let expected = world.inside(plain.clone()).after;
    let verified = Offload { checksum: nat::Checksum::Verified, gso_size: 0 };
    let out = world.inside(Octets { data: urgent(plain.octets(), 3), offload: verified }).after;
    assert_eq!(indication(&out), (false, 0));
    // A partial one covers the pseudo-header alone, so the pointer makes no difference to it.
    let bare = plain.clone().offload(partial());
    let mut data = bare.octets();
    data[38..40].copy_from_slice(&[0, 3]);
    let out = world.inside(Octets { data, offload: partial() }).after;
    assert_eq!((header(&out).flags().contains(Flags::URG), header(&out).urgent()), (false, 0));
    assert_eq!(header(&out).checksum(), header(&world.inside(bare).after).checksum());
    assert_eq!(indication(&expected), (false, 0));
    // The header is in the first fragment, its checksum covers them all.
    let whole = urgent(tcp(A, S).flags(URG).len(64).octets(), 9);
    let mut reassembled = Vec::new();
    for piece in raw_fragments(&whole, 48) {
        reassembled.extend_from_slice(&world.inside(piece).after[20..]);
    }
    let mut datagram = world.inside(whole).after;
    datagram.truncate(20);
    datagram.extend(reassembled);
    assert_eq!(indication(&datagram), (false, 0));
}

/// A packet in two fragments, the first with `first` octets behind the IP header.
fn raw_fragments(packet: &[u8], first: usize) -> [Vec<u8>; 2] {
    let piece = |from: usize, to: usize, more: bool| {
        let mut data = packet[..20].to_vec();
        data.extend_from_slice(&packet[20 + from..20 + to]);
        let len = data.len() as u16;
        data[2..4].copy_from_slice(&len.to_be_bytes());
        data[6..8].copy_from_slice(&((from / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
        fix_ip(&mut data);
        data
    };
    [piece(0, first, true), piece(first, packet.len() - 20, false)]
}

// covers: C1
#[test]
fn the_service_port_is_the_one_that_the_opener_addressed() {
    let mut world = World::with(|_| {});
    for port in [21, 23, 513, 514] {
        let server = format!("203.0.113.80:{port}");
        let client = format!("100.64.0.1:{}", 5_000 + port);
        let external = world.establish(&*client, &*server);
        let out = world.inside(urgent(tcp(&*client, &*server).flags(URG).payload(b"x").octets(), 1)).after;
        assert_eq!(indication(&out), (true, 1), "port {port}, out");
        let back = world.outside(urgent(tcp(&*server, external).flags(URG).payload(b"x").octets(), 1)).after;
        assert_eq!(indication(&back), (true, 1), "port {port}, in");
    }
    // Whoever sends *from* port 23 has no Telnet server to be spared.
    let client = "100.64.0.1:23";
    let external = world.establish(client, "203.0.113.80:80");
    let out = world.inside(urgent(tcp(client, "203.0.113.80:80").flags(URG).octets(), 1)).after;
    assert_eq!(indication(&out), (false, 0));
    let back = world.outside(urgent(tcp("203.0.113.80:80", external).flags(URG).octets(), 1)).after;
    assert_eq!(indication(&back), (false, 0));
}

// covers: C1
#[test]
fn alone_without_state_either_port_counts_and_with_state_the_openers() {
    let segment = |from: &str, to: &str| urgent(tcp(from, to).flags(URG).octets(), 1);
    let (client, server) = ("10.0.0.1:23", "203.0.113.80:80");
    let mut stateless = Alone::with(|_| {});
    assert_eq!(indication(&stateless.pass(Inside, segment(client, server)).expect("passes")), (true, 1));
    let mut stateful = Alone::with(|scrub| scrub.flows = Some(16));
    stateful.open(client, server);
    for (from, source, destination) in [(Inside, client, server), (Outside, server, client)] {
        let out = stateful.pass(from, segment(source, destination)).expect("passes");
        assert_eq!(indication(&out), (false, 0));
    }
    let telnet = "203.0.113.80:23";
    stateful.open("10.0.0.1:40000", telnet);
    let back = stateful.pass(Outside, segment(telnet, "10.0.0.1:40000")).expect("passes");
    assert_eq!(indication(&back), (true, 1));
    // Nobody has seen this one open.
    let other = stateful.pass(Inside, segment("10.0.0.9:23", server)).expect("passes");
    assert_eq!(indication(&other), (true, 1));
}

// covers: C1
#[test]
fn direction_ports_and_prefixes_each_narrow_what_is_cleared() {
    let clears = |change: fn(&mut Scrub), from: Realm, source: &str, destination: &str| {
        let out = Alone::with(change).pass(from, urgent(tcp(source, destination).flags(URG).octets(), 5));
        let seen = indication(&out.expect("passes"));
        assert!([(false, 0), (true, 5)].contains(&seen), "all of it or nothing: {seen:?}");
        seen == (false, 0)
    };
    let (client, web, ssh) = ("10.0.0.1:4000", "203.0.113.80:80", "203.0.113.80:22");
    for (urgent, [out, back]) in [
        (Urgent::Clear, [true, true]),
        (Urgent::Pass, [false, false]),
        (Urgent::ClearInbound, [false, true]),
        (Urgent::ClearOutbound, [true, false]),
    ] {
        let change: fn(&mut Scrub) = match urgent {
            Urgent::Clear => |_| {},
            Urgent::Pass => |scrub| (scrub.urgent, scrub.urgent_pointer) = (Urgent::Pass, Action::Pass),
            Urgent::ClearInbound => |scrub| scrub.urgent = Urgent::ClearInbound,
            Urgent::ClearOutbound => |scrub| scrub.urgent = Urgent::ClearOutbound,
        };
        assert_eq!(clears(change, Inside, client, web), out, "{urgent:?}");
        assert_eq!(clears(change, Outside, web, client), back, "{urgent:?}");
    }
    assert!(clears(|scrub| scrub.only_ports = vec![80..=80], Inside, client, web));
    assert!(!clears(|scrub| scrub.only_ports = vec![80..=80], Inside, client, ssh));
    assert!(!clears(
        |scrub| scrub.except_prefixes = vec!["203.0.113.80/32".parse().expect("one")],
        Outside,
        web,
        client
    ));
    assert!(!clears(
        |scrub| scrub.only_prefixes = vec!["198.51.100.0/24".parse().expect("one")],
        Inside,
        client,
        web
    ));
    assert!(clears(
        |scrub| scrub.only_prefixes = vec!["10.0.0.0/8".parse().expect("one")],
        Inside,
        client,
        web
    ));
}

// covers: C2
#[test]
fn a_pointer_without_urg_and_reserved_bits_have_actions_of_their_own() {
    let pointed = || urgent(tcp("10.0.0.1:4000", "203.0.113.80:23").octets(), 9);
    let reserved = |bits: u8| {
        let mut data = tcp("10.0.0.1:4000", "203.0.113.80:23").octets();
        data[32] |= bits;
        fix(&mut data);
        data
    };
    for (action, expected) in [
        (Action::Pass, Ok((false, 9))),
        (Action::Clear, Ok((false, 0))),
        (Action::Drop, Err(Reason::UrgentPointer)),
    ] {
        let mut alone = Alone::with(|scrub| scrub.urgent_pointer = action);
        assert_eq!(alone.pass(Inside, pointed()).map(|out| indication(&out)), expected, "{action:?}");
        // With URG it is what the sender means, on a port that is excepted.
        let meant = urgent(tcp("10.0.0.1:4000", "203.0.113.80:23").flags(URG).octets(), 9);
        assert_eq!(alone.pass(Inside, meant).map(|out| indication(&out)), Ok((true, 9)));
    }
    for (action, expected) in
        [(Action::Pass, Ok(0x5E)), (Action::Clear, Ok(0x50)), (Action::Drop, Err(Reason::ReservedBits))]
    {
        let mut alone = Alone::with(|scrub| scrub.reserved_bits = action);
        assert_eq!(alone.pass(Outside, reserved(0x0E)).map(|out| out[32]), expected, "{action:?}");
        assert_eq!(alone.pass(Outside, reserved(0x01)).map(|out| out[32]), Ok(0x51), "AE is not reserved");
    }
}

// covers: C2
#[test]
fn illegal_flags_are_dropped_passed_or_made_what_hosts_read_of_them() {
    let (client, server) = ("10.0.0.1:4000", "203.0.113.80:80");
    let send = |change: fn(&mut Scrub), flags: Flags| {
        let out = Alone::with(change).pass(Inside, tcp(client, server).flags(flags));
        out.map(|out| {
            indication(&out);
            header(&out).flags()
        })
    };
    let (syn_fin, syn_rst) = (Flags::SYN | Flags::FIN, Flags::SYN | Flags::RST | Flags::FIN);
    for flags in [syn_fin, syn_rst, Flags::PSH, Flags(0)] {
        assert_eq!(send(|_| {}, flags), Err(Reason::TcpFlags), "{flags:?} by default");
    }
    let clear: fn(&mut Scrub) = |scrub| (scrub.syn_fin, scrub.syn_rst) = (Action::Clear, Action::Clear);
    assert_eq!(send(clear, syn_fin), Ok(Flags::SYN));
    assert_eq!(send(clear, syn_rst), Ok(Flags::RST));
    let pass: fn(&mut Scrub) =
        |scrub| (scrub.syn_fin, scrub.syn_rst, scrub.no_flags) = (Action::Pass, Action::Pass, Action::Pass);
    for flags in [syn_fin, syn_rst, Flags::PSH, Flags(0)] {
        assert_eq!(send(pass, flags), Ok(flags));
    }
}

// covers: C2, N1
#[test]
fn what_is_left_of_a_syn_fin_opens_a_session_and_what_passes_as_it_is_opens_none() {
    let mut world = World::with(|config| config.scrub.syn_fin = Action::Clear);
    let out = world.inside(tcp(A, S).flags(Flags::SYN | Flags::FIN)).after;
    assert_eq!(header(&out).flags(), Flags::SYN);
    assert_eq!(world.sessions(), 1);
    world.outside(tcp(S, XA).syn_ack()).inward();

    let mut world = World::with(|config| config.scrub.syn_rst = Action::Pass);
    world.refuses(Inside, tcp(A, S).flags(Flags::SYN | Flags::RST), Reason::TcpFlags);
    world.establish(A, S);
    let out = world.inside(tcp(A, S).flags(Flags::SYN | Flags::RST)).after;
    assert_eq!(header(&out).flags(), Flags::SYN | Flags::RST);
    world.outside(tcp(S, XA)).inward();
    assert_eq!(world.counters().scrubbed.count(Finding::IllegalPassed), 1);
}

// covers: C4
#[test]
fn options_of_the_list_become_no_operation_and_the_length_stays() {
    let mut alone = Alone::with(|scrub| scrub.strip_options = vec![8, 34]);
    let options = [2, 4, 5, 0xb4, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 34, 2, 3, 3, 7];
    let syn = tcp("10.0.0.1:4000", "203.0.113.80:80").syn().tcp_options(&options);
    let out = alone.pass(Inside, &syn).expect("passes");
    indication(&out);
    let segment = header(&out);
    let left: Vec<_> = segment.options().map_while(Result::ok).collect();
    assert_eq!(left, [TcpOption::MaximumSegmentSize(1_460), TcpOption::WindowScale(7)]);
    assert_eq!(out.len(), syn.octets().len());
    assert_eq!(alone.count(Finding::Options), 1, "one segment, whatever it had");
    let plain = tcp("10.0.0.1:4000", "203.0.113.80:80");
    assert_eq!(alone.pass(Inside, &plain).expect("passes"), plain.octets());
}

// covers: C1, C4
#[test]
fn a_signed_segment_passes_untouched_and_is_counted() {
    let md5 = [&[19u8, 18][..], &[7; 16], &[1, 1]].concat();
    let ao = [&[29u8, 16][..], &[9; 14]].concat();
    let mut world = World::with(|config| {
        config.scrub.strip_options = vec![2];
        config.mss_clamp = Some(536);
        config.scrub.reserved_bits = Action::Clear;
    });
    for (n, signature) in [md5, ao].into_iter().enumerate() {
        let mut options = vec![2, 4, 5, 0xb4];
        options.extend(signature);
        let mut data = urgent(tcp(A, S).flags(Flags::SYN | Flags::URG).tcp_options(&options).octets(), 4);
        data[32] |= 0x0E;
        fix(&mut data);
        let out = world.inside(data.clone()).after;
        assert_eq!(out[24..36], data[24..36], "numbers, flags, window");
        assert_eq!(out[38..], data[38..], "pointer and options");
        assert_eq!(world.counters().scrubbed.count(Finding::Signed), n as u64 + 1);
    }
    assert_eq!(world.counters().scrubbed.findings.iter().sum::<u64>(), 2, "nothing else was done");
}

// covers: C4
#[test]
fn nothing_leaves_with_less_to_live_than_the_floor_and_what_is_used_up_is_still_refused() {
    let mut world = World::with(|config| config.scrub.ttl_floor = 32);
    for (ttl, expected) in [(2, 32), (32, 32), (33, 32), (34, 33), (255, 254)] {
        assert_eq!(world.inside(udp(A, S).ttl(ttl)).after[8], expected, "{ttl}");
    }
    world.inside(udp(A, S).ttl(1)).expect_refused(Reason::TtlExpired);
    assert_eq!(world.counters().scrubbed.count(Finding::Ttl), 2);
    let mut alone = Alone::with(|scrub| scrub.ttl_floor = 255);
    let out = alone.pass(Outside, udp("203.0.113.80:53", "10.0.0.1:9").ttl(1)).expect("passes");
    assert_eq!(out[8], 255);
    fix_ip(&mut out.clone());
}

// covers: C4, N17
#[test]
fn hidden_identifications_stay_the_same_for_all_fragments_of_a_datagram() {
    let mut alone = Alone::with(|scrub| scrub.hide_ip_id = true);
    let id = |data: &[u8]| u16::from_be_bytes([data[4], data[5]]);
    let datagram = udp("10.0.0.1:9", "203.0.113.80:53").len(200).id(7);
    let ids: Vec<_> =
        datagram.fragments(80).iter().map(|piece| id(&alone.pass(Inside, piece).expect("passes"))).collect();
    assert!(ids.len() > 2 && ids.iter().all(|one| *one == ids[0]), "{ids:?}");
    let atomic = udp("10.0.0.1:9", "203.0.113.80:53").df().id(7);
    assert_eq!(id(&alone.pass(Inside, atomic).expect("passes")), 7, "atomic datagrams need none");
    let consecutive: Vec<_> = (0..64)
        .map(|n| id(&alone.pass(Inside, udp("10.0.0.1:9", "203.0.113.80:53").id(n)).expect("passes")))
        .collect();
    let steps = consecutive.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    assert!(steps < 4, "{consecutive:?}");
}

// covers: C3
#[test]
fn out_of_window_and_old_segments_are_counted_or_dropped_and_what_awaits_an_answer_passes() {
    for watch in [Watch::Count, Watch::Drop] {
        let mut world = World::with(|config| config.scrub.out_of_window = watch);
        world.establish(A, S);
        world.outside(tcp(S, XA).len(100)).inward();
        world.inside(tcp(A, S).acks(1_100)).out();
        // Retransmissions, keep-alives, probes of a closed window, what fills the window to its end.
        for seq in [1_000, 1_099, 1_100u32.wrapping_sub(60_000), 1_100] {
            world.outside(tcp(S, XA).seq(seq).len(1)).inward();
        }
        world.outside(tcp(S, XA).seq(1_100 + 65_536)).inward();
        let (old, beyond) = (1_100u32.wrapping_sub(65_538), 1_100 + 65_538);
        let wrong = [(old, Reason::OldDuplicate), (beyond, Reason::OutOfWindow)];
        for (seq, reason) in wrong {
            let segment = tcp(S, XA).seq(seq);
            match watch {
                Watch::Drop => drop(world.outside(segment).expect_refused(reason)),
                _ => drop(world.outside(segment).inward()),
            }
        }
        let scrubbed = &world.counters().scrubbed;
        let counts = [Finding::OldDuplicate, Finding::OutOfWindow].map(|finding| scrubbed.count(finding));
        assert_eq!(counts, if watch == Watch::Count { [1, 1] } else { [0, 0] });
    }
}

// covers: C3
#[test]
fn a_forged_rst_outside_of_the_window_does_not_get_through_alone() {
    let mut alone = Alone::with(|scrub| (scrub.flows, scrub.out_of_window) = (Some(16), Watch::Drop));
    let (client, server) = ("10.0.0.1:4000", "203.0.113.80:80");
    alone.open(client, server);
    let rst = |seq: u32| tcp(server, client).rst().seq(seq);
    assert_eq!(alone.pass(Outside, rst(1_000 + 200_000)), Err(Reason::OutOfWindow));
    assert_eq!(alone.pass(Outside, rst(1_000u32.wrapping_sub(200_000))), Err(Reason::OldDuplicate));
    assert!(alone.pass(Outside, rst(1_000)).is_ok(), "the real one");
}

// covers: C3, C5
#[test]
fn a_war_is_brought_to_rest_and_told_once() {
    let (client, server) = ("10.0.0.1:4000", "203.0.113.80:80");
    let mut alone = Alone::with(|scrub| (scrub.flows, scrub.war_limit) = (Some(16), Some(8)));
    alone.open(client, server);
    let lagging = |from, to| tcp(from, to).seq(999);
    let mut passed = 0;
    // Each arrival makes the other side answer.
    let mut sides = [(Inside, client, server), (Outside, server, client)].into_iter().cycle();
    let rest = loop {
        let (realm, from, to) = sides.next().expect("for ever");
        match alone.pass(realm, lagging(from, to)) {
            Ok(_) => passed += 1,
            Err(reason) => break reason,
        }
        assert!(passed < 100, "a war without end");
    };
    // The first of each side could be a retransmission; eight more make the war, and the eighth is gone.
    assert_eq!((rest, passed), (Reason::WarDamped, 2 + 7));
    let Some(event) = alone.scrubber.poll_event() else { panic!("it is told") };
    let ScrubEventKind::WarDamped { source, destination, segments } = event.kind else { panic!("{event:?}") };
    assert_eq!((source, destination, segments), (server.end(), client.end(), 8));
    // Whatever comes of it is still dropped, without another word, until something new is said.
    assert_eq!(alone.pass(Inside, lagging(client, server)), Err(Reason::WarDamped));
    assert!(alone.scrubber.poll_event().is_none());
    assert!(alone.pass(Inside, tcp(client, server).payload(b"news")).is_ok());
    assert!(alone.pass(Inside, lagging(client, server)).is_ok(), "a keep-alive");
    assert_eq!(alone.scrubber.counters().scrubbed.wars, 1);
}

// covers: C3
#[test]
fn keep_alives_duplicate_acks_and_retransmissions_are_no_war() {
    let (client, server) = ("10.0.0.1:4000", "203.0.113.80:80");
    let mut alone = Alone::with(|scrub| (scrub.flows, scrub.war_limit) = (Some(16), Some(4)));
    alone.open(client, server);
    for round in 0..50 {
        // Both sides keep alive, and are answered at SND.NXT.
        alone.pass(Inside, tcp(client, server).seq(999)).expect("a keep-alive");
        alone.pass(Outside, tcp(server, client)).expect("its answer");
        alone.pass(Outside, tcp(server, client).seq(999)).expect("a keep-alive");
        alone.pass(Inside, tcp(client, server)).expect("its answer");
        // The same text again and again, and duplicate ACKs for it.
        alone.pass(Inside, tcp(client, server).seq(1_000).payload(b"again")).expect("text");
        alone.pass(Outside, tcp(server, client)).expect("a duplicate ACK");
        assert_eq!(alone.scrubber.counters().scrubbed.wars, 0, "{round}");
    }
}

// covers: C3, C5
#[test]
fn a_table_that_is_full_follows_no_more_and_lets_everything_pass() {
    let mut alone = Alone::with(|scrub| (scrub.flows, scrub.war_limit) = (Some(4), Some(4)));
    let clients: Vec<_> = (0..64).map(|n| format!("10.0.0.1:{}", 4_000 + n)).collect();
    for client in &clients {
        alone.open(client, "203.0.113.80:80");
    }
    assert_eq!(alone.scrubber.flow_count(), 4);
    assert_eq!(alone.scrubber.counters().scrubbed.not_followed, 60);
    // Once their time is up, others have their places.
    alone.now = Instant::from_secs(8_000);
    alone.open("10.0.0.2:9", "203.0.113.80:80");
    assert_eq!((alone.scrubber.flow_count(), alone.scrubber.counters().scrubbed.not_followed), (4, 60));
    // A flood of SYNs keeps nobody out.
    let mut alone = Alone::with(|scrub| scrub.flows = Some(4));
    for n in 0..1_000 {
        alone
            .pass(Inside, tcp(&*format!("10.0.0.3:{}", 1_000 + n), "203.0.113.80:80").syn())
            .expect("passes");
    }
    alone.open("10.0.0.1:23", "203.0.113.80:80");
    let out = alone.pass(Inside, urgent(tcp("10.0.0.1:23", "203.0.113.80:80").flags(URG).octets(), 1));
    assert_eq!(indication(&out.expect("passes")), (false, 0), "it is followed");
}

// covers: C5
#[test]
fn one_in_so_many_is_told_with_the_headers_before_and_after() {
    let mut world = World::with(|config| config.scrub.sample = Some(2));
    world.establish(A, S);
    let before = urgent(tcp(A, S).flags(URG).payload(b"not told").octets(), 3);
    for _ in 0..3 {
        world.inside(before.clone()).out();
    }
    world.inside(tcp(A, S).flags(Flags(0))).expect_refused(Reason::TcpFlags);
    world.inside(tcp(A, S).flags(Flags(0))).expect_refused(Reason::TcpFlags);
    let told: Vec<_> =
        std::iter::from_fn(|| world.engine.poll_scrub_event()).map(|event| event.kind).collect();
    let [first, second, third] = told.as_slice() else { panic!("{told:?}") };
    for event in [first, second] {
        let ScrubEventKind::Changed { findings, before: was, after } = event else { panic!("{event:?}") };
        assert_eq!(findings.iter().collect::<Vec<_>>(), [Finding::Urgent]);
        assert_eq!(was.octets(), &before[..40], "headers, no data");
        assert_eq!((after.octets()[33], &after.octets()[38..40]), (Flags::ACK.0, &[0, 0][..]));
    }
    let ScrubEventKind::Dropped { reason, before } = third else { panic!("{third:?}") };
    assert_eq!((*reason, before.octets()[33]), (Reason::TcpFlags, 0));
}

// covers: C1, C5
#[test]
fn whatever_comes_a_scrubber_drops_it_or_leaves_right_checksums() {
    let mut random = 0x5eed_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32
    };
    let all = |scrub: &mut Scrub| {
        (scrub.flows, scrub.war_limit, scrub.out_of_window) = (Some(8), Some(4), Watch::Drop);
        (scrub.strip_options, scrub.reserved_bits, scrub.ttl_floor) = (vec![8, 3], Action::Clear, 9);
        (scrub.syn_fin, scrub.syn_rst, scrub.no_flags) = (Action::Clear, Action::Clear, Action::Pass);
        (scrub.sample, scrub.hide_ip_id) = (Some(3), true);
    };
    let mut alone = Alone::with(all);
    let mut forwarded = 0;
    for _ in 0..200_000 {
        let client = format!("10.0.0.{}:{}", next() % 2 + 1, 4_000 + next() % 3);
        let (from, source, destination) = if next() % 2 == 0 {
            (Inside, &*client, "203.0.113.80:23")
        } else {
            (Outside, "203.0.113.80:23", &*client)
        };
        let options: &[u8] =
            [&[][..], &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3], &[3, 3, 9, 1]][next() as usize % 3];
        let flags = if next() % 4 == 0 { Flags(next() as u8) } else { Flags::ACK };
        let seq = 1_000u32.wrapping_add([0, 1, 999, 70_000, 1 << 30][next() as usize % 5]);
        let packet = tcp(source, destination).flags(flags).seq(seq).tcp_options(options).ttl(next() as u8);
        let mut data = urgent(packet.octets(), [0, 0, 5][next() as usize % 3]);
        let damaged = next() % 3 == 0;
        if damaged {
            let at = next() as usize % data.len();
            data[at] ^= 1 << (next() % 8);
        }
        if let Ok(out) = alone.pass(from, data) {
            forwarded += 1;
            indication(&out);
            assert!(out[8] >= 9);
        }
        while alone.scrubber.poll_event().is_some() {}
    }
    assert!(forwarded > 50_000, "{forwarded}");
}
