//! setsockopt and getsockopt of scripts.

use super::{
    Call, Expr, Fault, Result, Returned, Runner, Stop, Value, elements, field, number, number_or_any,
};
use crate::symbols::*;

impl Runner {
    pub(super) fn setsockopt(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let fd = self.fd(call, 0)?;
        let (level, name) = (Self::number_at(call, 1)? as i32, Self::number_at(call, 2)? as i32);
        let value = octets(Self::argument(call, 3)?)?;
        Ok(self.host.setsockopt(fd, level, name, &value).map(|()| Returned::value(0)))
    }

    pub(super) fn getsockopt(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let fd = self.fd(call, 0)?;
        let (level, name) = (Self::number_at(call, 1)? as i32, Self::number_at(call, 2)? as i32);
        let expected = Self::argument(call, 3)?;
        let actual = match self.host.getsockopt(fd, level, name) {
            Ok(actual) => actual,
            Err(stop) => return Ok(Err(stop)),
        };
        let mut returned = Returned::value(0);
        // FreeBSD rounds buffers up to whole segments once it knows their size.
        if self.host.freebsd && (level, name) == (SOL_SOCKET, SO_RCVBUF) {
            return Ok(Ok(returned));
        }
        if let Some(difference) = difference(expected, &actual, level, name)? {
            returned.wrong.push((expected.clone(), difference));
        }
        Ok(Ok(returned))
    }
}

/// A value as the octets of a little-endian machine.
fn octets(expr: &Expr) -> Result<Vec<u8>> {
    if let Some(on) = field(expr, "onoff") {
        let seconds = field(expr, "linger").map_or(Ok(0), number)?;
        return Ok([(number(on)? as i32).to_le_bytes(), (seconds as i32).to_le_bytes()].concat());
    }
    match elements(expr) {
        [one] => match &one.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Any => Ok(Vec::new()),
            _ => Ok((number(one)? as i32).to_le_bytes().to_vec()),
        },
        more => {
            let mut octets = Vec::new();
            for value in more {
                octets.extend((number(value)? as i32).to_le_bytes());
            }
            Ok(octets)
        }
    }
}

/// How the value differs from what the script says; `None`: it does not.
fn difference(expected: &Expr, actual: &[u8], level: i32, name: i32) -> Result<Option<String>> {
    if (level, name) == (IPPROTO_TCP, TCP_INFO) {
        return tcp_info_difference(expected, actual);
    }
    if field(expected, "onoff").is_some() {
        let same = octets(expected)? == actual;
        return Ok((!same).then(|| format!("{actual:?}")));
    }
    match elements(expected) {
        [one] => match &one.value {
            Value::Any => Ok(None),
            Value::Text(text) => {
                Ok((text != actual).then(|| format!("{:?}", String::from_utf8_lossy(actual))))
            }
            _ => {
                let mut word = [0; 4];
                word.iter_mut().zip(actual).for_each(|(to, from)| *to = *from);
                let value = i64::from(i32::from_le_bytes(word));
                let same = number_or_any(one)?.is_none_or(|expected| expected == value);
                Ok((!same).then(|| value.to_string()))
            }
        },
        _ => Ok(None),
    }
}

/// Fields of `struct tcp_info` that mean the same here, with their place.
const TCP_INFO_FIELDS: &[(&str, usize, usize)] = &[
    ("tcpi_state", 0, 1),
    ("tcpi_options", 5, 1),
    ("tcpi_rto", 8, 4),
    ("tcpi_snd_mss", 16, 4),
    ("tcpi_unacked", 24, 4),
    ("tcpi_rtt", 68, 4),
    ("tcpi_rttvar", 72, 4),
    ("tcpi_snd_ssthresh", 76, 4),
    ("tcpi_snd_cwnd", 80, 4),
    ("tcpi_advmss", 84, 4),
    ("tcpi_total_retrans", 100, 4),
];

fn tcp_info_difference(expected: &Expr, actual: &[u8]) -> Result<Option<String>> {
    for entry in elements(expected) {
        let Value::Fields(fields) = &entry.value else { continue };
        for (name, value) in fields {
            let Some((_, at, len)) = TCP_INFO_FIELDS.iter().find(|(known, ..)| known == name) else {
                let known: Vec<&str> = TCP_INFO_FIELDS.iter().map(|(name, ..)| *name).collect();
                let help = format!("known are {}", known.join(", "));
                return Err(Fault::unsupported(&value.span, format!("{name} of TCP_INFO"), help));
            };
            let mut word = [0; 8];
            word.iter_mut().zip(actual.get(*at..at + len).unwrap_or(&[])).for_each(|(to, from)| *to = *from);
            let found = i64::from_le_bytes(word);
            if number_or_any(value)?.is_some_and(|expected| expected != found) {
                return Ok(Some(format!("{name} = {found}")));
            }
        }
    }
    Ok(None)
}
