//! What each reader reads of flows made by hand.

mod common;

use common::{client, group, handshake, reading, see, server, stream};
use hairpin_lens::{Limits, Reader, escaped};
use wire::tcp::Flags;

// covers: L1
#[test]
fn a_flow_without_marks_has_one_reading() {
    let stream = stream(vec![client(100, b"hello "), client(106, b"world").flags(Flags::ACK | Flags::FIN)]);
    assert_eq!((stream.octets, stream.groups.len(), stream.complete), (11, 1, true));
    assert_eq!(stream.verdict, "1 reading of 11 octets");
    assert!(stream.groups[0].reading.is_empty(), "nothing is held where all agree");
}

// covers: L1
#[test]
fn the_verdict_names_the_readings() {
    let stream = stream(vec![client(100, b"maliciX").urg(7), client(107, b"ous")]);
    assert_eq!(stream.groups.len(), 3, "Linux with tcp_stdurg takes another octet");
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::Lazy), "malicious");
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::InLine), "maliciXous");
    assert_eq!(reading(&stream, "scrubbed", Reader::InLine), "maliciXous");
    assert_eq!(reading(&stream, "rfc6093", Reader::InLine), "maliciXous");
    assert_eq!(stream.first_difference, Some(6));
    assert!(stream.verdict.starts_with("3 readings from octet 6 on; "), "{}", stream.verdict);
    assert!(stream.verdict.contains("`malicious`") && stream.verdict.contains("`maliciXous`"));
}

// covers: L1, L2
#[test]
fn linux_reads_by_when_it_reads() {
    let stream = stream(vec![client(100, b"ab!").urg(3), client(103, b"cd?").urg(3), client(106, b"ef")]);
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::Lazy), "ab!cdef");
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::Prompt), "abcdef");
    let timing = &group(&stream, "linux-2.6.15", Reader::Lazy).depends_on_timing;
    assert_eq!(
        (timing.len(), timing[0].hosts.as_slice(), timing[0].places.as_slice()),
        (1, &["linux-2.6.15"][..], &[2][..])
    );
}

// covers: L2
#[test]
fn a_mark_is_applied_in_the_order_of_the_stream() {
    // The urgent segment overtakes: a sensor by arrival order would do the same, a mark by offset must.
    let stream = stream(vec![client(103, b"d!f").urg(2), client(100, b"abc"), client(106, b"g")]);
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::Prompt), "abcdfg");
    assert_eq!(group(&stream, "linux-2.6.15", Reader::Prompt).removed_at, [4]);
}

// covers: L2
#[test]
fn urg_only_on_the_retransmission_of_what_was_acknowledged_says_nothing() {
    let segments = vec![client(100, b"ab!"), server(1, 103), client(100, b"ab!").urg(3), client(103, b"cd")];
    let stream = stream(segments);
    for reader in [Reader::Lazy, Reader::Prompt] {
        assert_eq!(reading(&stream, "linux-2.6.15", reader), "ab!cd");
        assert_eq!(reading(&stream, "freebsd-8.0", reader), "ab!cd");
    }
    assert_eq!(reading(&stream, "sensor", Reader::OutOfBand), "abcd", "and the sensor is wrong");
}

// covers: L2
#[test]
fn a_flow_picked_up_in_the_middle_is_labelled() {
    let reports = see(Limits::default(), &[client(5_000, b"ab!").urg(3), client(5_003, b"cd")]);
    let stream = &reports[0].streams[0];
    assert!(stream.mid_stream);
    assert_eq!(reading(stream, "freebsd-8.0", Reader::Lazy), "abcd");
}

// covers: L2
#[test]
fn offsets_go_on_where_sequence_numbers_wrap() {
    let start = u32::MAX - 2;
    let mut segments = handshake(start);
    segments.push(client(start, b"abcd!").urg(5));
    segments.push(client(start.wrapping_add(5), b"ef"));
    let reports = see(Limits::default(), &segments);
    assert_eq!(reading(&reports[0].streams[0], "linux-2.6.15", Reader::Prompt), "abcdef");
}

