//! A place in a run of bytes that is being read; the ground of both alphabets.

use crate::codec::malformed::Malformed;

/// Reads a run of bytes from its beginning to its end. Nothing is ever read past the end.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, offset: 0 }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The error that `what` was expected here.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            offset: self.offset,
        }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        if count > self.remaining() {
            return Err(self.malformed(what));
        }
        let taken = &self.bytes[self.offset..self.offset + count];
        self.offset += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], Malformed> {
        match self.bytes[self.offset..].first_chunk() {
            Some(array) => {
                self.offset += N;
                Ok(*array)
            }
            None => Err(self.malformed(what)),
        }
    }

    /// Succeeds if everything has been read.
    pub(crate) fn end(&self, what: &'static str) -> Result<(), Malformed> {
        match self.remaining() {
            0 => Ok(()),
            _ => Err(self.malformed(what)),
        }
    }
}
