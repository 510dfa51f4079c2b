//! The life of a session: connecting, serving, losing the connection, ending.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::SessionId;
use tokio::io::{AsyncRead, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::config::{ClientConfig, ReadOnlyServers, SaslUser, UNSENT_BYTES_MAX};
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::session::backoff::Backoff;
use crate::session::command::Command;
use crate::session::lasting::Lasting;
use crate::session::offer::{Offer, Offered};
use crate::session::proof::Proof;
use crate::session::search::Search;
use crate::session::shared::Shared;
use crate::session::talk::{Ending, Service, Talk};
use crate::session::wire::{Inbound, Outbound};
use crate::state::SessionState;

/// One attempt to connect takes at most this part of the session's time-out, however few the
/// servers are: one that swallows packets must leave time to save the session at another try.
const ATTEMPTS_MIN: usize = 3;

pub(crate) struct Session<R: Runtime> {
    runtime: R,
    servers: Vec<String>,
    next_server: usize,
    /// The one that gave whole service last.
    home: Option<usize>,
    read_only_servers: ReadOnlyServers,
    sasl: Option<SaslUser>,
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
    service: Service,
}

/// What the first frame led to.
enum Attachment<R: Runtime> {
    Taken(Attached<R>),
    Expired,
}

/// How the service of a connection came to its end.
enum Served<R: Runtime> {
    /// By itself.
    Ended(Ending, Wish),
    /// There is a better one.
    Found(Box<Offered<R>>),
}

/// Does the client still want the session?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stay,
    Leave,
}

