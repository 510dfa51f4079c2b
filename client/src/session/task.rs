//! The life of a session: connecting, serving, losing the connection, ending.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::codec::client::{decode_connect_response, encode_connect};
use althing_core::node::reply::ConnectResponse;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::config::{ClientConfig, UNSENT_BYTES_MAX};
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::session::backoff::Backoff;
use crate::session::command::Command;
use crate::session::lasting::Lasting;
use crate::session::shared::Shared;
use crate::session::talk::{Ending, Talk};
use crate::session::wire::{Inbound, Outbound};
use crate::state::SessionState;

/// One attempt to connect takes at most this part of the session's time-out, however few the
/// servers are: one that swallows packets must leave time to save the session at another try.
const ATTEMPTS_MIN: usize = 3;

pub(crate) struct Session<R: Runtime> {
    runtime: R,
    servers: Vec<String>,
    next_server: usize,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    lasting: Lasting,
    backoff: Backoff,
    /// When a server was last heard of.
    heard: Duration,
}

/// How a session ended.
struct End {
    state: SessionState,
    reason: ClientError,
    /// Could the server be told?
    farewell: Result<(), ClientError>,
}

impl End {
    fn expired() -> End {
        End {
            state: SessionState::Expired,
            reason: ClientError::SessionExpired,
            farewell: Err(ClientError::SessionExpired),
        }
    }

    fn closed(farewell: Result<(), ClientError>) -> End {
        End {
            state: SessionState::Closed,
            reason: ClientError::Closed,
            farewell,
        }
    }

    fn refused(reason: ClientError) -> End {
        End {
            state: SessionState::Closed,
            farewell: Err(reason.clone()),
            reason,
        }
    }
}

/// A connection whose server has taken the session.
struct Attached<R: Runtime> {
    inbound: Inbound<ReadHalf<R::Stream>>,
    outbound: Outbound<WriteHalf<R::Stream>>,
}

/// What the first frame led to.
enum Attachment<R: Runtime> {
    Taken(Attached<R>),
    Expired,
}

/// Does the client still want the session?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stay,
    Leave,
}

/// One thing that happened on a connection.
enum Step {
    Written(io::Result<()>),
    Read(io::Result<()>),
    Asked(Command),
    Close,
    Tick,
}

