//! FTP in the model (B8): what a subscriber names in a control connection, and what becomes of its numbers.

use std::time::Duration;

use hairpin_nat::event::{Limit, MappingId, OpenedFrom, SessionId};
use hairpin_nat::explicit::{Allocation, Parity, Request, Unallocated};
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason};
use wire::Packet as Parsed;

use crate::judge::{Numbers, ahead};
use crate::nat::{Arrival, Model, Refusal};

/// What is added to a subscriber's numbers on their way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shift {
    pub(crate) seq: u32,
    pub(crate) tsval: u32,
    pub(crate) place: Option<Place>,
}

/// Where the subscriber's octets were replaced by others: behind it another number is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The first of them, as the subscriber counts, and how many there were.
    pub(crate) start: u32,
    pub(crate) old: u32,
    text: [u8; 25],
    new: u32,
    acked: bool,
}

/// Octets of a payload and what is there instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    pub(crate) at: usize,
    place: Place,
}

impl Edit {
    pub(crate) fn apply(&self, payload: &[u8]) -> Vec<u8> {
        let (front, rest) = payload.split_at(self.at);
        [front, &self.place.text[..self.place.new as usize], &rest[self.place.old as usize..]].concat()
    }
}

impl Shift {
    pub(crate) fn constant((seq, tsval): (u32, u32)) -> Self {
        Self { seq, tsval, place: None }
    }

    fn behind(&self) -> u32 {
        self.place.map_or(self.seq, |place| self.seq.wrapping_add(place.new).wrapping_sub(place.old))
    }

    /// A number of the subscriber's as the remote counts. One of a replaced octet is that of the first, or of the
    /// first behind them.
    pub(crate) fn out(&self, number: u32, behind: bool) -> u32 {
        let Some(place) = self.place else { return number.wrapping_add(self.seq) };
        let inside = ahead(number, place.start);
        if inside <= 0 {
            number.wrapping_add(self.seq)
        } else if inside >= i64::from(place.old) {
            number.wrapping_add(self.behind())
        } else if behind {
            place.start.wrapping_add(self.seq).wrapping_add(place.new)
        } else {
            place.start.wrapping_add(self.seq)
        }
    }

    /// A number of the remote's about it, as the subscriber counts.
    pub(crate) fn back(&self, number: u32, behind: bool) -> u32 {
        let Some(place) = self.place else { return number.wrapping_sub(self.seq) };
        let inside = ahead(number, place.start.wrapping_add(self.seq));
        if inside <= 0 {
            number.wrapping_sub(self.seq)
        } else if inside >= i64::from(place.new) {
            number.wrapping_sub(self.behind())
        } else if behind {
            place.start.wrapping_add(place.old)
        } else {
            place.start
        }
    }

    /// What is behind the place is everywhere.
    pub(crate) fn settle(&mut self) {
        (self.seq, self.place) = (self.behind(), None);
    }
}

/// What a line says.
enum Said {
    Nothing,
    /// It begins as a command that names an endpoint, and is none.
    Gibberish,
    Named {
        at: usize,
        len: usize,
        form: Form,
        address: Option<[u8; 4]>,
        port: u16,
    },
}

#[derive(Clone, Copy)]
enum Form {
    Port,
    Eprt(char),
    Epsv,
}

/// The line that a payload begins with, as text of one octet a character, without its end.
fn line(payload: &[u8]) -> Option<String> {
    let end = payload.iter().position(|octet| *octet == b'\n').filter(|end| *end < 256)?;
    let line = &payload[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some(line.iter().map(|octet| char::from(*octet)).collect())
}

fn number(text: &str, most: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|value| *value <= most)
}

fn six(text: &str) -> Option<([u8; 4], u16)> {
    let parts: Option<Vec<u32>> = text.split(',').map(|part| number(part, 255)).collect();
    let [a, b, c, d, high, low] = parts?[..] else { return None };
    Some(([a, b, c, d].map(|part| part as u8), (high * 256 + low) as u16))
}

