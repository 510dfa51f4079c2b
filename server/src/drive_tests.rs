//! The drive's turns, at a clock that the test moves.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use althing_core::codec::client::decode_connect;
use althing_core::codec::handshake::Handshake;
use althing_core::config::{Config, Reconfiguring};
use althing_core::ids::{ConnectionId, DirectoryId, Epoch, ServerId, Xid, Zxid};
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::node::request::Request;
use althing_core::prng::Seed;
use althing_core::quorum::message;
use althing_core::time::{Instant, Now, WallTime};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clients::{Asked, Clients};
use crate::drive::{Channels, Drive};
use crate::limits::{BATCH_MAX, Limits};
use crate::mail::{LinkNews, Mailbox, Message};
use crate::outbound::Outbound;
use crate::peers::outgoing::Outgoing;
use crate::rig::{connect_bytes, run, soon};
use crate::shell::{Shell, Task};
use crate::storage::error::StorageError;
use crate::storage::log::LogJob;

/// A world in which nothing happens by itself.
#[derive(Clone)]
struct Still {
    clock_ms: Arc<AtomicU64>,
    /// What was stepped about other servers, and where the drained inputs end.
    stepped: Arc<Mutex<Vec<String>>>,
}

impl Shell for Still {
    type Stream = DuplexStream;
    type Link = DuplexStream;

    fn now(&self) -> Now {
        Now {
            clock: Instant(self.clock_ms.load(Ordering::SeqCst) * 1_000_000),
            wall: WallTime(0),
        }
    }

    async fn sleep_until(&self, until: Instant) {
        if self.now().clock < until {
            std::future::pending::<()>().await;
        }
    }

    fn spawn(&self, _: Task, _: impl Future<Output = ()> + Send + 'static) {
        unreachable!("a drive spawns nothing");
    }

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        unreachable!("a drive accepts nobody");
    }

    async fn dial(&self, _: ServerId) -> io::Result<DuplexStream> {
        unreachable!("a drive dials nobody");
    }

    async fn accept_link(&self) -> io::Result<DuplexStream> {
        unreachable!("a drive accepts nobody");
    }

    fn send_datagram(&self, _: ServerId, _: &[u8]) {
        unreachable!("a drive sends no datagrams");
    }

    async fn datagram(&self) -> io::Result<Vec<u8>> {
        unreachable!("a drive takes no datagrams");
    }

    fn entropy(&self) -> Seed {
        Seed([7; 32])
    }

    fn observe_recovered(&self, _: &Recovered) {}

    fn observe_input(&self, _: Now, input: &Input) {
        let text = match input {
            Input::PeerJoined { server, directory } => format!("{server} joined with {directory}"),
            Input::Heard { from, message, .. } => format!("{from} said {}", message.name()),
            Input::PeerLost(server) => format!("{server} lost"),
            Input::StopAsked => "stop".to_owned(),
            Input::Drained => "drained".to_owned(),
            _ => return,
        };
        let mut stepped = self.stepped.lock().expect("no panic within");
        if stepped.last() != Some(&text) {
            stepped.push(text);
        }
    }

    fn observe_node(&self, _: Now, _: &Node) {}
    fn observe_effect(&self, _: Now, _: &Effect) {}
}

struct Stage {
    shell: Still,
    mailbox: Mailbox,
    log: UnboundedReceiver<LogJob>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), StorageError>>,
    _serving: watch::Receiver<()>,
}

