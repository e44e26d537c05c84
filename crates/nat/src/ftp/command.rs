//! The commands and answers of FTP that name an endpoint: PORT and 227 (RFC 959), EPRT and 229 (RFC 2428).
//!
//! Octets are anybody's. What is not exactly one of the four is not touched.

use core::net::Ipv4Addr;

use crate::Endpoint;

/// How the endpoint is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// `h1,h2,h3,h4,p1,p2`.
    Numbers,
    /// `|1|address|port|`, with this delimiter.
    Extended(u8),
    /// The port alone.
    Port,
}

/// An endpoint in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// Where the octets begin that are to be replaced, and how many they are.
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) form: Form,
    /// No address: that of whoever says it.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) port: u16,
}

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Other,
    Named(Named),
    /// It begins as one of the four and does not end, or is not well-formed.
    Unreadable,
}

/// Nobody writes an endpoint in more octets than this, leading zeros included.
const LONGEST_LINE: usize = 256;

/// Lines of a segment that are looked at.
const LINES: usize = 64;

/// Where each line of a payload begins, and what it is by `reader`.
pub(crate) fn lines(payload: &[u8], reader: fn(&[u8]) -> Line) -> impl Iterator<Item = (usize, Line)> + '_ {
    let begins = payload.split_inclusive(|&octet| octet == b'\n').take(LINES).scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some(begin)
    });
    begins.map(move |begin| (begin, reader(payload.get(begin..).unwrap_or_default())))
}

/// What the line is that a client's octets begin with.
pub(crate) fn command(payload: &[u8]) -> Line {
    let Some((verb, _)) = payload.split_first_chunk::<5>() else { return Line::Other };
    if verb.eq_ignore_ascii_case(b"PORT ") {
        return read(payload, |line| numbers(line, skip_spaces(line, 5), |octet| octet.is_none()));
    }
    if verb.eq_ignore_ascii_case(b"EPRT ") {
        return read(payload, extended);
    }
    Line::Other
}

/// The same of a server's.
pub(crate) fn answer(payload: &[u8]) -> Line {
    let Some((code, _)) = payload.split_first_chunk::<4>() else { return Line::Other };
    match code {
        // Some servers leave the parentheses out: the first digit begins.
        b"227 " => read(payload, |line| {
            let digit = line.iter().skip(4).position(u8::is_ascii_digit)?;
            numbers(line, 4 + digit, |octet| {
                octet.is_none_or(|octet| !octet.is_ascii_digit() && octet != b',')
            })
        }),
        b"229 " => read(payload, extended_port),
        _ => Line::Other,
    }
}

/// One whole line, read by `reader`.
fn read(payload: &[u8], reader: impl FnOnce(&[u8]) -> Option<Named>) -> Line {
    let end = payload.iter().take(LONGEST_LINE).position(|&octet| octet == b'\n');
    let line = end.and_then(|end| payload.get(..end)).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    line.and_then(reader).map_or(Line::Unreadable, Line::Named)
}

fn skip_spaces(line: &[u8], from: usize) -> usize {
    from + line.iter().skip(from).take_while(|&&octet| octet == b' ').count()
}

/// A decimal number at `at`, of five digits at most, and where it ends.
fn number(line: &[u8], at: usize) -> Option<(u32, usize)> {
    let digits = line.iter().skip(at).take(6).take_while(|octet| octet.is_ascii_digit()).count();
    if digits == 0 || digits > 5 {
        return None;
    }
    let octets = line.get(at..at + digits)?;
    let value = octets.iter().fold(0, |value, octet| value * 10 + u32::from(octet - b'0'));
    Some((value, at + digits))
}

fn numbers(line: &[u8], at: usize, may_follow: impl FnOnce(Option<u8>) -> bool) -> Option<Named> {
    let mut values = [0u8; 6];
    let mut end = at;
    for (n, place) in values.iter_mut().enumerate() {
        if n > 0 {
            end = expect(line, end, b',')?;
        }
        let (value, next) = number(line, end)?;
        *place = u8::try_from(value).ok()?;
        end = next;
    }
    let [a, b, c, d, high, low] = values;
    may_follow(line.get(end).copied()).then_some(Named {
        at,
        len: end - at,
        form: Form::Numbers,
        address: Some(Ipv4Addr::new(a, b, c, d)),
        port: u16::from_be_bytes([high, low]),
    })
}

fn expect(line: &[u8], at: usize, octet: u8) -> Option<usize> {
    (line.get(at) == Some(&octet)).then_some(at + 1)
}

/// Any printable character that is no digit or part of an address may be the delimiter (RFC 2428 2).
fn delimiter(line: &[u8], at: usize) -> Option<u8> {
    line.get(at)
        .copied()
        .filter(|octet| octet.is_ascii_graphic() && !octet.is_ascii_digit() && *octet != b'.')
}

fn extended(line: &[u8]) -> Option<Named> {
    let at = skip_spaces(line, 5);
    let by = delimiter(line, at)?;
    let end = expect(line, expect(line, at + 1, b'1')?, by)?;
    let mut octets = [0u8; 4];
    let mut end = end;
    for (n, place) in octets.iter_mut().enumerate() {
        if n > 0 {
            end = expect(line, end, b'.')?;
        }
        let (value, next) = number(line, end)?;
        *place = u8::try_from(value).ok()?;
        end = next;
    }
    let (port, end) = number(line, expect(line, end, by)?)?;
    let end = expect(line, end, by)?;
    let address = Some(Ipv4Addr::from(octets));
    let port = u16::try_from(port).ok()?;
    (end == line.len()).then_some(Named { at, len: end - at, form: Form::Extended(by), address, port })
}

fn extended_port(line: &[u8]) -> Option<Named> {
    let open = line.iter().position(|&octet| octet == b'(')?;
    let by = delimiter(line, open + 1)?;
    let at = expect(line, expect(line, open + 2, by)?, by)?;
    let (port, end) = number(line, at)?;
    expect(line, expect(line, end, by)?, b')')?;
    let port = u16::try_from(port).ok()?;
    Some(Named { at, len: end - at, form: Form::Port, address: None, port })
}

/// `endpoint` as it is written in place of another.
pub(crate) fn write(form: Form, endpoint: Endpoint) -> String {
    let [a, b, c, d] = endpoint.address.octets();
    let [high, low] = endpoint.port.to_be_bytes();
    match form {
        Form::Numbers => format!("{a},{b},{c},{d},{high},{low}"),
        Form::Extended(by) => {
            let by = char::from(by);
            format!("{by}1{by}{}{by}{}{by}", endpoint.address, endpoint.port)
        }
        Form::Port => endpoint.port.to_string(),
    }
}
