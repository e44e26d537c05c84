//! TCP options: `<mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>`.

use super::Parser;
use crate::ast::TcpOption;
use crate::fault::{Fault, Result};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn tcp_options(&mut self, outbound: bool) -> Result<Option<Vec<TcpOption>>> {
        // The next event begins with a time, so `<` here is always a list of options.
        let start = self.span();
        if !self.accept('<') {
            return Ok(Some(Vec::new()));
        }
        if *self.peek() == TokenKind::Ellipsis {
            self.at += 1;
            self.expect('>', "TCP options")?;
            let help = "write the options that it has";
            return match outbound {
                true => Ok(None),
                false => Err(Fault::syntax(
                    &self.span_from(&start),
                    "<...> is for packets from the endpoint",
                    help,
                )),
            };
        }
        let mut options = Vec::new();
        if !self.is('>') {
            options.push(self.tcp_option()?);
            while self.accept(',') {
                options.push(self.tcp_option()?);
            }
        }
        self.expect('>', "TCP options")?;
        let len: usize = options.iter().map(|option| option.octets(|seq| seq).len()).sum();
        let span = self.span_from(&start);
        if !len.is_multiple_of(4) {
            let help = format!("add {} of nop or eol", 4 - len % 4);
            return Err(Fault::syntax(&span, format!("{len} octets of options are not whole words"), help));
        }
        if len > 40 {
            return Err(Fault::syntax(&span, format!("{len} octets of options"), "there is room for 40"));
        }
        Ok(Some(options))
    }

    fn tcp_option(&mut self) -> Result<TcpOption> {
        let start = self.span();
        let name = self.word("a TCP option")?;
        Ok(match name.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::End,
            "mss" => TcpOption::Mss(self.u16("the MSS")?),
            "wscale" => TcpOption::WindowScale(self.u8("the shift")?),
            "sackOK" => TcpOption::SackOk,
            "sack" => TcpOption::Sack(self.sack_blocks()?),
            "TS" => self.timestamps()?,
            "md5" => TcpOption::Other(19, self.hex_blob()?),
            "FO" => TcpOption::Other(34, self.hex_blob()?),
            "FOEXP" => {
                let mut data = vec![0xF9, 0x89];
                data.extend(self.hex_blob()?);
                TcpOption::Other(254, data)
            }
            "ECN" => {
                let help = "this endpoint has the ECN of RFC 3168";
                return Err(Fault::unsupported(&start, "accurate ECN", help));
            }
            _ => {
                let help = "known are nop, eol, mss, wscale, sackOK, sack, TS val .. ecr .., md5, FO, FOEXP";
                return Err(Fault::syntax(&start, format!("{name:?} is no TCP option"), help));
            }
        })
    }

    fn sack_blocks(&mut self) -> Result<Vec<(u32, u32)>> {
        let mut blocks = Vec::new();
        loop {
            let left = self.u32("the left edge")?;
            self.expect(':', "a SACK block")?;
            blocks.push((left, self.u32("the right edge")?));
            if !matches!(self.peek(), TokenKind::Int(_)) {
                return Ok(blocks);
            }
        }
    }

    fn timestamps(&mut self) -> Result<TcpOption> {
        if !self.accept_word("val") {
            return Err(self.wrong("expected \"val\"", "write TS val 1 ecr 0"));
        }
        let value = self.u32("TSval")?;
        if !self.accept_word("ecr") {
            return Err(self.wrong("expected \"ecr\"", "write TS val 1 ecr 0"));
        }
        Ok(TcpOption::Timestamps(value, self.u32("TSecr")?))
    }

    /// Hexadecimal digits, perhaps none. Digits alone were read as a number: they are taken from it.
    fn hex_blob(&mut self) -> Result<Vec<u8>> {
        let span = self.span();
        let text = match self.peek().clone() {
            TokenKind::Word(word) => word,
            // Leading zeros are only in the text.
            TokenKind::Int(value) if self.text_at(&span).len() > value.to_string().len() => {
                self.text_at(&span)
            }
            TokenKind::Int(value) => value.to_string(),
            _ => return Ok(Vec::new()),
        };
        self.at += 1;
        let pair = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let octets: Option<Vec<u8>> = (0..text.len()).step_by(2).map(pair).collect();
        octets.ok_or_else(|| match text.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            true => Fault::unsupported(&span, format!("the symbol {text}"), "define it: --define=NAME=VALUE"),
            false => Fault::syntax(&span, "not pairs of hexadecimal digits", "write 0a1b2c3d"),
        })
    }
}

impl TcpOption {
    /// The option's number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::End => 0,
            Self::Nop => 1,
            Self::Mss(_) => 2,
            Self::WindowScale(_) => 3,
            Self::SackOk => 4,
            Self::Sack(_) => 5,
            Self::Timestamps(..) => 8,
            Self::Other(kind, _) => *kind,
        }
    }

    /// As on the wire, with the numbers of SACK blocks mapped by `seq`.
    pub fn octets(&self, seq: impl Fn(u32) -> u32) -> Vec<u8> {
        let mut data = Vec::new();
        match self {
            Self::End | Self::Nop => return vec![self.kind()],
            Self::Mss(mss) => data.extend(mss.to_be_bytes()),
            Self::WindowScale(shift) => data.push(*shift),
            Self::SackOk => {}
            Self::Sack(blocks) => {
                for (left, right) in blocks {
                    data.extend(seq(*left).to_be_bytes());
                    data.extend(seq(*right).to_be_bytes());
                }
            }
            Self::Timestamps(value, echo) => {
                data.extend(value.to_be_bytes());
                data.extend(echo.to_be_bytes());
            }
            Self::Other(_, octets) => data.extend(octets),
        }
        let mut octets = vec![self.kind(), data.len() as u8 + 2];
        octets.extend(data);
        octets
    }
}
