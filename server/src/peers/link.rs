//! One link: frames of messages in both directions, until it ends.
//!
//! An empty frame says only that its sender lives; it is sent when there was nothing else to say
//! for a while. A link on which nothing is heard for long is given up, although its stream may
//! look well: the machine at its other end may have vanished, or the network between.

use std::io;
use std::sync::Arc;

use althing_core::codec::handshake::Handshake;
use althing_core::codec::malformed::Malformed;
use althing_core::codec::peer::{MESSAGE_BYTES_MAX, decode_message};
use thiserror::Error;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;

use crate::frames::{BadLength, FrameBuffer};
use crate::limits::{
    LINK_BUFFER_KEPT_BYTES_MAX, LINK_SILENCE_MAX, LINK_SPEAKS_EVERY, LINK_UNSTEPPED_BYTES_MAX,
};
use crate::mail::{LinkNews, Mailbox, Message};
use crate::peers::outgoing::Outgoing;
use crate::shell::Shell;

/// The frame without a message.
const ALIVE: [u8; 4] = [0; 4];

/// Why a link has ended.
#[derive(Debug, Error)]
pub enum End {
    /// The other server closed it.
    #[error("the other server closed it")]
    Left,
    /// The stream failed.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// Nothing was heard.
    #[error("nothing was heard for {}ms", LINK_SILENCE_MAX.as_millis())]
    Silent,
    /// A frame's length is no length.
    #[error("{0}")]
    BadLength(#[from] BadLength),
    /// A frame is no message.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The drive has cut it: there is a newer link, or the server ends.
    #[error("a newer link replaces it, or this server ends")]
    Cut,
}

/// A link whose ends know each other.
pub struct Link<S: Shell> {
    /// The world.
    pub shell: S,
    /// The drive.
    pub mailbox: Mailbox,
    /// Who is at the other end.
    pub other: Handshake,
    /// Its bytes.
    pub stream: S::Link,
}

/// Tells the drive that a link has ended, however it ends.
struct Presence {
    other: Handshake,
    outgoing: Arc<Outgoing>,
    mailbox: Mailbox,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.mailbox.send(Message::OfLink(LinkNews::Unlinked {
            server: self.other.server,
            outgoing: Arc::clone(&self.outgoing),
        }));
    }
}

impl<S: Shell> Link<S> {
    /// Carries messages until the link ends.
    pub async fn attend(self) -> End {
        let (server, directory) = (self.other.server, self.other.directory);
        tracing::info!(%server, %directory, "a link to another server is up");
        let outgoing = Arc::new(Outgoing::default());
        self.mailbox.send(Message::OfLink(LinkNews::Linked {
            other: self.other,
            outgoing: Arc::clone(&outgoing),
        }));
        let _presence = Presence {
            other: self.other,
            outgoing: Arc::clone(&outgoing),
            mailbox: self.mailbox.clone(),
        };
        let (reader, writer) = tokio::io::split(self.stream);
        let ends = Ends {
            shell: self.shell,
            mailbox: self.mailbox,
            other: self.other,
        };
        let end = tokio::select! {
            biased;
            () = outgoing.until_cut() => End::Cut,
            end = ends.read(reader) => end.unwrap_or_else(|end| end),
            error = ends.write(writer, &outgoing) => End::Failed(error),
        };
        match &end {
            End::BadLength(_) | End::Malformed(_) => {
                tracing::error!(%server, "a link is closed, and dialled again: {end}");
            }
            _ => tracing::info!(%server, "a link has ended: {end}"),
        }
        end
    }
}

/// What both directions of a link need.
struct Ends<S: Shell> {
    shell: S,
    mailbox: Mailbox,
    other: Handshake,
}

impl<S: Shell> Ends<S> {
    /// Hands the drive what the other server says.
    async fn read(&self, mut reader: ReadHalf<S::Link>) -> Result<End, End> {
        let mut frames = FrameBuffer::keeping(LINK_BUFFER_KEPT_BYTES_MAX);
        let room = Arc::new(Semaphore::new(LINK_UNSTEPPED_BYTES_MAX));
        loop {
            while let Some(frame) = frames.next_frame(MESSAGE_BYTES_MAX)? {
                if frame.is_empty() {
                    continue;
                }
                let message = decode_message(frame)?;
                let bytes = frame.len().min(LINK_UNSTEPPED_BYTES_MAX) as u32;
                // While the drive is behind, nothing more is read, and the other server's queue
                // fills instead of our memory.
                let unstepped = Arc::clone(&room).acquire_many_owned(bytes).await;
                self.mailbox.send(Message::OfLink(LinkNews::Heard {
                    from: self.other,
                    message: Box::new(message),
                    unstepped: unstepped.expect("this room is never closed"),
                }));
            }
            let deadline = self.shell.now().clock.after(LINK_SILENCE_MAX);
            let read = tokio::select! {
                biased;
                read = frames.fill(&mut reader) => read?,
                () = self.shell.sleep_until(deadline) => return Err(End::Silent),
            };
            if read == 0 {
                return Ok(End::Left);
            }
        }
    }

    /// Writes what the drive fills in, all that waits at once; ends only by an error.
    async fn write(&self, mut writer: WriteHalf<S::Link>, outgoing: &Outgoing) -> io::Error {
        let mut bytes = Vec::new();
        loop {
            let deadline = self.shell.now().clock.after(LINK_SPEAKS_EVERY);
            tokio::select! {
                biased;
                () = outgoing.take(&mut bytes) => {}
                () = self.shell.sleep_until(deadline) => bytes.extend_from_slice(&ALIVE),
            }
            let writing = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            // A server that takes nothing says nothing either: the reader notices.
            if let Err(error) = writing.await {
                return error;
            }
            bytes.clear();
            if bytes.capacity() > LINK_BUFFER_KEPT_BYTES_MAX {
                bytes = Vec::new();
            }
        }
    }
}
