//! One client's connection: its bytes become messages to the drive, and the drive's bytes its own.
//!
//! A connection is one task. Its reader stops while too many of its requests are unanswered, so a
//! client that asks faster than it is served is slowed by its own socket. Whatever is wrong with a
//! connection ends that connection, with a line in the log, and nothing else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use althing_core::code::Code;
use althing_core::codec::client::{decode_connect, decode_request};
use althing_core::codec::malformed::Malformed;
use althing_core::ids::{ConnectionId, Xid};
use althing_core::node::request::{ConnectRequest, Request};
use althing_core::time::{Duration, Instant};
use althing_core::tree::acl::Identity;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::admission::Admitted;
use crate::clients::Asked;
use crate::four_letter::FourLetters;
use crate::frames::{BadLength, FrameBuffer, Incoming};
use crate::limits::{BUFFER_KEPT_BYTES_MAX, CONNECT_FRAME_BYTES_MAX, LINGER_MAX, Limits};
use crate::mail::{Mailbox, Message};
use crate::outbound::{Answered, Cut, DriveWaits, Outbound, Taken};
use crate::shell::{ClientStream as _, Shell};
use crate::words::Word;

/// Why a connection has ended.
#[derive(Debug, Error)]
pub enum End {
    /// The server has said all that it had to say.
    #[error("the server closed it")]
    Said,
    /// A four-letter word was answered.
    #[error("its four-letter word is answered")]
    Answered,
    /// The client has closed it.
    #[error("the client closed it")]
    Left,
    /// The stream failed.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// The client said nothing understandable in time.
    #[error("its first frame did not come in time")]
    Silent,
    /// The client does not read what it is told.
    #[error("the client has read nothing for {}s", .0.as_secs())]
    Stalled(Duration),
    /// A frame's length is no length.
    #[error("{0}")]
    BadLength(#[from] BadLength),
    /// A frame is no request.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The drive has cut it.
    #[error("cut off: {0:?}")]
    Cut(Cut),
}

/// One client's connection, not yet served.
pub struct Connection<S: Shell> {
    /// Its name.
    pub connection: ConnectionId,
    /// Where the client is.
    pub address: SocketAddr,
    /// Its bytes.
    pub stream: S::Stream,
    /// Its place among the connections that may be.
    pub admitted: Admitted,
    /// What it is allowed.
    pub limits: Limits,
    /// The world.
    pub shell: S,
    /// The drive.
    pub mailbox: Mailbox,
    /// Answers four-letter words.
    pub four_letters: Arc<FourLetters>,
}

/// Tells the drive that an opened connection has ended, however it ends.
struct Presence {
    connection: ConnectionId,
    mailbox: Mailbox,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.mailbox.send(Message::Gone {
            connection: self.connection,
        });
    }
}

impl<S: Shell> Connection<S> {
    /// Serves the client until the connection ends.
    pub async fn serve(self) {
        let (connection, address) = (self.connection, self.address);
        tracing::debug!(%connection, %address, "a client connected");
        let serving = Serving {
            connection,
            address,
            limits: self.limits,
            shell: self.shell,
            mailbox: self.mailbox,
            four_letters: self.four_letters,
        };
        let end = serving.serve(self.stream).await;
        match &end {
            End::Malformed(_) | End::BadLength(_) | End::Stalled(_) | End::Cut(Cut::Unread) => {
                tracing::warn!(%connection, %address, "a connection is closed: {end}");
            }
            _ => tracing::debug!(%connection, %address, "a connection is closed: {end}"),
        }
        drop(self.admitted);
    }
}

/// A connection beside the two halves of its stream.
struct Serving<S: Shell> {
    connection: ConnectionId,
    address: SocketAddr,
    limits: Limits,
    shell: S,
    mailbox: Mailbox,
    four_letters: Arc<FourLetters>,
}

type Reader<S> = ReadHalf<<S as Shell>::Stream>;
type Writer<S> = WriteHalf<<S as Shell>::Stream>;

/// What a client begins with.
enum Greeting {
    Word(Word),
    Connect(ConnectRequest, Instant),
}

/// Who a client is, and what it wants.
struct Introduction {
    certified: Option<Identity>,
    request: ConnectRequest,
    received: Instant,
}

impl<S: Shell> Serving<S> {
    async fn serve(&self, mut stream: S::Stream) -> End {
        let mut frames = FrameBuffer::default();
        let deadline = self.shell.now().clock.after(self.limits.handshake_max);
        let greeting = tokio::select! {
            biased;
            greeting = self.greeting(&mut stream, &mut frames) => greeting,
            () = self.shell.sleep_until(deadline) => Err(End::Silent),
        };
        let certified = stream.certified();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = match greeting {
            Ok(Greeting::Word(word)) => match self.answer(word, &mut writer).await {
                Ok(()) => End::Answered,
                Err(end) => end,
            },
            Ok(Greeting::Connect(request, received)) => {
                let introduction = Introduction {
                    certified,
                    request,
                    received,
                };
                self.attend(&mut reader, &mut writer, frames, introduction)
                    .await
            }
            Err(end) => end,
        };
        if matches!(end, End::Said | End::Answered) {
            self.linger(reader, writer).await;
        }
        end
    }