/// `PORT` and `EPRT` of a client.
fn command(payload: &[u8]) -> Said {
    let verb: Vec<u8> = payload.iter().take(5).map(u8::to_ascii_uppercase).collect();
    if verb != b"PORT " && verb != b"EPRT " {
        return Said::Nothing;
    }
    let Some(line) = line(payload) else { return Said::Gibberish };
    let at = line.chars().skip(5).take_while(|octet| *octet == ' ').count() + 5;
    let argument: String = line.chars().skip(at).collect();
    let len = argument.chars().count();
    if verb == b"PORT " {
        let Some((address, port)) = six(&argument) else { return Said::Gibberish };
        return Said::Named { at, len, form: Form::Port, address: Some(address), port };
    }
    let Some(by) = argument.chars().next() else { return Said::Gibberish };
    let parts: Vec<&str> = argument.split(by).collect();
    let (["", "1", address, port, ""], true) =
        (&parts[..], by.is_ascii_graphic() && !by.is_ascii_digit() && by != '.')
    else {
        return Said::Gibberish;
    };
    let octets: Option<Vec<u32>> = address.split('.').map(|part| number(part, 255)).collect();
    match (octets.as_deref(), number(port, 65_535)) {
        (Some(&[a, b, c, d]), Some(port)) => {
            let address = Some([a, b, c, d].map(|part| part as u8));
            Said::Named { at, len, form: Form::Eprt(by), address, port: port as u16 }
        }
        _ => Said::Gibberish,
    }
}

/// The answers 227 and 229 of a server.
fn answer(payload: &[u8]) -> Said {
    if !payload.starts_with(b"227 ") && !payload.starts_with(b"229 ") {
        return Said::Nothing;
    }
    let Some(line) = line(payload) else { return Said::Gibberish };
    let octets: Vec<char> = line.chars().collect();
    let text = |from: usize, is: fn(&char) -> bool| {
        octets.iter().skip(from).take_while(|c| is(c)).collect::<String>()
    };
    if payload.starts_with(b"227 ") {
        let Some(at) = octets.iter().skip(4).position(char::is_ascii_digit).map(|at| at + 4) else {
            return Said::Gibberish;
        };
        let argument = text(at, |octet| octet.is_ascii_digit() || *octet == ',');
        return match six(&argument) {
            Some((address, port)) => {
                Said::Named { at, len: argument.len(), form: Form::Port, address: Some(address), port }
            }
            None => Said::Gibberish,
        };
    }
    let Some(open) = octets.iter().position(|octet| *octet == '(') else { return Said::Gibberish };
    let by = octets.get(open + 1).copied().unwrap_or('0');
    let digits = text(open + 4, char::is_ascii_digit);
    let at = open + 4;
    let around = [open + 2, open + 3, at + digits.len()].map(|at| octets.get(at) == Some(&by));
    let closed = octets.get(at + digits.len() + 1) == Some(&')');
    let fits = around == [true; 3] && closed && by.is_ascii_graphic() && !by.is_ascii_digit() && by != '.';
    match number(&digits, 65_535).filter(|_| fits) {
        Some(port) => {
            Said::Named { at, len: digits.len(), form: Form::Epsv, address: None, port: port as u16 }
        }
        None => Said::Gibberish,
    }
}

fn text(form: Form, external: Endpoint) -> String {
    let Endpoint { address, port } = external;
    match form {
        Form::Port => format!("{},{},{}", address.to_string().replace('.', ","), port / 256, port % 256),
        Form::Eprt(by) => format!("{by}1{by}{address}{by}{port}{by}"),
        Form::Epsv => port.to_string(),
    }
}

impl Model {
    /// Whether a new session is a control connection.
    pub(crate) fn is_control(&self, id: SessionId) -> bool {
        let server = match id.opened_from {
            OpenedFrom::Inside => id.remote.port,
            OpenedFrom::Outside => id.mapping.internal.port,
        };
        let ports = &self.config.algs.ftp;
        id.mapping.protocol == Protocol::Tcp
            && self.owner(id.remote.address).is_none()
            && ports.contains(&server)
    }

