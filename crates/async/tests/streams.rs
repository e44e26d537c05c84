//! Two stacks and a cable: what streams do beyond carrying octets.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hairpin_async::{Cable, Device, Stack, TcpListener, TcpStream, cable};
use tcp::{Config, EndpointConfig, ListenOptions, Transmit, Urgent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::craft;
use wire::tcp::Flags;

const AT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 7);

fn stack(device: Cable, last: u8, connection: Config) -> Stack {
    let addresses = vec![Ipv4Addr::new(10, 0, 0, last)];
    Stack::new(device, EndpointConfig { addresses, connection, ..EndpointConfig::default() })
        .expect("there is randomness")
}

/// A connection between two stacks, the one that opened it first.
async fn open(config: Config) -> (Stack, Stack, TcpListener, TcpStream, TcpStream) {
    let (here, there) = cable(256);
    let (client, server) = (stack(here, 1, config.clone()), stack(there, 2, config));
    let mut listener = server.bind(AT, ListenOptions::default()).expect("it is free");
    let (opened, accepted) = tokio::join!(client.connect(AT), listener.accept());
    let (accepted, peer) = accepted.expect("open");
    let opened = opened.expect("open");
    assert_eq!((peer, accepted.peer_addr()), (opened.local_addr(), opened.local_addr()));
    (client, server, listener, opened, accepted)
}

// covers: T11
#[tokio::test]
async fn halves_in_two_tasks_carry_more_than_the_buffers_hold() {
    let (_client, _server, _listener, opened, accepted) = open(Config::default()).await;
    let octets: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 7 / 3) as u8).collect();
    let (mut reader, mut writer) = opened.into_split();
    let sent = octets.clone();
    let send = tokio::spawn(async move {
        writer.write_all(&sent).await.expect("open");
        // Dropped, it shuts its direction down.
    });
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = accepted.into_split();
        tokio::io::copy(&mut reader, &mut writer).await.expect("open")
    });
    let mut came_back = Vec::new();
    reader.read_to_end(&mut came_back).await.expect("open");
    send.await.expect("sent");
    assert_eq!(echo.await.expect("echoed"), octets.len() as u64);
    assert!(came_back == octets);
}

// covers: T11, U4, U6
#[tokio::test]
async fn urgent_data_is_news_is_read_up_to_its_mark_and_can_be_taken_out_of_band() {
    for in_line in [true, false] {
        let config = Config::default();
        let config = if in_line { config.in_line() } else { config.out_of_band(1) };
        let (_client, _server, _listener, mut opened, accepted) = open(config).await;
        opened.write_all(b"ab").await.expect("open");
        assert_eq!(opened.send_urgent(b"!").await.expect("open"), 1);
        opened.write_all(b"cd").await.expect("open");
        opened.shutdown().await.expect("open");
        assert_eq!(accepted.urgent_event().await.expect("open"), Urgent::Entered);
        let (mut read, mut buf) = (Vec::new(), [0; 16]);
        loop {
            let got = accepted.read_marked(&mut buf).await.expect("open");
            if got.len == 0 {
                break;
            }
            read.extend_from_slice(&buf[..got.len]);
            let before: &[u8] = if in_line { b"ab!" } else { b"ab" };
            assert_eq!(got.at_mark, read == before, "after {read:?}");
        }
        let whole: &[u8] = if in_line { b"ab!cd" } else { b"abcd" };
        assert_eq!(read, whole);
        let octet = accepted.recv_urgent(false).map_err(|error| error.kind());
        assert_eq!(octet, if in_line { Err(ErrorKind::InvalidInput) } else { Ok(b'!') });
    }
}

