//! Octets that depend on their position, so that a stream can be checked while it is read.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A prime: no shift by segments, pages or buffers maps the pattern to itself.
const PERIOD: usize = 1_048_573;

/// A stream's content: octet `n` is `block[n % PERIOD]`.
#[derive(Debug)]
pub(in crate::lab) struct Pattern {
    block: Vec<u8>,
}

impl Pattern {
    /// Another pattern for each seed other than 0.
    pub(in crate::lab) fn new(seed: u64) -> Self {
        let mut state = seed | 1;
        // xorshift64: quick, and nothing here is random enough to need more.
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        Self { block: std::iter::repeat_with(next).take(PERIOD).collect() }
    }

    /// What begins at `position`, at most `max` octets and at least one.
    fn from(&self, position: u64, max: u64) -> &[u8] {
        let start = (position % PERIOD as u64) as usize;
        let len = max.min(65_536).min((PERIOD - start) as u64) as usize;
        &self.block[start..start + len]
    }

    /// The first `len` octets (less than a period), for a datagram.
    pub(in crate::lab) fn datagram(&self, len: usize) -> &[u8] {
        &self.block[..len]
    }

    /// Writes the first `total` octets.
    pub(in crate::lab) fn send(&self, stream: &mut impl Write, total: u64) -> io::Result<()> {
        let mut position = 0;
        while position < total {
            let written = stream.write(self.from(position, total - position))?;
            position += written as u64;
        }
        Ok(())
    }

    /// Reads to the end of the stream, which must be exactly the first `total` octets.
    pub(in crate::lab) fn receive(&self, stream: &mut impl Read, total: u64) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut buffer = vec![0; 65_536];
        let mut position = 0;
        loop {
            let len = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("stuck after {position} of {total} octets"),
                    ));
                }
                Err(error) => return Err(error),
            };
            self.compare(&buffer[..len], position).map_err(invalid)?;
            position += len as u64;
        }
        if position != total {
            return Err(invalid(format!("the stream ended after {position} of {total} octets")));
        }
        Ok(())
    }

    /// As [`Self::send`], on our own stack.
    pub(in crate::lab) async fn send_async(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        total: u64,
    ) -> io::Result<()> {
        let mut position = 0;
        while position < total {
            position += stream.write(self.from(position, total - position)).await? as u64;
        }
        Ok(())
    }

    /// As [`Self::receive`], on our own stack.
    pub(in crate::lab) async fn receive_async(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        total: u64,
    ) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let (mut buffer, mut position) = (vec![0; 65_536], 0);
        loop {
            let len = stream.read(&mut buffer).await?;
            if len == 0 && position == total {
                return Ok(());
            }
            if len == 0 {
                return Err(invalid(format!("the stream ended after {position} of {total} octets")));
            }
            self.compare(&buffer[..len], position).map_err(invalid)?;
            position += len as u64;
        }
    }

    fn compare(&self, mut octets: &[u8], mut position: u64) -> Result<(), String> {
        while !octets.is_empty() {
            let expected = self.from(position, octets.len() as u64);
            let (here, rest) = octets.split_at(expected.len());
            if let Some(wrong) = here.iter().zip(expected).position(|(got, expected)| got != expected) {
                return Err(format!("octet {} of the stream is wrong", position + wrong as u64));
            }
            position += here.len() as u64;
            octets = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B1.5382-1
    #[test]
    fn a_wrong_missing_or_shifted_octet_is_seen() {
        let pattern = Pattern::new(7);
        let total = 3 * PERIOD as u64 + 5;
        let mut stream = Vec::new();
        pattern.send(&mut stream, total).expect("a vector takes all");
        pattern.receive(&mut stream.as_slice(), total).expect("it is the pattern");

        let last = stream.len() - 1;
        assert!(pattern.receive(&mut &stream[..last], total).is_err(), "one octet short");
        assert!(pattern.receive(&mut &stream[1448..], total - 1448).is_err(), "a segment lost");
        stream[PERIOD + 17] ^= 1;
        let error = pattern.receive(&mut stream.as_slice(), total).expect_err("one bit is wrong");
        assert!(error.to_string().contains(&format!("octet {} ", PERIOD + 17)), "{error}");
    }
}