impl<R: Runtime> Session<R> {
    pub(crate) fn new(
        runtime: R,
        config: ClientConfig,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
    ) -> Session<R> {
        let servers = u64::try_from(config.servers.len()).expect("servers can be counted");
        let first = usize::try_from(runtime.random() % servers).expect("it is one of them");
        Session {
            heard: runtime.now(),
            runtime,
            servers: config.servers,
            next_server: first,
            shared,
            commands,
            lasting: Lasting::new(config.session_timeout, config.last_zxid_seen),
            backoff: Backoff::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        let end = loop {
            let attached = match self.reach_server().await {
                Ok(attached) => attached,
                Err(end) => break end,
            };
            self.backoff.reset();
            self.shared.set_state(SessionState::Connected);
            let (ending, wish) = self.serve(attached).await;
            match (ending, wish) {
                (Ending::Closed, _) => break End::closed(Ok(())),
                (Ending::Expired, _) => break End::expired(),
                (Ending::AuthFailed, _) => {
                    break End::refused(ClientError::Server(Code::AuthFailed));
                }
                (_, Wish::Leave) => break End::closed(Err(ClientError::ConnectionLoss)),
                (ending, Wish::Stay) => {
                    tracing::info!(?ending, "the connection to the server is lost");
                    let since = self.runtime.now();
                    self.shared.set_state(SessionState::Disconnected { since });
                    if let Err(end) = self.pause().await {
                        break end;
                    }
                }
            }
        };
        self.finish(end).await;
    }

    /// Tries server after server until one takes the session. Gives up when each was tried and
    /// the session can no longer live.
    async fn reach_server(&mut self) -> Result<Attached<R>, End> {
        let mut attempts = 0;
        loop {
            let address = self.servers[self.next_server].clone();
            self.next_server = (self.next_server + 1) % self.servers.len();
            let shared = Arc::clone(&self.shared);
            let attachment = tokio::select! {
                biased;
                () = shared.close_asked() => return Err(self.closed_unheard()),
                attachment = self.attach(&address) => attachment,
            };
            match attachment {
                Ok(Attachment::Taken(attached)) => return Ok(attached),
                Ok(Attachment::Expired) => return Err(End::expired()),
                Err(error) => tracing::debug!(address, %error, "a server was not reached"),
            }
            attempts += 1;
            if attempts >= self.servers.len() && self.cannot_live() {
                return Err(End::expired());
            }
            self.pause().await?;
        }
    }

    /// Was no server heard of for so long that every server must have expired the session?
    fn cannot_live(&self) -> bool {
        let given_up = self.heard + self.lasting.timeout * 4 / 3;
        self.lasting.session.is_some() && self.runtime.now() >= given_up
    }

    /// Waits before the next attempt.
    async fn pause(&mut self) -> Result<(), End> {
        let random = self.runtime.random();
        let timeout = self.lasting.timeout;
        let delay = self.backoff.pause(self.servers.len(), timeout, random);
        tokio::select! {
            biased;
            () = self.shared.close_asked() => Err(self.closed_unheard()),
            () = self.runtime.sleep(delay) => Ok(()),
        }
    }

    /// The client was closed while no server was connected.
    fn closed_unheard(&self) -> End {
        End::closed(match self.lasting.session {
            Some(_) => Err(ClientError::ConnectionLoss),
            None => Ok(()),
        })
    }

    /// Connects to a server and offers it the session.
    async fn attach(&mut self, address: &str) -> io::Result<Attachment<R>> {
        let runtime = self.runtime.clone();
        let attempts = u32::try_from(self.servers.len().max(ATTEMPTS_MIN)).unwrap_or(u32::MAX);
        let patience = self.lasting.timeout / attempts;
        let stream = within(&runtime, patience, runtime.connect(address)).await?;
        let (reader, writer) = tokio::io::split(stream);
        let mut inbound = Inbound::new(reader);
        let mut outbound = Outbound::new(writer);
        let sent = runtime.now();
        encode_connect(&self.lasting.connect_request(), outbound.bytes());
        let patience = self.lasting.silence_max();
        let response = within(&runtime, patience, greet(&mut inbound, &mut outbound)).await?;
        self.heard = runtime.now();
        Ok(match self.adopt(&response, sent)? {
            SessionState::Expired => Attachment::Expired,
            _ => Attachment::Taken(Attached { inbound, outbound }),
        })
    }

    /// Takes the session that a server gave or took up again.
    fn adopt(&mut self, response: &ConnectResponse, sent: Duration) -> io::Result<SessionState> {
        let known = self.lasting.session.map(|(session, _)| session);
        let timeout_ms = u64::try_from(response.timeout_ms).unwrap_or(0);
        match response.session {
            Some(session) if timeout_ms > 0 && known.is_none_or(|known| known == session) => {
                self.lasting.session = Some((session, response.password));
                self.lasting.timeout = Duration::from_millis(timeout_ms);
                self.shared.set_session(session, self.lasting.timeout);
                self.shared.set_proven(sent);
                Ok(SessionState::Connected)
            }
            None if known.is_some() => Ok(SessionState::Expired),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server gave no session, or another one",
            )),
        }
    }

    /// Talks with the server until the connection ends.
    async fn serve(&mut self, attached: Attached<R>) -> (Ending, Wish) {
        let Attached {
            mut inbound,
            mut outbound,
        } = attached;
        let runtime = self.runtime.clone();
        let now = runtime.now();
        let mut wish = Wish::Stay;
        let mut talk = Talk::begin(&mut self.lasting, &self.shared, now, outbound.bytes());
        let mut armed = talk.deadline();
        let mut timer = pin!(runtime.sleep(armed.saturating_sub(now)));
        let ending = loop {
            let takes =
                wish == Wish::Stay && talk.has_room() && outbound.unsent() < UNSENT_BYTES_MAX;
            let writes = !outbound.is_idle();
            // Writing comes first, since it ends: what is written comes from below.
            let step = tokio::select! {
                biased;
                outcome = outbound.write(), if writes => Step::Written(outcome),
                outcome = inbound.read() => Step::Read(outcome),
                command = self.commands.recv(), if takes => {
                    command.map_or(Step::Close, Step::Asked)
                }
                () = self.shared.close_asked(), if wish == Wish::Stay => Step::Close,
                () = timer.as_mut() => Step::Tick,
            };
            let now = runtime.now();
            let outcome = match step {
                Step::Written(outcome) => outcome.map_err(|_| Ending::Lost("writing failed")),
                Step::Read(outcome) => hear(outcome, &mut inbound, &mut talk, now),
                Step::Asked(command) => {
                    talk.ask(command, now, outbound.bytes());
                    Ok(())
                }
                Step::Close => {
                    wish = Wish::Leave;
                    talk.close(now, outbound.bytes());
                    Ok(())
                }
                Step::Tick => {
                    // It has fired and must not be polled again.
                    armed = Duration::MAX;
                    Ok(())
                }
            };
            if let Err(ending) = outcome.and_then(|()| talk.bear_silence(now)) {
                break ending;
            }
            talk.tick(now, outbound.bytes());
            let deadline = talk.deadline();
            if deadline < armed {
                armed = deadline;
                timer.set(runtime.sleep(armed.saturating_sub(now)));
            }
        };
        self.heard = talk.end();
        (ending, wish)
    }

    /// Tells everybody that the session is over.
    async fn finish(mut self, end: End) {
        tracing::info!(state = ?end.state, "the session has ended");
        self.shared.set_ended(end.reason.clone(), end.farewell);
        self.commands.close();
        self.lasting.watches.fail(&end.reason);
        self.shared.set_state(end.state);
        while let Some(command) = self.commands.recv().await {
            // Who asked may have stopped to wait.
            let _ = command.answer.send(Err(end.reason.clone()));
        }
    }
}

/// Takes all frames that have arrived.
fn hear<S: AsyncRead + Unpin>(
    outcome: io::Result<()>,
    inbound: &mut Inbound<S>,
    talk: &mut Talk<'_>,
    now: Duration,
) -> Result<(), Ending> {
    outcome.map_err(|_| Ending::Lost("the connection ended"))?;
    talk.bear_silence(now)?;
    while let Some(frame) = inbound.frame()? {
        talk.hear(frame, now)?;
    }
    Ok(())
}

/// Exchanges the first frames.
async fn greet<S: AsyncRead + Unpin, T: AsyncWrite + Unpin>(
    inbound: &mut Inbound<S>,
    outbound: &mut Outbound<T>,
) -> io::Result<ConnectResponse> {
    let malformed = |malformed| io::Error::new(io::ErrorKind::InvalidData, malformed);
    while !outbound.is_idle() {
        outbound.write().await?;
    }
    loop {
        inbound.read().await?;
        if let Some(frame) = inbound.frame().map_err(malformed)? {
            return decode_connect_response(frame).map_err(malformed);
        }
    }
}

async fn within<R: Runtime, T>(
    runtime: &R,
    patience: Duration,
    attempt: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        outcome = attempt => outcome,
        () = runtime.sleep(patience) => Err(io::ErrorKind::TimedOut.into()),
    }
}