    /// A whole segment of a session: if that is a control connection, what it says is looked at.
    pub(crate) fn control(
        &mut self,
        id: SessionId,
        from: Arrival,
        parsed: &Parsed,
        data: &[u8],
        offload: Offload,
    ) -> Result<(), Refusal> {
        let (Some(index), Some(numbers)) = (self.session(id), self.numbers) else { return Ok(()) };
        if !self.sessions[index].control {
            return Ok(());
        }
        if from != Arrival::Inside {
            self.acknowledged(index, &numbers);
            return Ok(());
        }
        let payload = payload(parsed, data);
        if payload.is_empty() {
            return Ok(());
        }
        // Half a circle behind it numbers would be before it again.
        let shift = &mut self.sessions[index].shift;
        if shift.place.is_some_and(|place| ahead(numbers.seq, place.start) > 1 << 30) {
            shift.settle();
        }
        let place = shift.place;
        let pending = place.is_some_and(|place| !place.acked);
        let has_room = |model: &Self| model.fit_grown(parsed, offload, from);
        if let Some(place) = place {
            match overlap(&place, numbers.seq, payload.len()) {
                Some(None) if pending => return Err(Reason::FtpPending.into()),
                Some(None) => return Ok(()),
                Some(Some(_)) => return has_room(self),
                None => {}
            }
        }
        let client = self.sessions[index].id.opened_from == OpenedFrom::Inside;
        let (mut passed, mut done) = (0, false);
        let mut before = 0;
        // Each line is a command or an answer; of a segment one is changed, for it has one place.
        for text in payload.split_inclusive(|octet| *octet == b'\n').take(64) {
            let (offset, line) = (before, &payload[before..]);
            before += text.len();
            match if client { command(line) } else { answer(line) } {
                Said::Nothing => {}
                Said::Gibberish => passed += 1,
                Said::Named { at, len, form, address, port } => {
                    let start = numbers.seq.wrapping_add((offset + at) as u32);
                    let is_old = place.is_some_and(|place| ahead(start, place.start) < 0);
                    if done || is_old || numbers.signed {
                        passed += 1;
                        continue;
                    }
                    // Nobody opens a hole to somebody else, or to what may be a service.
                    let own = id.mapping.internal.address;
                    let may = address.is_none_or(|address| own.octets() == address) && port >= 1_024;
                    if pending && may {
                        return Err(Reason::FtpPending.into());
                    }
                    has_room(self)?;
                    done = may && self.name(index, (start, len), form, port, address.is_some());
                    passed += u64::from(!done);
                }
            }
        }
        self.counters.ftp_passed += passed;
        Ok(())
    }

    /// Names another endpoint in `len` octets from `start` on, if it may be had.
    fn name(
        &mut self,
        index: usize,
        (start, len): (u32, usize),
        form: Form,
        port: u16,
        has_address: bool,
    ) -> bool {
        let id = self.sessions[index].id;
        let external = self.expect(Endpoint { port, ..id.mapping.internal }, id.remote);
        // A 229 has no address: the client takes that of the control connection.
        let home = id.mapping.external.address;
        let Some(external) = external.filter(|end| has_address || end.address == home) else { return false };
        self.counters.ftp_rewritten += 1;
        let new = text(form, external);
        let mut octets = [0; 25];
        octets[..new.len()].copy_from_slice(new.as_bytes());
        self.sessions[index].shifted = true;
        let shift = &mut self.sessions[index].shift;
        shift.settle();
        let (old, new) = (len as u32, new.len() as u32);
        shift.place = Some(Place { start, old, text: octets, new, acked: false });
        true
    }

    /// A segment may grow by the longest endpoint that there is.
    pub(crate) fn fit_grown(&self, parsed: &Parsed, offload: Offload, from: Arrival) -> Result<(), Refusal> {
        let total_len = parsed.total_len.checked_add(25).ok_or(Reason::FtpPending)?;
        self.fit(&Parsed { total_len, ..*parsed }, offload, from, Realm::Outside).map(drop)
    }

    fn acknowledged(&mut self, index: usize, numbers: &Numbers) {
        let shift = &mut self.sessions[index].shift;
        let before = shift.seq;
        if let (Some(place), Some(ack)) = (&mut shift.place, numbers.ack) {
            let end = place.start.wrapping_add(before).wrapping_add(place.new);
            place.acked |= ahead(ack, end) >= 0;
        }
    }