// covers: L2
#[test]
fn nothing_is_read_behind_a_fin() {
    let fin = Flags::ACK | Flags::FIN;
    let waits =
        vec![client(104, b"ef"), client(100, b"ab!").urg(3), client(103, b"").flags(fin), client(103, b"cd")];
    let stream = stream(waits);
    assert_eq!((stream.octets, stream.complete), (3, true));
    assert_eq!(reading(&stream, "linux-2.6.15", Reader::InLine), "ab!");
}

// covers: L6
#[test]
fn copies_that_differ_make_two_readings() {
    let stream =
        stream(vec![client(103, b"evil"), client(103, b"good"), client(100, b"abc"), client(107, b".")]);
    let readings: Vec<_> =
        stream.groups.iter().map(|group| String::from_utf8_lossy(&group.reading).into_owned()).collect();
    assert_eq!(stream.contradictions, 1);
    assert_eq!(readings.len(), 2);
    assert!(readings.contains(&"abcevil.".into()) && readings.contains(&"abcgood.".into()), "{readings:?}");
    assert_eq!(stream.groups[0].policies.len() + stream.groups[1].policies.len(), 2);
}

// covers: L6
#[test]
fn a_copy_of_what_was_acknowledged_changes_nothing_and_is_told() {
    let segments = vec![client(100, b"abc"), server(1, 103), client(100, b"xyzd"), client(104, b"e")];
    let stream = stream(segments);
    assert_eq!((stream.groups.len(), stream.contradictions), (1, 1));
    assert_eq!((stream.octets, stream.contradiction_frames.as_slice()), (5, &[6][..]));
}

// covers: L6
#[test]
fn the_first_copy_of_what_was_not_acknowledged_may_have_been_lost() {
    let stream = stream(vec![client(100, b"abc"), client(100, b"axc"), client(103, b"d"), server(1, 104)]);
    let readings: Vec<_> = stream.groups.iter().map(|group| escaped(&group.reading)).collect();
    assert_eq!((stream.contradictions, readings.len()), (1, 2), "{readings:?}");
    assert!(readings.contains(&"abcd".into()) && readings.contains(&"axcd".into()), "{readings:?}");
    assert_eq!(stream.first_difference, Some(1));
}

// covers: L6
#[test]
fn only_the_part_that_was_not_acknowledged_is_open() {
    let segments = vec![client(100, b"abc"), server(1, 102), client(100, b"xyz"), client(103, b"d")];
    let stream = stream(segments);
    let readings: Vec<_> = stream.groups.iter().map(|group| escaped(&group.reading)).collect();
    assert_eq!(readings.len(), 2);
    assert!(readings.contains(&"abcd".into()) && readings.contains(&"abzd".into()), "{readings:?}");
}

/// What a Linux server reads under each policy.
fn readings_of_linux(
    stream: &hairpin_lens::StreamReport,
    reader: Reader,
) -> Vec<(String, Vec<&'static str>)> {
    let is_it = |view: &hairpin_lens::ViewName| view.host == "linux-2.6.15" && view.reader == reader;
    let groups = stream.groups.iter().filter(|group| group.views.iter().any(is_it));
    groups.map(|group| (escaped(&group.reading), group.policies.clone())).collect()
}

// covers: L1, L6
#[test]
fn a_copy_without_the_mark_may_be_all_that_the_host_saw() {
    let stream = stream(vec![client(100, b"ab!").urg(3), client(100, b"ab!"), client(103, b"cd")]);
    for reader in [Reader::Lazy, Reader::Prompt] {
        let readings = readings_of_linux(&stream, reader);
        let of = |policy: &str| {
            readings.iter().find(|(_, policies)| policies.iter().any(|it| it.starts_with(policy))).cloned()
        };
        assert_eq!(of("first copy wins").expect("one").0, "abcd");
        assert_eq!(of("last copy wins").expect("one").0, "ab!cd");
    }
    assert_eq!((stream.contradictions, stream.contradiction_frames.as_slice()), (1, &[5][..]));
}

// covers: L1, L6
#[test]
fn a_mark_on_the_copy_of_what_was_not_acknowledged_may_be_the_only_one() {
    let stream = stream(vec![client(100, b"ab!"), client(100, b"ab!").urg(3), client(103, b"cd")]);
    let texts =
        |reader| readings_of_linux(&stream, reader).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    for reader in [Reader::Lazy, Reader::Prompt] {
        let texts = texts(reader);
        assert!(texts.contains(&"ab!cd".into()) && texts.contains(&"abcd".into()), "{texts:?}");
    }
}

