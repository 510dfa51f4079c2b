//! Jute values out of a stream, each with its place, and the checksum of everything before it.

use std::io::{self, Read};
use std::sync::Arc;

use althing_core::tree::acl::{ACL_ENTRIES_MAX, Acl, AclEntry, Identity, Perms};
use simd_adler32::Adler32;
use thiserror::Error;

/// The longest run of bytes that is read as one value: what our own storage can hold in one item.
/// ZooKeeper's own limit is `jute.maxbuffer`, a megabyte unless somebody has raised it.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A length that stands for null.
const NULL: i32 = -1;

/// Why something could not be read.
#[derive(Debug, Error)]
pub enum Fault {
    /// The operating system.
    #[error("{0}")]
    Io(io::Error),
    /// The stream ends in the middle of something.
    #[error("at byte {offset}: it ends within {what}")]
    Ended {
        /// Where that begins.
        offset: u64,
        /// What it is.
        what: &'static str,
    },
    /// What stands there cannot be.
    #[error("at byte {offset}: {what}")]
    Wrong {
        /// Where it stands.
        offset: u64,
        /// What it is.
        what: String,
    },
}

impl Fault {
    /// Something is wrong at `offset`.
    pub fn wrong(offset: u64, what: impl Into<String>) -> Fault {
        let what = what.into();
        Fault::Wrong { offset, what }
    }

    /// What `input` says when it is read for `what`, which begins at `offset`.
    fn of(error: io::Error, offset: u64, what: &'static str) -> Fault {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Ended { offset, what },
            // So say the decoders of compressed streams.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Fault::wrong(offset, format!("{what} cannot be unpacked: {error}"))
            }
            _ => Fault::Io(error),
        }
    }
}

/// A stream of jute values.
pub struct Source<R> {
    input: R,
    offset: u64,
    checksum: Adler32,
}

impl<R: Read> Source<R> {
    /// The values of `input`, whose first byte stands at `offset` of what an operator looks at.
    pub fn new(input: R, offset: u64) -> Source<R> {
        let checksum = Adler32::new();
        Source {
            input,
            offset,
            checksum,
        }
    }

    /// The values of `input`, which goes on where another source has ended, with its checksum.
    pub fn going_on(input: R, offset: u64, checksum: Adler32) -> Source<R> {
        Source {
            input,
            offset,
            checksum,
        }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The Adler-32 of everything that was read.
    pub fn checksum(&self) -> u32 {
        self.checksum.finish()
    }

    /// The same, to go on with.
    pub fn checksum_so_far(&self) -> Adler32 {
        self.checksum.clone()
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If they are not there.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        let read = self.input.read_exact(&mut bytes);
        read.map_err(|error| Fault::of(error, self.offset, what))?;
        self.passed(&bytes);
        Ok(bytes)
    }

    /// The next `count` bytes. What is not there takes no memory, whatever a length says.
    ///
    /// # Errors
    /// If they are not there.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<Vec<u8>, Fault> {
        let offset = self.offset;
        let bytes = self.some(count, what)?;
        match bytes.len() < count {
            true => Err(Fault::Ended { offset, what }),
            false => Ok(bytes),
        }
    }

    /// The next `most` bytes; fewer only at the end.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn some(&mut self, most: usize, what: &'static str) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut some = (&mut self.input).take(most as u64);
        let read = some.read_to_end(&mut bytes);
        read.map_err(|error| Fault::of(error, self.offset, what))?;
        self.passed(&bytes);
        Ok(bytes)
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.checksum.write(bytes);
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// If it is not there.
    pub fn int(&mut self, what: &'static str) -> Result<i32, Fault> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// A number of 64 bits.
    ///
    /// # Errors
    /// If it is not there.
    pub fn long(&mut self, what: &'static str) -> Result<i64, Fault> {
        self.array(what).map(i64::from_be_bytes)
    }

    /// A truth value.
    ///
    /// # Errors
    /// If it is not there.
    pub fn truth(&mut self, what: &'static str) -> Result<bool, Fault> {
        self.array(what).map(|[byte]| byte != 0)
    }

    /// A count; `None` is null.
    ///
    /// # Errors
    /// If it is negative, or not there.
    pub fn count(&mut self, what: &'static str) -> Result<Option<usize>, Fault> {
        let offset = self.offset;
        match self.int(what)? {
            NULL => Ok(None),
            count => match usize::try_from(count) {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(Fault::wrong(
                    offset,
                    format!("{count} as the count of {what}"),
                )),
            },
        }
    }

    /// A run of bytes; `None` is null.
    ///
    /// # Errors
    /// If it is not there, or too long.
    pub fn buffer(&mut self, what: &'static str) -> Result<Option<Vec<u8>>, Fault> {
        let offset = self.offset;
        match self.count(what)? {
            None => Ok(None),
            Some(count) if count <= VALUE_BYTES_MAX => self.bytes(count, what).map(Some),
            Some(count) => Err(Fault::wrong(
                offset,
                format!("{what} of {count} bytes; none is longer than {VALUE_BYTES_MAX}"),
            )),
        }
    }

    /// A text. What is no UTF-8 is read as ZooKeeper reads it: with marks in its place.
    ///
    /// # Errors
    /// If it is not there, null, or too long.
    pub fn text(&mut self, what: &'static str) -> Result<String, Fault> {
        let offset = self.offset;
        let bytes = self.buffer(what)?;
        let bytes = bytes.ok_or_else(|| Fault::wrong(offset, format!("null as {what}")))?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// An access control list; `None` is null, which ZooKeeper takes for the open one.
    ///
    /// # Errors
    /// If it is not there, empty, or too long.
    pub fn acl(&mut self) -> Result<Option<Acl>, Fault> {
        let offset = self.offset;
        let Some(count) = self.count("an access control list")? else {
            return Ok(None);
        };
        if count == 0 || count > ACL_ENTRIES_MAX {
            return Err(Fault::wrong(
                offset,
                format!(
                    "an access control list of {count} entries; one has 1 to {ACL_ENTRIES_MAX}"
                ),
            ));
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            let perms = Perms(self.int("permissions")?);
            let (scheme, id) = (self.text("a scheme")?, self.text("an identity")?);
            let who = Identity {
                scheme: Arc::from(scheme),
                id: Arc::from(id),
            };
            entries.push(AclEntry { perms, who });
        }
        Ok(Some(Acl(Arc::from(entries))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_without_bytes_takes_no_memory() {
        let bytes = [&(VALUE_BYTES_MAX as i32).to_be_bytes()[..], b"short"].concat();
        let fault = Source::new(&*bytes, 0).buffer("data").unwrap_err();
        assert_eq!(fault.to_string(), "at byte 4: it ends within data");
        let bytes = i32::MAX.to_be_bytes();
        let fault = Source::new(&bytes[..], 7).buffer("data").unwrap_err();
        assert!(
            fault
                .to_string()
                .starts_with("at byte 7: data of 2147483647 bytes")
        );
        let bytes = (-2_i32).to_be_bytes();
        assert!(Source::new(&bytes[..], 0).buffer("data").is_err());
    }

    #[test]
    fn texts_that_are_no_utf8_are_read_as_zookeeper_reads_them() {
        let bytes = [0, 0, 0, 3, b'a', 0xff, b'b'];
        let text = Source::new(&bytes[..], 0).text("a path").unwrap();
        assert_eq!(text, "a\u{fffd}b");
        assert!(Source::new(&[0xff; 4][..], 0).text("a path").is_err());
        assert_eq!(Source::new(&[0xff; 4][..], 0).buffer("data").unwrap(), None);
    }
}