    /// A data connection is expected: the mapping for it, for two minutes, and who may use it.
    fn expect(&mut self, internal: Endpoint, remote: Endpoint) -> Option<Endpoint> {
        let is_it =
            |id: &MappingId| id.protocol == Protocol::Tcp && id.internal == internal && id.remote.is_none();
        let known = self.mappings.iter().copied().find(is_it);
        if let Some(known) = known.filter(|id| self.kept.contains_key(id) && !self.expected.contains_key(id))
        {
            return Some(known.external);
        }
        let request = Request {
            protocol: Protocol::Tcp,
            internal,
            count: 1,
            suggested: None,
            parity: Parity::Any,
            lifetime: Duration::from_secs(120),
            open: false,
        };
        let made = self.choices.iter().copied().find(is_it);
        let answers: Vec<_> = match known.or(made) {
            Some(id) => vec![Ok(Allocation { external: id.external, count: 1, until: None })],
            None => [Limit::PortsExhausted, Limit::Blocks, Limit::Mappings]
                .map(|limit| Err(Unallocated::Limit(limit)))
                .to_vec(),
        };
        let outcomes: Vec<_> = answers.iter().map(|answer| self.allocate(&request, answer)).collect();
        let Some(Ok(outcome)) = outcomes.iter().find(|outcome| outcome.is_ok()) else {
            self.fault.get_or_insert(format!("a data connection: {outcomes:?}"));
            return None;
        };
        let external = outcome.as_ref().ok()?.external;
        let mapping = self.mappings.iter().copied().find(is_it)?;
        if self.expected.len() < self.config.limits.sessions as usize {
            self.expected.insert(mapping, remote.address);
        }
        Some(external)
    }

    /// What of a segment of session `id` is replaced.
    pub(crate) fn edit(&self, id: SessionId, from: Arrival, parsed: &Parsed, data: &[u8]) -> Option<Edit> {
        let (index, numbers) = (self.session(id)?, self.numbers?);
        let place = self.sessions[index].shift.place.filter(|_| from == Arrival::Inside)?;
        let at = overlap(&place, numbers.seq, payload(parsed, data).len())??;
        self.sessions[index].control.then_some(Edit { at, place })
    }
}

/// What a segment carries.
pub(crate) fn payload<'a>(parsed: &Parsed, data: &'a [u8]) -> &'a [u8] {
    let start = usize::from(parsed.header_len);
    &data[start + usize::from(data[start + 12] >> 4) * 4..usize::from(parsed.total_len)]
}

/// Where in `len` octets from `seq` on the place is: somewhere, as a whole at some octet, or in part.
fn overlap(place: &Place, seq: u32, len: usize) -> Option<Option<usize>> {
    let from = ahead(place.start, seq);
    let (to, len) = (from + i64::from(place.old), len as i64);
    if to <= 0 || from >= len {
        return None;
    }
    Some((from >= 0 && to <= len).then_some(from as usize))
}

/// What subscribers say, and what is like it.
pub(crate) fn speech(number: u8, own: Endpoint) -> Vec<u8> {
    let port = [1_024u16, 5_001, 40_000, 1_023][usize::from(number) / 16 % 4];
    let (high, low) = (port / 256, port % 256);
    let address = own.address;
    let commas = address.to_string().replace('.', ",");
    let said = match number % 16 {
        0 | 1 => format!("PORT {commas},{high},{low}\r\n"),
        2 => format!("EPRT |1|{address}|{port}|\r\n"),
        3 | 4 => format!("227 Entering Passive Mode ({commas},{high},{low}).\r\n"),
        5 => format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
        6 => format!("port   {commas},{high},{low}\nLIST\r\n"),
        7 => format!("EPRT !1!{address}!{port:05}!\r\n"),
        8 => format!("PORT 10,0,0,9,{high},{low}\r\n"),
        9 => format!("PORT {commas},{high}\r\n"),
        10 => format!("227 {commas},{high},{low}"),
        11 => format!("229 ok (!!!{port:05}!)\n"),
        12 => format!("EPRT |2|{address}|{port}|\r\n"),
        13 => format!("227 ={commas},{high},{low}\r\n226 Done\r\n"),
        14 if high % 2 == 0 => format!("TYPE I\r\nPORT {commas},{high},{low}\r\n"),
        14 => format!("226-Bye\r\n227 ok {commas},{high},{low}\r\n229 ok (|||{port}|)\r\n"),
        _ => format!("PORT {commas},{high},{low}\r\nPORT {commas},{high},{low}\r\n"),
    };
    said.into_bytes()
}

/// The number behind which the segment began that was changed last.
pub(crate) fn again(shift: &Shift, text: &[u8]) -> Option<u32> {
    let at = text.iter().position(u8::is_ascii_digit).unwrap_or(0) as u32;
    shift.place.map(|place| place.start.wrapping_sub(at))
}