// covers: L1, L6
#[test]
fn copies_that_say_the_same_of_the_mark_part_nobody() {
    let again = stream(vec![client(100, b"ab!").urg(3), client(100, b"ab!").urg(3), client(103, b"cd")]);
    assert_eq!((again.contradictions, again.groups[0].policies.len()), (0, 0));
    let longer = stream(vec![client(100, b"ab!").urg(3), client(103, b"cd"), client(100, b"ab!cd").urg(3)]);
    for (text, policies) in readings_of_linux(&longer, Reader::Prompt) {
        assert_eq!((text.as_str(), policies.len()), ("abcd", 2));
    }
    let announced = group(&longer, "windows-95-rfc1122", Reader::Lazy);
    let only_the_later = longer.groups.iter().any(|group| group.policies == ["last copy wins, PAWS"]);
    assert!(
        announced.policies == ["first copy wins, PAWS"] && only_the_later,
        "its octet came without URG first"
    );
}

// covers: L1, L6
#[test]
fn two_marks_of_which_the_first_was_lost_arrive_in_the_other_order() {
    let first = || client(100, b"ab!").urg(3);
    let stream = stream(vec![first(), client(103, b"cd?").urg(3), first(), client(106, b"ef")]);
    let prompt: Vec<_> =
        readings_of_linux(&stream, Reader::Prompt).into_iter().map(|(text, _)| text).collect();
    assert!(prompt.contains(&"abcdef".into()) && prompt.contains(&"ab!cdef".into()), "{prompt:?}");
}

// covers: L6
#[test]
fn an_old_timestamp_parts_hosts_with_paws_from_those_without() {
    let segments =
        vec![client(100, b"ab").tsval(1_000), client(102, b"XX").tsval(900), client(102, b"cd").tsval(1_001)];
    let stream = stream(segments);
    assert_eq!(stream.old_timestamps, 1);
    let readings: Vec<_> = stream.groups.iter().map(|group| group.reading.as_slice()).collect();
    assert!(readings.contains(&b"abcd".as_slice()) && readings.contains(&b"abXX".as_slice()), "{readings:?}");
}

// covers: L4
#[test]
fn what_is_given_up_is_told() {
    let limits =
        Limits { ahead_octets: 4, text_octets: 5, head_octets: 5, out_of_band: 2, ..Limits::default() };
    let mut segments = handshake(100);
    segments.push(client(110, b"too far ahead"));
    for n in 0..6 {
        segments.push(client(100 + 2 * n, b"a!").urg(2));
    }
    let reports = see(limits, &segments);
    let told = reports[0].streams[0].given_up.join("; ");
    for what in ["ahead", "urgent octets beyond", "text but for"] {
        assert!(told.contains(what), "{told}");
    }
}

// covers: L4
#[test]
fn flows_beyond_the_bound_end_the_quietest() {
    let mut lens = hairpin_lens::Lens::new(Limits { flows: 2, ..Limits::default() }, [7, 9]);
    for n in 0..10u16 {
        let header = wire::craft::Header::new(common::CLIENT.0, common::SERVER.0);
        let segment = wire::craft::Segment::new(1_000 + n, 80, Flags::SYN);
        let mut packet = [0; 60];
        let len = wire::craft::tcp(&mut packet, &header, &segment, b"").expect("it fits");
        lens.see(u64::from(n) + 1, rules::Instant::from_secs(u64::from(n)), &packet[..len]);
    }
    assert_eq!((lens.totals().evicted, lens.totals().flows), (8, 8));
    let first = lens.poll_report().expect("one was told");
    assert_eq!(first.client.1, 1_000);
}

// covers: L5
#[test]
fn a_report_is_one_json_object() {
    let stream = stream(vec![client(100, b"a\\\x00!").urg(4), client(104, b"b")]);
    let json = serde_json::to_value(&stream).expect("it can be written");
    let readings: Vec<_> =
        json["groups"].as_array().expect("a list").iter().map(|g| g["reading"].clone()).collect();
    assert!(readings.contains(&serde_json::json!("a\\x5c\\x00b")), "{readings:?}");
}