/// One thing that happened on a connection.
enum Step<R: Runtime> {
    Written(io::Result<()>),
    Read(io::Result<()>),
    Asked(Command),
    Found(Offered<R>),
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
            home: None,
            read_only_servers: config.read_only_servers,
            sasl: config.sasl,
            shared,
            commands,
            lasting: Lasting::new(config.session_timeout, config.last_zxid_seen),
            backoff: Backoff::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        let mut found = None;
        let end = loop {
            let attached = match found.take() {
                Some(attached) => attached,
                None => match self.reach_server().await {
                    Ok(attached) => attached,
                    Err(end) => break end,
                },
            };
            self.backoff.reset();
            self.shared.set_state(match attached.service {
                Service::Whole => SessionState::Connected,
                Service::Reading => SessionState::ReadOnly,
            });
            let ending = match self.serve(attached).await {
                Served::Ended(Ending::Closed, _) => break End::closed(Ok(())),
                Served::Ended(Ending::Expired, _) => break End::expired(),
                Served::Ended(Ending::AuthFailed, _) => {
                    break End::refused(ClientError::Server(Code::AuthFailed));
                }
                Served::Ended(_, Wish::Leave) => {
                    break End::closed(Err(ClientError::ConnectionLoss));
                }
                Served::Ended(ending, Wish::Stay) => ending,
                Served::Found(offered) => match self.take(*offered) {
                    Ok(Attachment::Taken(attached)) => {
                        found = Some(attached);
                        continue;
                    }
                    Ok(Attachment::Expired) => break End::expired(),
                    Err(_) => Ending::Lost("the server that was found is behind"),
                },
            };
            tracing::info!(?ending, "the connection to the server is lost");
            if ending != Ending::Silent {
                self.prefer_home();
            }
            let since = self.runtime.now();
            self.shared.set_state(SessionState::Disconnected { since });
            if let Err(end) = self.pause().await {
                break end;
            }
        };
        self.finish(end).await;
    }

    /// Where only one server may know the session, that one is tried first: every other would end
    /// it.
    fn prefer_home(&mut self) {
        let session = self.lasting.session.map(|(session, _)| session);
        if let Some(home) = self.home
            && session.is_some_and(SessionId::is_local)
        {
            self.next_server = home;
        }
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
        let offer = Offer {
            request: self.lasting.connect_request(self.read_only_servers),
            patience: self.patience(),
        };
        let offered = offer.make(&self.runtime, address).await?;
        self.heard = self.runtime.now();
        self.take(offered)
    }

    /// How long a server may take to be reached, and to answer.
    fn patience(&self) -> [Duration; 2] {
        let attempts = u32::try_from(self.servers.len().max(ATTEMPTS_MIN)).unwrap_or(u32::MAX);
        [self.lasting.timeout / attempts, self.lasting.silence_max()]
    }

    /// Takes the session that a server gave or took up again.
    fn take(&mut self, offered: Offered<R>) -> io::Result<Attachment<R>> {
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let (response, request) = (&offered.response, &offered.request);
        let known = self.lasting.session.map(|(session, _)| session);
        let timeout_ms = u64::try_from(response.timeout_ms).unwrap_or(0);
        let session = match response.session {
            Some(session) if timeout_ms > 0 && known.is_none_or(|known| known == session) => {
                session
            }
            None if known.is_some() => return Ok(Attachment::Expired),
            _ => return refused("the server gave no session, or another one"),
        };
        let service = match response.read_only {
            Some(true) if request.read_only == Some(true) => Service::Reading,
            Some(true) => return refused("the server only reads, and was not asked for that"),
            _ => Service::Whole,
        };
        self.lasting.timeout = Duration::from_millis(timeout_ms);
        self.shared.set_session(session, self.lasting.timeout);
        if service == Service::Whole {
            self.lasting.session = Some((session, response.password));
            self.shared.set_proven(offered.sent);
            let is_it = |server: &String| *server == offered.address;
            self.home = self.servers.iter().position(is_it);
        }
        if request.last_zxid_seen < self.lasting.seen {
            return refused("the server may be behind what was seen meanwhile");
        }
        Ok(Attachment::Taken(Attached {
            inbound: offered.inbound,
            outbound: offered.outbound,
            service,
        }))
    }

    /// The search for a server that has a leader, if the one that serves has none.
    fn search(&self, service: Service) -> Option<Search<R>> {
        (service == Service::Reading).then(|| {
            let mut servers = self.servers.clone();
            servers.rotate_left(self.next_server);
            // The one that serves says itself when it has a leader; it is the last of them.
            if servers.len() > 1 {
                servers.pop();
            }
            Search {
                runtime: self.runtime.clone(),
                servers,
                request: self.lasting.connect_request(ReadOnlyServers::Refused),
                shared: Arc::clone(&self.shared),
                patience: self.patience(),
            }
        })
    }

    /// Talks with the server until the connection ends.
    async fn serve(&mut self, attached: Attached<R>) -> Served<R> {
        let Attached {
            mut inbound,
            mut outbound,
            service,
        } = attached;
        let mut search = pin!(found(self.search(service)));
        let runtime = self.runtime.clone();
        let now = runtime.now();
        let mut wish = Wish::Stay;
        let out = outbound.bytes();
        let sasl = self.sasl.clone();
        let proof = sasl.map(|user| Proof::new(user, [runtime.random(), runtime.random()]));
        let mut talk = Talk::begin(&mut self.lasting, &self.shared, service, proof, now, out);
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
                offered = search.as_mut(), if wish == Wish::Stay => Step::Found(offered),
            };
            let now = runtime.now();
            let outcome = match step {
                Step::Written(outcome) => outcome.map_err(|_| Ending::Lost("writing failed")),
                Step::Read(outcome) => hear(outcome, &mut inbound, &mut talk, now),
                Step::Asked(command) => {
                    talk.ask(command, now, outbound.bytes());
                    Ok(())
                }
                Step::Found(offered) => {
                    self.heard = talk.end();
                    return Served::Found(Box::new(offered));
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
        Served::Ended(ending, wish)
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

/// What a search finds; without one, nothing ever.
async fn found<R: Runtime>(search: Option<Search<R>>) -> Offered<R> {
    match search {
        Some(search) => search.run().await,
        None => std::future::pending().await,
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