// covers: T11
#[tokio::test]
async fn a_dropped_stream_is_closed_and_an_aborted_one_reset() {
    let (client, server, mut listener, opened, mut accepted) = open(Config::default()).await;
    drop(opened);
    assert_eq!(accepted.read(&mut [0]).await.expect("the end"), 0);
    drop(accepted);
    assert!(client.drain(Duration::from_secs(5)).await && server.drain(Duration::from_secs(5)).await);

    let (opened, accepted) = tokio::join!(client.connect(AT), listener.accept());
    opened.expect("open").abort();
    let error = accepted.expect("open").0.read(&mut [0]).await.expect_err("it was reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let closed = SocketAddrV4::new(*AT.ip(), 8);
    let error = client.connect(closed).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

// covers: T11
#[tokio::test]
async fn a_writer_waits_for_a_reader_and_goes_on_when_it_reads() {
    let config = Config { send_buffer: 10_000, receive_buffer: 10_000, ..Config::default() };
    let (_client, _server, _listener, mut opened, mut accepted) = open(config).await;
    let writing = tokio::spawn(async move {
        opened.write_all(&[7; 100_000]).await.expect("open");
        opened.shutdown().await.expect("open");
    });
    // Whoever waits here until it can write has not written all: the buffers hold a fifth of it.
    tokio::task::yield_now().await;
    assert!(!writing.is_finished());
    let mut read = Vec::new();
    accepted.read_to_end(&mut read).await.expect("open");
    writing.await.expect("written");
    assert!(read == [7; 100_000]);
}

// covers: T11
#[tokio::test]
async fn when_the_device_is_gone_nobody_waits_for_ever() {
    let (here, there) = cable(16);
    let client = stack(here, 1, Config::default());
    let connecting = tokio::spawn(async move { client.connect(AT).await.map(drop) });
    tokio::task::yield_now().await;
    drop(there);
    let error = connecting.await.expect("it ends").expect_err("there is no device");
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

// covers: S3, T11
#[tokio::test]
async fn a_connection_to_oneself_is_a_pipe_and_one_to_an_own_listener_a_connection() {
    let (here, _outside) = cable(16);
    let stack = stack(here, 2, Config::default());
    let mut pipe = stack.connect_from(AT, AT, Config::default()).await.expect("open");
    assert_eq!((pipe.local_addr(), pipe.peer_addr()), (AT, AT));
    let octets: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
    let mut came_back = Vec::new();
    {
        let (mut reader, mut writer) = pipe.split();
        let send = async {
            writer.write_all(&octets).await.expect("open");
            writer.shutdown().await.expect("open");
        };
        tokio::join!(send, async { reader.read_to_end(&mut came_back).await.expect("open") });
    }
    assert!(came_back == octets);

    let at = SocketAddrV4::new(*AT.ip(), 8);
    let mut listener = stack.bind(at, ListenOptions::default()).expect("it is free");
    let (opened, accepted) = tokio::join!(stack.connect(at), listener.accept());
    let (mut opened, (mut accepted, _)) = (opened.expect("open"), accepted.expect("open"));
    opened.write_all(b"next door").await.expect("open");
    let mut buf = [0; 9];
    accepted.read_exact(&mut buf).await.expect("open");
    assert_eq!(&buf, b"next door");
}

// covers: S3
#[tokio::test]
async fn nobody_outside_can_speak_with_an_address_of_ours() {
    let (here, outside) = cable(16);
    let stack = stack(here, 2, Config::default());
    let mut pipe = stack.connect_from(AT, AT, Config::default()).await.expect("open");
    // An exact RST, of which only the way tells that it is not our own.
    let mut segment = craft::Segment::new(AT.port(), AT.port(), Flags::RST);
    segment.seq = pipe.info().expect("open").rcv_nxt;
    let mut packet = [0; 100];
    let len = craft::tcp(&mut packet, &craft::Header::new(*AT.ip(), *AT.ip()), &segment, &[]).expect("room");
    let transmit = Transmit { len, header_len: len, segment: None, checksum_partial: false };
    outside.send(&mut packet[..len], &transmit).expect("room");
    while stack.counters().martian == 0 {
        tokio::task::yield_now().await;
    }
    pipe.write_all(b"still there").await.expect("open");
    let mut buf = [0; 11];
    pipe.read_exact(&mut buf).await.expect("open");
    assert_eq!(&buf, b"still there");
}
