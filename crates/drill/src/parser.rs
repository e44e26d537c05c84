//! Tokens to a tree: the script as a whole, its options, and when events happen.

use crate::ast::{Action, Event, OptionLine, Script, Span, When};
use crate::fault::{Fault, Result};
use crate::lexer::{Token, TokenKind, tokens};

mod call;
mod options;
mod packet;

/// Reads a script.
///
/// `defines` are symbols and their values; `--define=NAME=VALUE` lines of the script come after them.
///
/// # Errors
/// The first thing that is not of the language, or that is not supported here.
pub fn parse(text: &str, defines: &[(String, String)]) -> Result<Script> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0 };
    let mut options = Vec::new();
    for (name, value) in defines {
        parser.define(name, value)?;
    }
    while let TokenKind::Option(name) = parser.peek().clone() {
        let line = parser.option(name)?;
        if let Some((name, value)) = line.value.as_deref().and_then(|value| value.split_once('='))
            && line.name == "define"
        {
            parser.define(name, value)?;
        }
        options.push(line);
    }
    let mut events = Vec::new();
    while *parser.peek() != TokenKind::End {
        events.push(parser.event()?);
    }
    if events.is_empty() {
        let span = 0..0;
        return Err(Fault::syntax(&span, "there is no event in this script", "write at least one"));
    }
    Ok(Script { options, events })
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &TokenKind {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &TokenKind {
        self.tokens.get(self.at + by).map_or(&TokenKind::End, |token| &token.kind)
    }

    /// Where the next token is.
    fn span(&self) -> Span {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0..0, |token| token.span.clone())
    }

    /// The text at `span`, where its value is not enough: leading zeros.
    fn text_at(&self, span: &Span) -> String {
        self.text.get(span.clone()).unwrap_or("").to_owned()
    }

    /// From `start` to the end of the token before.
    fn span_from(&self, start: &Span) -> Span {
        let last = self.tokens.get(self.at.saturating_sub(1));
        start.start..last.map_or(start.end, |token| token.span.end.max(start.end))
    }

    fn next(&mut self) -> TokenKind {
        let kind = self.peek().clone();
        self.at += 1;
        kind
    }

    fn is(&self, mark: char) -> bool {
        *self.peek() == TokenKind::Mark(mark)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(found) if found == word)
    }

    /// Takes `mark` if it is next.
    fn accept(&mut self, mark: char) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char, within: &str) -> Result<()> {
        if self.accept(mark) {
            return Ok(());
        }
        Err(self.wrong(format!("expected {mark:?} in {within}"), ""))
    }

    fn word(&mut self, what: &str) -> Result<String> {
        match self.peek().clone() {
            TokenKind::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.wrong(format!("expected {what}"), "")),
        }
    }

    /// A number from 0 to `most`.
    fn number(&mut self, what: &str, most: u64) -> Result<u64> {
        let value = match self.peek() {
            TokenKind::Int(value) | TokenKind::Hex(value) => *value,
            _ => return Err(self.wrong(format!("expected {what}, a number"), "")),
        };
        match u64::try_from(value).ok().filter(|value| *value <= most) {
            Some(value) => {
                self.at += 1;
                Ok(value)
            }
            None => Err(self.wrong(format!("{what} is out of range"), format!("write 0 to {most}"))),
        }
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        self.number(what, u64::from(u32::MAX)).map(|value| value as u32)
    }

    fn u16(&mut self, what: &str) -> Result<u16> {
        self.number(what, u64::from(u16::MAX)).map(|value| value as u16)
    }

    fn u8(&mut self, what: &str) -> Result<u8> {
        self.number(what, u64::from(u8::MAX)).map(|value| value as u8)
    }

    /// From here on the symbol `name` stands for `value`.
    fn define(&mut self, name: &str, value: &str) -> Result<()> {
        let meant = tokens(value)?.into_iter().next().map_or(TokenKind::End, |token| token.kind);
        for token in self.tokens.iter_mut().skip(self.at) {
            if matches!(&token.kind, TokenKind::Word(word) if word == name) {
                token.kind = meant.clone();
            }
        }
        Ok(())
    }

    /// What is next is not right.
    fn wrong(&self, message: impl Into<String>, help: impl Into<String>) -> Box<Fault> {
        let message = format!("{}, found {}", message.into(), described(self.peek()));
        Fault::syntax(&self.span(), message, help)
    }

    fn option(&mut self, name: String) -> Result<OptionLine> {
        let start = self.span();
        self.at += 1;
        let mut value = None;
        if self.accept('=') {
            let mut text = self.option_value()?;
            if self.accept('=') {
                text = format!("{text}={}", self.option_value()?);
            }
            value = Some(text);
        }
        Ok(OptionLine { name, value, span: self.span_from(&start) })
    }

    fn option_value(&mut self) -> Result<String> {
        let text = match self.peek().clone() {
            TokenKind::Int(value) => value.to_string(),
            TokenKind::Word(text)
            | TokenKind::Float(text)
            | TokenKind::Address(text)
            | TokenKind::Command(text) => text,
            TokenKind::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            _ => return Err(self.wrong("expected the option's value", "write --name=value")),
        };
        self.at += 1;
        // `ipv4-mapped-ipv6` and the like.
        let mut text = text;
        while self.is('-') {
            self.at += 1;
            text = format!("{text}-{}", self.word("the rest of the value")?);
        }
        Ok(text)
    }

    fn event(&mut self) -> Result<Event> {
        let start = self.span();
        // The commands before the first event and after the last have no time.
        if let TokenKind::Command(line) = self.peek().clone() {
            self.at += 1;
            return Ok(Event { when: When::Now, action: Action::Command(line), span: start });
        }
        let when = self.when()?;
        let action = self.action()?;
        let span = self.span_from(&start);
        let outbound = matches!(&action, Action::Packet(packet) if packet.outbound);
        match when {
            When::Any | When::AtRange(..) | When::AfterRange(..) if !outbound => Err(Fault::syntax(
                &span,
                "only a packet from the endpoint can come in a range of time or at any time",
                "write one moment, or > for the packet's direction",
            )),
            When::AtRange(first, last) | When::AfterRange(first, last) if last < first => {
                Err(Fault::syntax(&span, "the range of time ends before it begins", "turn it round"))
            }
            _ => Ok(Event { when, action, span }),
        }
    }

    fn when(&mut self) -> Result<When> {
        if self.accept('*') {
            return Ok(When::Any);
        }
        if self.accept('+') {
            let first = self.time()?;
            if !self.accept('~') {
                return Ok(When::After(first));
            }
            self.expect('+', "a range of relative times")?;
            return Ok(When::AfterRange(first, self.time()?));
        }
        let first = self.time()?;
        if self.accept('~') { Ok(When::AtRange(first, self.time()?)) } else { Ok(When::At(first)) }
    }

    /// Seconds, as microseconds.
    fn time(&mut self) -> Result<u64> {
        let text = match self.peek() {
            TokenKind::Float(text) => text.clone(),
            TokenKind::Int(value) => value.to_string(),
            _ => {
                let help = "an event begins with its time: 0.1, +0.1, +0.1~+0.2 or *";
                return Err(self.wrong("expected a time in seconds", help));
            }
        };
        match text.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds)) {
            Some(seconds) => {
                self.at += 1;
                Ok((seconds * 1e6).round() as u64)
            }
            None => Err(self.wrong("a time cannot be negative or beyond 1e9 seconds", "")),
        }
    }

    fn action(&mut self) -> Result<Action> {
        match self.peek().clone() {
            TokenKind::Mark('<' | '>') => self.packet().map(|packet| Action::Packet(Box::new(packet))),
            TokenKind::Command(line) => {
                self.at += 1;
                Ok(Action::Command(line))
            }
            TokenKind::Code(code) => {
                self.at += 1;
                Ok(Action::Code(code))
            }
            TokenKind::Word(_) | TokenKind::Ellipsis => self.call().map(|call| Action::Call(Box::new(call))),
            _ => Err(self.wrong(
                "expected what happens at that time",
                "a packet (< or >), a call, a command in backquotes",
            )),
        }
    }
}

fn described(token: &TokenKind) -> String {
    match token {
        TokenKind::Option(name) => format!("the option --{name}"),
        TokenKind::Float(text) | TokenKind::Word(text) | TokenKind::Address(text) => format!("{text:?}"),
        TokenKind::Int(value) | TokenKind::Hex(value) => format!("the number {value}"),
        TokenKind::Text(_) => "a text".to_owned(),
        TokenKind::Command(_) => "a command".to_owned(),
        TokenKind::Code(_) => "a block of code".to_owned(),
        TokenKind::Ellipsis => "\"...\"".to_owned(),
        TokenKind::Mark(mark) => format!("{mark:?}"),
        TokenKind::End => "the end of the script".to_owned(),
    }
}
