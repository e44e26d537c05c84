//! Calls with their arguments and results: `...0.2 read(4, ..., 100) = -1 EAGAIN (Try again)`.

use super::Parser;
use crate::ast::{Call, Expr, Value};
use crate::fault::{Fault, Result};
use crate::lexer::TokenKind;

/// Lists in lists, deeper than anybody writes: the parser's stack is bounded by it.
const DEEPEST: usize = 32;

impl Parser<'_> {
    pub(super) fn call(&mut self) -> Result<Call> {
        let mut end = None;
        if *self.peek() == TokenKind::Ellipsis {
            self.at += 1;
            end = Some(self.time()?);
        }
        let name_span = self.span();
        let name = self.word("the name of a call")?;
        self.expect('(', "a call")?;
        let arguments = self.expressions(')', 0)?;
        if !self.accept('=') {
            let message = "expected \"=\" and what the call returns";
            return Err(self.wrong(message, "write = 0, or = -1 EAGAIN (Try again)"));
        }
        let result = self.expression(0)?;
        let errno = match self.peek().clone() {
            TokenKind::Word(word) => {
                self.at += 1;
                Some(word)
            }
            _ => None,
        };
        self.note()?;
        Ok(Call { name, name_span, end, arguments, result, errno })
    }

    /// `(Resource temporarily unavailable)`: for the reader only.
    fn note(&mut self) -> Result<()> {
        if !self.accept('(') {
            return Ok(());
        }
        while !self.is(')') {
            if *self.peek() == TokenKind::End {
                return Err(self.wrong("expected \")\" behind the note", ""));
            }
            self.at += 1;
        }
        self.expect(')', "a note")
    }

    fn expressions(&mut self, close: char, depth: usize) -> Result<Vec<Expr>> {
        let mut list = Vec::new();
        if self.accept(close) {
            return Ok(list);
        }
        loop {
            list.push(self.expression(depth + 1)?);
            if !self.accept(',') {
                break;
            }
        }
        self.expect(close, "a list")?;
        Ok(list)
    }

    fn expression(&mut self, depth: usize) -> Result<Expr> {
        if depth > DEEPEST {
            return Err(Fault::syntax(&self.span(), "lists in lists too deep", "32 levels are the most"));
        }
        let start = self.span();
        let mut left = self.term(depth)?;
        while self.accept('|') {
            let right = self.term(depth)?;
            let span = self.span_from(&start);
            left = Expr { value: Value::Or(Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Result<Expr> {
        let start = self.span();
        let value = match self.next() {
            TokenKind::Ellipsis => Value::Any,
            TokenKind::Int(value) | TokenKind::Hex(value) => Value::Int(value),
            TokenKind::Text(mut text) => {
                while let TokenKind::Text(more) = self.peek().clone() {
                    text.extend(more);
                    self.at += 1;
                }
                // `"abc"...`: a text of which only the beginning is shown.
                if *self.peek() == TokenKind::Ellipsis {
                    self.at += 1;
                }
                Value::Text(text)
            }
            TokenKind::Word(name) => self.named(name, depth)?,
            TokenKind::Mark('[') => Value::List(self.expressions(']', depth)?),
            TokenKind::Mark('{') => self.braces(depth)?,
            _ => {
                self.at -= 1;
                return Err(self.wrong("expected a value", ""));
            }
        };
        Ok(Expr { value, span: self.span_from(&start) })
    }

    /// A name alone, a function, or `name = value`.
    fn named(&mut self, name: String, depth: usize) -> Result<Value> {
        if self.accept('(') {
            return Ok(Value::Apply(name, self.expressions(')', depth)?));
        }
        if self.accept('=') {
            let value = self.expression(depth + 1)?;
            return Ok(Value::Fields(vec![(name, value)]));
        }
        Ok(Value::Word(name))
    }

    fn braces(&mut self, depth: usize) -> Result<Value> {
        let mut fields = Vec::new();
        while let (TokenKind::Word(name), true) = (self.peek().clone(), self.is_field()) {
            self.at += 1;
            // `msg_iov(1)=...`: the count in brackets is what the list says anyway.
            if self.accept('(') {
                self.expressions(')', depth)?;
            }
            self.expect('=', "a field")?;
            fields.push((name, self.expression(depth + 1)?));
            if !self.accept(',') {
                break;
            }
        }
        if fields.is_empty() {
            return Ok(Value::Group(self.expressions('}', depth)?));
        }
        self.expect('}', "fields")?;
        Ok(Value::Fields(fields))
    }

    /// A name with `=` behind it, or behind the brackets that follow it.
    fn is_field(&self) -> bool {
        match self.ahead(1) {
            TokenKind::Mark('=') => true,
            TokenKind::Mark('(') => {
                *self.ahead(3) == TokenKind::Mark(')') && *self.ahead(4) == TokenKind::Mark('=')
            }
            _ => false,
        }
    }
}
