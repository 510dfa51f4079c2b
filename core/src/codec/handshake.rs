//! The first bytes on a link between two servers, in either direction: who speaks, and which words
//! it knows.
//!
//! The magic number and the version stand first in all versions, so that servers of different
//! versions can say so instead of misunderstanding each other.

use alloc::vec::Vec;
use core::fmt;

use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::codec::membership::{put_server, server};
use crate::codec::peer::PEER_VERSION;
use crate::ids::{DirectoryId, ServerId};

const MAGIC: [u8; 8] = *b"ALTHPEER";

/// How many bytes a handshake has.
pub const HANDSHAKE_BYTES: usize = 29;

/// Who is at the other end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handshake {
    /// The server.
    pub server: ServerId,
    /// Its data directory.
    pub directory: DirectoryId,
}

/// Why a link is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stranger {
    /// The other end is no server of this kind.
    Malformed(Malformed),
    /// The other end knows other words.
    Version {
        /// Those that it knows; this server's is [`PEER_VERSION`].
        found: u32,
    },
}

impl From<Malformed> for Stranger {
    fn from(malformed: Malformed) -> Stranger {
        Stranger::Malformed(malformed)
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stranger::Malformed(malformed) => {
                write!(f, "the other end is no Althing server: {malformed}")
            }
            Stranger::Version { found } => write!(
                f,
                "the other end speaks version {found} of the protocol between servers, this \
                 program version {PEER_VERSION}"
            ),
        }
    }
}

impl core::error::Error for Stranger {}

/// Appends a handshake: [`HANDSHAKE_BYTES`] bytes.
///
/// # Panics
/// If it names the server 0: there is none.
pub fn encode_handshake(handshake: &Handshake, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&PEER_VERSION.to_be_bytes());
    put_server(out, handshake.server);
    out.extend_from_slice(&handshake.directory.0.to_le_bytes());
}

/// Reads a handshake.
///
/// # Errors
/// If it is none, or of another version.
pub fn decode_handshake(bytes: &[u8; HANDSHAKE_BYTES]) -> Result<Handshake, Stranger> {
    let input = &mut Cursor::new(bytes);
    let at = input.malformed("magic number of a link");
    if input.array("magic number of a link")? != MAGIC {
        return Err(at.into());
    }
    let found = u32::from_be_bytes(input.array("version")?);
    if found != PEER_VERSION {
        return Err(Stranger::Version { found });
    }
    let server = server(input)?;
    let directory = DirectoryId(u128::from_le_bytes(input.array("directory")?));
    input.end("end of the handshake")?;
    Ok(Handshake { server, directory })
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    fn encoded(handshake: &Handshake) -> [u8; HANDSHAKE_BYTES] {
        let mut out = Vec::new();
        encode_handshake(handshake, &mut out);
        out.try_into().expect("as long as it says")
    }

    #[test]
    fn the_format() {
        let handshake = Handshake {
            server: ServerId(3),
            directory: DirectoryId(0x0102),
        };
        let mut expected = *b"ALTHPEER\0\0\0\x02\x03\x02\x01______________";
        expected[15..].fill(0);
        assert_eq!(encoded(&handshake), expected);
    }

    #[test]
    fn strangers_are_told_apart() {
        let handshake = Handshake {
            server: ServerId(1),
            directory: DirectoryId(9),
        };
        let mut newer = encoded(&handshake);
        newer[11] = 77;
        let stranger = decode_handshake(&newer).unwrap_err();
        assert_eq!(stranger, Stranger::Version { found: 77 });
        let message = "the other end speaks version 77 of the protocol between servers, this \
                       program version 2";
        assert_eq!(stranger.to_string(), message);
        let mut nobody = encoded(&handshake);
        nobody[12] = 0;
        for bytes in [nobody, *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n"] {
            let stranger = decode_handshake(&bytes).unwrap_err();
            assert!(matches!(stranger, Stranger::Malformed(_)), "{stranger}");
        }
    }

    proptest! {
        #[test]
        fn handshakes_come_back(handshake in strategies::handshake()) {
            prop_assert_eq!(decode_handshake(&encoded(&handshake)), Ok(handshake));
        }

        #[test]
        fn noise_and_damage_have_no_second_spelling(
            handshake in strategies::handshake(),
            noise in any::<[u8; HANDSHAKE_BYTES]>(),
            from in 0..=HANDSHAKE_BYTES,
        ) {
            let mut bytes = encoded(&handshake);
            bytes[from..].copy_from_slice(&noise[from..]);
            if let Ok(handshake) = decode_handshake(&bytes) {
                prop_assert_eq!(encoded(&handshake), bytes);
            }
        }
    }
}
