//! The production world: tokio's sockets and timers, the operating system's clocks and threads.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::node::effect::Effect;
use althing_core::node::event::Event;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::prng::Seed;
use althing_core::time::{Duration, Instant, Now, WallTime};
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;

use crate::entropy::entropy;
use crate::logging;
use crate::seldom::Seldom;
use crate::shell::{Descriptors, Shell, Task, Usage};
use crate::storage::names::Name;
use crate::tls::stream::MaybeTls;
use crate::tokio_clients::TokioClients;
use crate::tokio_peers::TokioPeers;
use crate::trace::writer::Trace;

/// One process.
#[derive(Clone, Debug)]
pub struct TokioShell {
    process: Arc<Process>,
}

#[derive(Debug)]
struct Process {
    runtime: Handle,
    clients: TokioClients,
    /// `None` for a server on its own, which opens no port for others.
    peers: Option<Arc<TokioPeers>>,
    /// The origin of the monotonic clock.
    born: tokio::time::Instant,
    /// What is said on stdout, once, when clients are served.
    greeting: String,
    greeted: Once,
    /// Where the node's deeds are written down, if they are.
    trace: Option<Arc<Trace>>,
    /// Which lines of the log are written that clients cause without end.
    seldom: Seldom,
}

impl TokioShell {
    /// The process that accepts `clients` and knows the other servers as `peers`, if
    /// there are any. It says `greeting` on stdout as soon as clients are served, and writes into
    /// `trace` what the node does.
    pub fn new(
        runtime: Handle,
        clients: TokioClients,
        peers: Option<TokioPeers>,
        greeting: String,
        trace: Option<Arc<Trace>>,
    ) -> TokioShell {
        TokioShell {
            process: Arc::new(Process {
                runtime,
                clients,
                peers: peers.map(Arc::new),
                born: tokio::time::Instant::now(),
                greeting,
                greeted: Once::new(),
                trace,
                seldom: Seldom::default(),
            }),
        }
    }

    fn greet(&self) {
        self.process.greeted.call_once(|| {
            let mut stdout = io::stdout().lock();
            let greeted =
                writeln!(stdout, "{}", self.process.greeting).and_then(|()| stdout.flush());
            if let Err(error) = greeted {
                tracing::warn!(%error, "nobody reads stdout");
            }
        });
    }
}

fn wall(time: SystemTime) -> WallTime {
    // Before 1970 by a broken clock: nothing is decided by it.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).expect("the year is below 292 million"))
}

impl Shell for TokioShell {
    type Stream = MaybeTls;
    type Link = MaybeTls;

    fn now(&self) -> Now {
        let clock = self.process.born.elapsed().as_nanos();
        Now {
            clock: Instant(u64::try_from(clock).expect("a process lives less than 584 years")),
            wall: wall(SystemTime::now()),
        }
    }

    async fn sleep_until(&self, until: Instant) {
        // Beyond what the timer can take there is no difference to never.
        match self.process.born.checked_add(Duration::from_nanos(until.0)) {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    fn spawn(&self, what: Task, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.process.runtime.clone();
        let name = match what {
            Task::Log => "althing-log",
            Task::Snapshot => "althing-snapshot",
            Task::Drive
            | Task::Accept
            | Task::Connection
            | Task::Peers
            | Task::Link
            | Task::Gossip
            | Task::Operator => {
                runtime.spawn(task);
                return;
            }
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(task))
            .expect("the operating system has a thread for each of the server's few");
    }

    async fn accept(&self) -> io::Result<(MaybeTls, SocketAddr)> {
        self.process.clients.accept().await
    }

    async fn dial(&self, server: ServerId) -> io::Result<MaybeTls> {
        match &self.process.peers {
            Some(peers) => peers.dial(server).await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn learn_addresses(&self, membership: &Membership) {
        if let Some(peers) = &self.process.peers {
            peers.learn(membership);
        }
    }

    async fn accept_link(&self) -> io::Result<MaybeTls> {
        match &self.process.peers {
            Some(peers) => peers.accept().await,
            None => std::future::pending().await,
        }
    }

    fn send_datagram(&self, to: ServerId, bytes: &[u8]) {
        if let Some(peers) = &self.process.peers {
            TokioPeers::send_datagram(peers, &self.process.runtime, to, bytes);
        }
    }

    async fn datagram(&self) -> io::Result<Vec<u8>> {
        match &self.process.peers {
            Some(peers) => peers.datagram().await,
            None => std::future::pending().await,
        }
    }

    fn entropy(&self) -> Seed {
        Seed(entropy())
    }

    fn descriptors(&self) -> Option<Descriptors> {
        // One of them is the look itself.
        let open = std::fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .checked_sub(1)?;
        Some(Descriptors {
            open: u64::try_from(open).ok()?,
            max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        })
    }

    fn usage(&self, data_dir: &str) -> Option<Usage> {
        let mut usage = Usage::default();
        for entry in std::fs::read_dir(data_dir).ok()? {
            // A file that goes meanwhile takes no space.
            let Ok((entry, of)) = entry.and_then(|entry| Ok((entry.metadata()?, entry))) else {
                continue;
            };
            let (name, bytes) = (of.file_name(), entry.len());
            match name.to_str().and_then(Name::parse) {
                Some(Name::Segment(_) | Name::ReceivedSegment(_)) => usage.log_bytes += bytes,
                Some(Name::Snapshot(zxid)) => {
                    usage.snapshot_bytes += bytes;
                    let made = entry.modified().map_or(WallTime(0), wall);
                    usage.last_snapshot = usage.last_snapshot.max(Some((zxid, made)));
                }
                Some(Name::ReceivedSnapshot(_)) => usage.snapshot_bytes += bytes,
                Some(Name::Identity | Name::Temporary) | None => {}
            }
        }
        Some(usage)
    }

    fn observe_recovered(&self, recovered: &Recovered) {
        let snapshot = recovered.store.applied();
        let (entries, sessions) = (recovered.entries.len(), recovered.store.sessions().len());
        let znodes = recovered.store.tree().count();
        tracing::info!(%snapshot, znodes, sessions, entries, "the data directory is read");
        if let Some(trace) = &self.process.trace {
            trace.recovered(recovered);
        }
    }

    fn observe_input(&self, _: Now, input: &Input) {
        if let Some(trace) = &self.process.trace {
            trace.input(input);
        }
    }

    fn observe_node(&self, _: Now, _: &Node) {}

    fn observe_leaving(&self) {
        if let Some(trace) = &self.process.trace {
            trace.leaving();
        }
    }

    fn observe_effect(&self, now: Now, effect: &Effect) {
        if let Some(trace) = &self.process.trace {
            trace.effect(effect);
        }
        if let Effect::Note(event) = effect {
            logging::note(now.clock, event, &self.process.seldom);
            if matches!(event, Event::EpochOpened { .. } | Event::Followed { .. }) {
                self.greet();
            }
        }
    }
}
