//! Text to tokens. The longest match wins, as the language has it.

use core::ops::Range;

use crate::fault::{Fault, Result};

/// A token with its place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum TokenKind {
    /// `--name`.
    Option(String),
    /// With a point in it. The text is kept: `.` and a digit may be flags too.
    Float(String),
    Int(i64),
    Hex(i64),
    Word(String),
    Address(String),
    Text(Vec<u8>),
    Command(String),
    Code(String),
    /// `...`.
    Ellipsis,
    /// Any other character.
    Mark(char),
    /// The end of the script.
    End,
}

/// All tokens of `text`, the last of them [`TokenKind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.kind == TokenKind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn next(&mut self) -> Result<Token> {
        self.skip_blanks()?;
        let start = self.at;
        let kind = self.kind()?;
        Ok(Token { kind, span: start..self.at })
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.at += blank;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += self.until("*/", 2, "a comment", "close it with */")?;
            } else {
                return Ok(());
            }
        }
    }

    /// Octets up to and with `end`, looked for `skip` octets on.
    fn until(&self, end: &str, skip: usize, what: &str, help: &str) -> Result<usize> {
        let found = self.rest().get(skip..).and_then(|rest| rest.find(end));
        found.map(|at| at + skip + end.len()).ok_or_else(|| {
            Fault::syntax(&(self.at..self.at + skip), format!("{what} that does not end"), help)
        })
    }

    fn take(&mut self, len: usize) -> String {
        let taken = self.rest().get(..len).unwrap_or("").to_owned();
        self.at += taken.len();
        taken
    }

    fn kind(&mut self) -> Result<TokenKind> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(TokenKind::End) };
        if rest.starts_with("...") {
            self.at += 3;
            return Ok(TokenKind::Ellipsis);
        }
        if rest.starts_with("%{") {
            let len = self.until("}%", 2, "a block of code", "close it with }%")?;
            let code = self.take(len);
            return Ok(TokenKind::Code(code[2..len - 2].trim().to_owned()));
        }
        match first {
            '#' => {
                let help = "scripts are not given to a preprocessor first: write the lines that are meant";
                Err(Fault::unsupported(&(self.at..self.at + 1), "lines of the C preprocessor", help))
            }
            '"' | '`' => self.quoted(first),
            '-' if rest.starts_with("--") => {
                let len = 2 + word_len(&rest[2..]);
                let name = self.take(len);
                Ok(TokenKind::Option(name[2..].to_owned()))
            }
            '-' | '.' | '0'..='9' => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = word_len(rest);
                Ok(TokenKind::Word(self.take(len)))
            }
            _ => {
                self.at += first.len_utf8();
                Ok(TokenKind::Mark(first))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind> {
        let mut text = String::new();
        let mut escaped = false;
        for (at, letter) in self.rest().char_indices().skip(1) {
            if escaped {
                // Commands keep their backslashes for the shell.
                if quote == '`' {
                    text.push('\\');
                }
                text.push(if quote == '"' { unescaped(letter) } else { letter });
                escaped = false;
            } else if letter == '\\' {
                escaped = true;
            } else if letter == quote {
                self.at += at + 1;
                return Ok(match quote {
                    '"' => TokenKind::Text(text.into_bytes()),
                    _ => TokenKind::Command(text),
                });
            } else {
                text.push(letter);
            }
        }
        let span = self.at..self.at + 1;
        Err(Fault::syntax(&span, "a quotation that does not end", format!("close it with {quote}")))
    }

    fn number(&mut self) -> Result<TokenKind> {
        let rest = self.rest();
        let span = self.at..self.at + 1;
        let sign = usize::from(rest.starts_with('-'));
        let whole = sign + digits(&rest[sign..]);
        let float = match rest[whole..].strip_prefix('.').map(digits) {
            Some(fraction) if fraction > 0 => whole + 1 + fraction,
            _ => 0,
        };
        let word = word_len(rest);
        let address = address_len(rest);
        if address > float {
            return Ok(TokenKind::Address(self.take(address)));
        }
        if float > word {
            return Ok(TokenKind::Float(self.take(float)));
        }
        if let Some(hex) = rest.get(..word).and_then(|text| text.strip_prefix("0x")) {
            let value = u64::from_str_radix(hex, 16)
                .map_err(|_| Fault::syntax(&span, "not a number", "after 0x come hexadecimal digits"))?;
            self.at += word;
            return Ok(TokenKind::Hex(value as i64));
        }
        if word > whole {
            return Ok(TokenKind::Word(self.take(word)));
        }
        if whole > sign {
            let text = self.take(whole);
            // Digits of a cookie may be too many for a number: they are a word then.
            return Ok(text.parse().map_or(TokenKind::Word(text), TokenKind::Int));
        }
        let mark = if sign == 1 { '-' } else { '.' };
        self.at += 1;
        Ok(TokenKind::Mark(mark))
    }
}

fn unescaped(letter: char) -> char {
    match letter {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0' => '\0',
        other => other,
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn word_len(text: &str) -> usize {
    text.bytes().take_while(|octet| octet.is_ascii_alphanumeric() || *octet == b'_').count()
}

/// Octets of an IPv4 address at the start of `text`, with its prefix length; 0 if there is none.
fn address_len(text: &str) -> usize {
    let mut len = 0;
    for part in 0..4 {
        if part > 0 {
            if text.as_bytes().get(len) != Some(&b'.') {
                return 0;
            }
            len += 1;
        }
        match digits(&text[len..]) {
            0 => return 0,
            found => len += found,
        }
    }
    match text[len..].strip_prefix('/').map(digits) {
        Some(prefix) if prefix > 0 => len + 1 + prefix,
        _ => len,
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKind::*;
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).expect("tokens").into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn numbers_points_and_ellipses_take_the_longest_match() {
        let float = |text: &str| Float(text.to_owned());
        assert_eq!(kinds("0.100...0.200"), [float("0.100"), Ellipsis, float("0.200"), End]);
        assert_eq!(kinds("+.01~+.5"), [Mark('+'), float(".01"), Mark('~'), Mark('+'), float(".5"), End]);
        assert_eq!(kinds(". 1:1(0)")[..3], [Mark('.'), Int(1), Mark(':')]);
        assert_eq!(kinds("P.5"), [Word("P".into()), float(".5"), End]);
        assert_eq!(kinds("-1 0x1F 2f"), [Int(-1), Hex(31), Word("2f".into()), End]);
        assert_eq!(kinds("192.0.2.1/24"), [Address("192.0.2.1/24".into()), End]);
    }

    #[test]
    fn comments_quotations_and_code_are_one_token_or_none() {
        assert_eq!(
            kinds("// one\n/* two\n * three */ `a \\` b` %{ x = {1} }% \"q\\n\""),
            [Command("a \\` b".into()), Code("x = {1}".into()), Text(b"q\n".to_vec()), End]
        );
        assert!(tokens("`open").is_err() && tokens("/* open").is_err() && tokens("%{ open").is_err());
    }
}
