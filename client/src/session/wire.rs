//! The two directions of a connection, as frames.

use std::io;

use althing_core::codec::malformed::Malformed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::FRAME_BYTES_MAX;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Bytes before each frame: its length.
const LENGTH_BYTES: usize = 4;

/// Bytes that were dealt with before the rest of a buffer is moved to its front.
const DEALT_BYTES_MAX: usize = 64 * 1024;

/// Bytes from a server, cut into frames.
#[derive(Debug)]
pub(crate) struct Inbound<S> {
    reader: S,
    bytes: Vec<u8>,
    dealt: usize,
}

impl<S: AsyncRead + Unpin> Inbound<S> {
    pub(crate) fn new(reader: S) -> Inbound<S> {
        Inbound {
            reader,
            bytes: Vec::new(),
            dealt: 0,
        }
    }

    /// Waits for more bytes. Nothing is lost if the call is given up.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.dealt);
        self.dealt = 0;
        self.bytes.reserve(READ_BYTES);
        match self.reader.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next frame without its length, if it is here whole.
    pub(crate) fn frame(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let rest = &self.bytes[self.dealt..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(*length))
            .ok()
            .filter(|length| *length <= FRAME_BYTES_MAX)
            .ok_or(Malformed {
                what: "length of a frame",
                offset: 0,
            })?;
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.dealt + LENGTH_BYTES;
        self.dealt = begin + length;
        Ok(Some(&self.bytes[begin..self.dealt]))
    }
}

/// Bytes for a server.
#[derive(Debug)]
pub(crate) struct Outbound<S> {
    writer: S,
    bytes: Vec<u8>,
    dealt: usize,
    flush: Flush,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flush {
    Done,
    Due,
}

impl<S: AsyncWrite + Unpin> Outbound<S> {
    pub(crate) fn new(writer: S) -> Outbound<S> {
        Outbound {
            writer,
            bytes: Vec::new(),
            dealt: 0,
            flush: Flush::Done,
        }
    }

    /// Where frames are appended.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes wait.
    pub(crate) fn unsent(&self) -> usize {
        self.bytes.len() - self.dealt
    }

    /// Is there nothing to do for [`Outbound::write`]?
    pub(crate) fn is_idle(&self) -> bool {
        self.unsent() == 0 && self.flush == Flush::Done
    }

    /// Takes one step towards having sent everything. Nothing is lost if the call is given up.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        if self.unsent() == 0 {
            self.writer.flush().await?;
            self.flush = Flush::Done;
            return Ok(());
        }
        let written = self.writer.write(&self.bytes[self.dealt..]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.flush = Flush::Due;
        self.dealt += written;
        if self.unsent() == 0 || self.dealt >= DEALT_BYTES_MAX {
            self.bytes.drain(..self.dealt);
            self.dealt = 0;
        }
        Ok(())
    }
}