/// Spawns a drive of an empty node.
fn stage() -> Stage {
    let shell = Still {
        clock_ms: Arc::new(AtomicU64::new(1000)),
        stepped: Arc::default(),
    };
    let (to_drive, inbox) = unbounded_channel();
    let (to_log, log) = unbounded_channel();
    let (to_snapshots, _snapshots) = unbounded_channel();
    let (to_reader, _reader) = unbounded_channel();
    let (accepting, serving) = watch::channel(());
    let mailbox = Mailbox::new(to_drive);
    let config = Config::standalone(ServerId(1));
    let node = Node::new(config, Recovered::default(), shell.entropy());
    let channels = Channels {
        inbox,
        mailbox: mailbox.clone(),
        log: to_log,
        snapshots: to_snapshots,
        reader: to_reader,
        observers: BTreeSet::new(),
        reconfiguring: Reconfiguring::Off,
        neighbours: None,
        accepting,
        audit: None,
    };
    let drive = Drive::new(
        shell.clone(),
        node,
        Clients::new(Limits::default()),
        channels,
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(drive.run(async {
        let _ = stopped.await;
    }));
    Stage {
        shell,
        mailbox,
        log,
        stop,
        ended,
        _serving: serving,
    }
}

impl Stage {
    /// Saves what is to be saved, until nothing is; tells how many sessions there are then.
    async fn settle(&mut self) -> usize {
        loop {
            let (told, sessions) = oneshot::channel();
            self.mailbox.send(Message::Query(Box::new(move |view| {
                let _ = told.send(view.node.store().sessions().len());
            })));
            let sessions = sessions.await.expect("the drive runs");
            // A turn's timers come after its messages: only a second look sees what they did.
            let mut saved = 0;
            while let Ok(job) = self.log.try_recv() {
                if let LogJob::Save { ticket, .. } = job {
                    self.mailbox.send(Message::Stored(Input::Saved(ticket)));
                    saved += 1;
                }
            }
            if saved == 0 {
                return sessions;
            }
        }
    }

    /// Lets the clock go on so far, and the drive see it.
    async fn advance(&mut self, ms: u64) -> usize {
        self.shell.clock_ms.fetch_add(ms, Ordering::SeqCst);
        self.settle().await;
        self.settle().await
    }
}

/// A session of 4 seconds, the last of which is about to pass while a long queue waits; a
/// heartbeat is the last in that queue, or is not. How many sessions are there afterwards?
async fn sessions_after_a_long_queue(heartbeat: Option<Request>) -> usize {
    let mut stage = stage();
    stage.settle().await;
    let connection = ConnectionId(1);
    let received = stage.shell.now().clock;
    let mut request = decode_connect(&connect_bytes()[4..]).expect("a first frame");
    request.timeout_ms = 4000;
    stage.mailbox.send(Message::Opened {
        connection,
        address: ([10, 0, 0, 7], 4711).into(),
        certified: None,
        request,
        outbound: Arc::new(Outbound::default()),
        received,
    });
    stage.settle().await;
    for _ in 0..3 {
        assert_eq!(stage.advance(1000).await, 1, "it lives");
    }
    // From here to the end of `send` the drive does not run: this thread does not give way.
    stage.shell.clock_ms.fetch_add(1900, Ordering::SeqCst);
    for _ in 0..3 * BATCH_MAX {
        stage.mailbox.send(Message::Query(Box::new(|_| {})));
    }
    if let Some(request) = heartbeat {
        let asked = Asked {
            xid: Xid::PING,
            request,
            bytes: 8,
            received,
        };
        stage.mailbox.send(Message::Asked { connection, asked });
    }
    stage.settle().await;
    stage.settle().await
}

#[test]
fn what_waited_comes_before_a_timer() {
    run(async {
        assert_eq!(sessions_after_a_long_queue(Some(Request::Ping)).await, 1);
        assert_eq!(sessions_after_a_long_queue(None).await, 0);
    });
}

#[test]
fn links_join_and_are_lost_and_replaced() {
    run(async {
        let mut stage = stage();
        stage.settle().await;
        stage.shell.stepped.lock().expect("no panic").clear();
        let two = Handshake {
            server: ServerId(2),
            directory: DirectoryId(2),
        };
        let linked = |outgoing: &Arc<Outgoing>| LinkNews::Linked {
            other: two,
            outgoing: Arc::clone(outgoing),
        };
        let unlinked = |outgoing: &Arc<Outgoing>| LinkNews::Unlinked {
            server: two.server,
            outgoing: Arc::clone(outgoing),
        };
        let room = Arc::new(Semaphore::new(1));
        let heard = LinkNews::Heard {
            from: two,
            message: Box::new(message::Message::Beat {
                epoch: Epoch(0),
                round: 1,
                committed: Zxid::ZERO,
            }),
            unstepped: Arc::clone(&room).try_acquire_owned().expect("room"),
        };
        let (older, newer) = (Arc::default(), Arc::default());
        for news in [linked(&older), linked(&newer), heard, unlinked(&older)] {
            stage.mailbox.send(Message::OfLink(news));
        }
        stage.settle().await;
        soon(older.until_cut()).await;
        assert_eq!(room.available_permits(), 1, "it is stepped");
        stage.mailbox.send(Message::OfLink(unlinked(&newer)));
        stage.settle().await;
        let stepped = stage.shell.stepped.lock().expect("no panic").clone();
        let joined = format!("2 joined with {}", two.directory);
        assert_eq!(
            stepped,
            [
                joined.as_str(),
                "2 said beat",
                "drained",
                "2 lost",
                "drained"
            ]
        );
    });
}

#[test]
fn a_stop_asks_the_node_and_cuts_the_links_at_the_end() {
    run(async {
        let mut stage = stage();
        stage.settle().await;
        let outgoing: Arc<Outgoing> = Arc::default();
        let other = Handshake {
            server: ServerId(2),
            directory: DirectoryId(2),
        };
        stage.mailbox.send(Message::OfLink(LinkNews::Linked {
            other,
            outgoing: Arc::clone(&outgoing),
        }));
        stage.settle().await;
        stage.stop.send(()).expect("it runs");
        soon(stage.ended)
            .await
            .expect("no panic")
            .expect("in order");
        soon(outgoing.until_cut()).await;
        let stepped = stage.shell.stepped.lock().expect("no panic").clone();
        assert!(stepped.contains(&"stop".to_owned()), "{stepped:?}");
    });
}
