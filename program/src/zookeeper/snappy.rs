//! The stream that ZooKeeper writes as `snapshot.*.snappy`: that of the Java library `snappy-java`.
//!
//! A head of 16 bytes, then blocks: a length of four bytes, and as many bytes in Snappy's raw
//! format.

use std::io::{self, Read};

use snap::raw::{Decoder, decompress_len};

/// How the head begins; two versions of four bytes follow.
pub const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";

const HEAD_BYTES: usize = 16;

/// The longest block, packed or not. `snappy-java` writes 32 KiB unless it is told otherwise.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads such a stream.
pub struct SnappyReader<R> {
    input: R,
    begun: bool,
    block: Vec<u8>,
    /// How much of the block was read.
    read: usize,
}

impl<R: Read> SnappyReader<R> {
    /// The stream that `input` holds.
    pub fn new(input: R) -> SnappyReader<R> {
        SnappyReader {
            input,
            begun: false,
            block: Vec::new(),
            read: 0,
        }
    }

    fn head(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD_BYTES];
        self.input.read_exact(&mut head)?;
        match head.starts_with(&MAGIC) {
            true => Ok(()),
            false => Err(invalid("this is not the head of a Snappy stream")),
        }
    }

    /// Unpacks the next block; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        let mut filled = 0;
        while filled < length.len() {
            match self.input.read(&mut length[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(invalid("the length of a block"));
        }
        let mut packed = Vec::new();
        (&mut self.input)
            .take(length as u64)
            .read_to_end(&mut packed)?;
        if packed.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let unpacked = decompress_len(&packed).map_err(invalid)?;
        // No byte of a block stands for more than so many.
        if unpacked > BLOCK_BYTES_MAX.min(length.saturating_mul(RATIO_MAX)) {
            return Err(invalid("the length of an unpacked block"));
        }
        self.block = Decoder::new().decompress_vec(&packed).map_err(invalid)?;
        self.read = 0;
        Ok(true)
    }
}

/// A copy takes two bytes at least and gives 64 at most.
const RATIO_MAX: usize = 64;

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read> Read for SnappyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.head()?;
            self.begun = true;
        }
        while self.read == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let some = (&self.block[self.read..]).read(buffer)?;
        self.read += some;
        Ok(some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn packed(blocks: &[&[u8]]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        for block in blocks {
            let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
            out.extend((block.len() as u32).to_be_bytes());
            out.extend(block);
        }
        out
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        SnappyReader::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn blocks_follow_each_other() {
        let long = vec![b'x'; 100_000];
        let bytes = packed(&[b"first, ", b"", &long, b"last"]);
        let expected = [&b"first, "[..], &long, b"last"].concat();
        assert_eq!(unpacked(&bytes).unwrap(), expected);
        assert!(unpacked(&bytes[..bytes.len() - 1]).is_err());
        assert!(unpacked(&bytes[1..]).is_err());
        assert_eq!(unpacked(&packed(&[])).unwrap(), b"");
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0..200_usize, byte in any::<u8>()) {
            let mut bytes = packed(&[b"some bytes, some bytes, some bytes", &[7; 300]]);
            let at = at % bytes.len();
            bytes[at] = byte;
            // Whether damage is seen here is not promised: a checksum stands above this format.
            let _ = unpacked(&bytes);
        }
    }
}