    async fn greeting(
        &self,
        stream: &mut S::Stream,
        frames: &mut FrameBuffer,
    ) -> Result<Greeting, End> {
        loop {
            if let Some(letters) = frames.waiting().first_chunk::<4>()
                && let Some(word) = Word::parse(*letters)
            {
                return Ok(Greeting::Word(word));
            }
            if let Some(frame) = frames.next_frame(CONNECT_FRAME_BYTES_MAX)? {
                let request = decode_connect(frame)?;
                return Ok(Greeting::Connect(request, self.shell.now().clock));
            }
            if frames.fill(stream).await? == 0 {
                return Err(End::Left);
            }
        }
    }

    async fn answer(&self, word: Word, writer: &mut Writer<S>) -> Result<(), End> {
        let text = self.four_letters.answer(word, &self.shell).await;
        let writing = async {
            writer.write_all(text.as_bytes()).await?;
            writer.flush().await
        };
        self.in_time(writing).await?;
        Ok(())
    }

    /// Serves a client that has introduced itself.
    async fn attend(
        &self,
        reader: &mut Reader<S>,
        writer: &mut Writer<S>,
        frames: FrameBuffer,
        introduction: Introduction,
    ) -> End {
        let received = introduction.received;
        let outbound = Arc::new(Outbound::default());
        self.mailbox.send(Message::Opened {
            connection: self.connection,
            address: self.address,
            certified: introduction.certified,
            request: introduction.request,
            outbound: Arc::clone(&outbound),
            received,
        });
        let _presence = Presence {
            connection: self.connection,
            mailbox: self.mailbox.clone(),
        };
        let ended = tokio::select! {
            biased;
            why = outbound.until_cut() => return End::Cut(why),
            ended = self.write(writer, &outbound) => ended.map(|()| End::Said),
            ended = self.read(reader, frames, received, &outbound) => ended.map(|()| End::Left),
        };
        ended.unwrap_or_else(|end| end)
    }

    /// Sends the client's requests to the drive, until the client ends the stream.
    async fn read(
        &self,
        reader: &mut Reader<S>,
        mut frames: FrameBuffer,
        mut received: Instant,
        outbound: &Outbound,
    ) -> Result<(), End> {
        // The first frame waits for its answer like any other.
        let mut asked = Answered {
            requests: 1,
            bytes: 0,
        };
        let mut answered = Answered::default();
        let limits = &self.limits;
        loop {
            while let Some(incoming) = frames.next_request(limits.frame_bytes_max)? {
                let (xid, request, bytes) = match incoming {
                    Incoming::Frame(frame) => {
                        let (xid, request) = decode_request(frame)?;
                        (xid, request, frame.len())
                    }
                    Incoming::TooLarge { head, bytes } => {
                        let xid = Xid(i32::from_be_bytes(head));
                        (xid, Request::Refused(Code::BadArguments), bytes)
                    }
                };
                let may_ask = |answered: Answered| {
                    asked.requests - answered.requests < limits.unanswered_max as u64
                        && asked.bytes - answered.bytes < limits.unanswered_bytes_max as u64
                };
                if !may_ask(answered) {
                    answered = outbound.until_answered(may_ask).await;
                }
                asked.requests += 1;
                asked.bytes += bytes as u64;
                self.mailbox.send(Message::Asked {
                    connection: self.connection,
                    asked: Asked {
                        xid,
                        request,
                        bytes,
                        received,
                    },
                });
            }
            if frames.fill(reader).await? == 0 {
                return Ok(());
            }
            received = self.shell.now().clock;
        }
    }

    /// Writes what the drive fills in, with as few writes as the stream allows, until the drive
    /// says that it is complete.
    async fn write(&self, writer: &mut Writer<S>, outbound: &Outbound) -> Result<(), End> {
        let soft = self.limits.unread_bytes_soft;
        let mut bytes = Vec::new();
        while outbound.take(&mut bytes).await == Taken::Bytes {
            let mut written = 0;
            while written < bytes.len() {
                written += match self.in_time(writer.write(&bytes[written..])).await? {
                    0 => return Err(End::Failed(io::ErrorKind::WriteZero.into())),
                    count => count,
                };
                if outbound.still_writing(bytes.len() - written, soft) == DriveWaits::TellIt {
                    self.mailbox.send(Message::HasRead {
                        connection: self.connection,
                    });
                }
            }
            self.in_time(writer.flush()).await?;
            bytes.clear();
            if bytes.capacity() > BUFFER_KEPT_BYTES_MAX {
                bytes = Vec::new();
            }
        }
        Ok(())
    }

    /// What `writing` gives, unless it makes no progress for too long.
    async fn in_time<T>(&self, writing: impl Future<Output = io::Result<T>>) -> Result<T, End> {
        let stall_max = self.limits.write_stall_max;
        let deadline = self.shell.now().clock.after(stall_max);
        tokio::select! {
            biased;
            done = writing => Ok(done?),
            () = self.shell.sleep_until(deadline) => Err(End::Stalled(stall_max)),
        }
    }

    /// Ends the stream in order, and reads on for a little while: a stream that is closed with
    /// unread requests in it would be reset, and the last reply with it be lost.
    async fn linger(
        &self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) {
        let deadline = self.shell.now().clock.after(LINGER_MAX);
        let mut thrown_away = [0; 1024];
        let ending = async {
            writer.shutdown().await?;
            while reader.read(&mut thrown_away).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::select! {
            biased;
            // The stream is closed next: what fails here is closed already.
            _ = ending => {}
            () = self.shell.sleep_until(deadline) => {}
        }
    }
}
