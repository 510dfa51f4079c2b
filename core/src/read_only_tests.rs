//! A server that finds no leader, and whom it serves.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::code::Code;
use crate::config::{Config, Settings, read_only_after};
use crate::ids::{ConnectionId, Epoch, Password, ServerId, SessionId, Token, Xid, Zxid};
use crate::membership::Membership;
use crate::node::effect::{Effect, Outbox};
use crate::node::input::{Input, Timer};
use crate::node::node::{Node, Recovered};
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::node::request::{ConnectRequest, Read, Request, Watching};
use crate::node::status::Role;
use crate::prng::Seed;
use crate::store::store::Store;
use crate::store::txn::{Action, Entry, Txn};
use crate::time::{Duration, Instant, Now, WallTime};
use crate::tree::data::Data;
use crate::tree::op::{ANY_VERSION, Op};
use crate::tree::path::Path;

/// Of the session that the servers know.
const SECRET: Password = Password([7; 16]);
const TIMEOUT_MS: u32 = 5000;

fn zxid(counter: u32) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

/// What one of three servers finds on its disk: an epoch that one opened, and a session in it.
fn store() -> Store {
    let voters: BTreeSet<ServerId> = (1..=3).map(ServerId).collect();
    let actions = [
        Action::OpenEpoch {
            leader: ServerId(2),
            settings: Settings::default(),
            membership: Membership {
                voters: voters.into(),
                ..Membership::default()
            },
        },
        Action::OpenSession {
            password: SECRET,
            timeout_ms: TIMEOUT_MS,
            token: Token {
                incarnation: 1,
                connection: ConnectionId(1),
            },
        },
    ];
    let mut store = Store::new();
    for (counter, action) in (0..).zip(actions) {
        let entry = Entry {
            zxid: zxid(counter),
            txn: Arc::new(Txn::of_servers(WallTime(0), action)),
        };
        store.execute(&entry, &mut Vec::new());
    }
    store
}

fn session() -> SessionId {
    SessionId::opened_at(zxid(1))
}

struct Scene {
    node: Node,
    now: Instant,
    connections: u64,
}

impl Scene {
    fn new(store: Store) -> Scene {
        let mut config = Config::standalone(ServerId(1));
        config.voters = (1..=3).map(ServerId).collect();
        config.read_only_after = Some(read_only_after(config.tick));
        let recovered = Recovered {
            store,
            ..Recovered::default()
        };
        let mut scene = Scene {
            node: Node::new(config, recovered, Seed([3; 32])),
            now: Instant::ORIGIN,
            connections: 0,
        };
        scene.step(Input::Drained);
        scene
    }

    /// One that serves readers already.
    fn alone() -> Scene {
        let mut scene = Scene::new(store());
        scene.wait(Duration::from_secs(2));
        assert_eq!(scene.node.status().role, Role::ReadOnly);
        scene
    }

    /// Steps, and returns what clients are told, and which of them are sent away.
    fn step(&mut self, input: Input) -> (Vec<Reply>, Vec<ConnectionId>) {
        let now = Now {
            clock: self.now,
            wall: WallTime(0),
        };
        let mut out = Outbox::new();
        self.node.step(now, input, &mut out);
        self.node.check();
        let (mut replies, mut closed) = (Vec::new(), Vec::new());
        for effect in out.effects {
            match effect {
                Effect::Reply { reply, .. } => replies.push(reply),
                Effect::Close { connection } => closed.push(connection),
                _ => {}
            }
        }
        (replies, closed)
    }

    /// Lets time pass, and every timer ring but those of the election: nobody else is there.
    fn wait(&mut self, time: Duration) -> Vec<ConnectionId> {
        let end = self.now.after(time);
        let mut closed = Vec::new();
        loop {
            let armed = self.node.armed();
            let others = armed.filter(|(at, timer)| *timer != Timer::Election && *at <= end);
            let Some((at, timer)) = others.min() else {
                break;
            };
            self.now = self.now.max(at);
            closed.extend(self.step(Input::Timeout(timer)).1);
        }
        self.now = end;
        closed
    }

    fn open(&mut self, request: ConnectRequest) -> (ConnectionId, Vec<Reply>, Vec<ConnectionId>) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (replies, closed) = self.step(Input::Opened {
            connection,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            certified: None,
            request,
        });
        (connection, replies, closed)
    }

    /// A reader that is served.
    fn reader(&mut self, request: ConnectRequest) -> (ConnectionId, ConnectResponse) {
        let (connection, mut replies, closed) = self.open(request);
        assert!(!closed.contains(&connection), "it is served");
        match replies.pop() {
            Some(Reply::Connected(response)) => (connection, response),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, connection: ConnectionId, request: Request) -> Result<Response, Code> {
        let asked = Input::Asked {
            connection,
            xid: Xid(1),
            request,
        };
        match self.step(asked).0.pop() {
            Some(Reply::Answer { result, zxid, .. }) => {
                assert_eq!(zxid, self.node.store().applied());
                result
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Of a client without a session that would read.
fn request() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session: None,
        password: Password::NONE,
        read_only: Some(true),
    }
}

/// Of the client whose session the servers know.
fn known_request() -> ConnectRequest {
    ConnectRequest {
        session: Some(session()),
        password: SECRET,
        ..request()
    }
}

fn set_data() -> Request {
    Request::Write(Op::SetData {
        path: Path::root(),
        data: Some(Data::from("x")),
        version: ANY_VERSION,
    })
}

fn exists() -> Request {
    Request::Read(Read::Exists {
        path: Path::root(),
        watching: Watching::Once,
    })
}

#[test]
fn nobody_is_served_before_the_time_has_come() {
    let mut scene = Scene::new(store());
    let reader = scene.open(request()).0;
    let other = scene.open(ConnectRequest {
        read_only: Some(false),
        ..request()
    });
    assert!(other.1.is_empty(), "both wait for a leader");
    assert_eq!(scene.wait(Duration::from_millis(1999)), []);
    assert_eq!(scene.node.status().role, Role::Looking);
    let closed = scene.wait(Duration::from_millis(1));
    assert_eq!(scene.node.status().role, Role::ReadOnly);
    assert_eq!(closed, [other.0], "who did not ask for it is sent away");
    assert!(scene.ask(reader, exists()).is_ok());
    let (late, _, closed) = scene.open(ConnectRequest {
        read_only: None,
        ..request()
    });
    assert_eq!(closed, [late]);
}

#[test]
fn a_server_that_has_nothing_shows_nothing() {
    let mut scene = Scene::new(Store::new());
    scene.open(request());
    scene.wait(Duration::from_secs(3));
    assert_eq!(scene.node.status().role, Role::Looking);
}

#[test]
fn a_reader_reads_and_changes_nothing() {
    let mut scene = Scene::alone();
    let (reader, response) = scene.reader(request());
    assert_eq!(response.read_only, Some(true));
    let local = response.session.expect("one of this server alone");
    assert!(local.is_local());
    assert_eq!(response.timeout_ms, 10_000);
    assert!(scene.ask(reader, exists()).is_ok());
    assert_eq!(scene.node.status().watches, 1);
    assert_eq!(scene.ask(reader, Request::Ping), Ok(Response::Empty));
    let path = Path::root();
    for refused in [
        set_data(),
        Request::Multi(Vec::new()),
        Request::Sync { path },
    ] {
        assert_eq!(scene.ask(reader, refused), Err(Code::NotReadOnly));
    }
    let linearizable = Request::Auth {
        scheme: "althing".into(),
        credential: Data::from("reads=linearizable"),
    };
    assert_eq!(scene.ask(reader, linearizable), Ok(Response::Empty));
    assert_eq!(scene.ask(reader, exists()), Err(Code::NotReadOnly));
    let closed = scene.ask(reader, Request::CloseSession);
    assert_eq!(closed, Ok(Response::Empty));
    assert_eq!(scene.node.status().local_sessions, 0);
    assert_eq!(scene.node.status().watches, 0);
}

#[test]
fn who_has_no_right_to_a_session_does_not_get_it() {
    let mut scene = Scene::alone();
    let refused = |scene: &mut Scene, request| {
        let (connection, mut replies, closed) = scene.open(request);
        assert_eq!(closed, [connection]);
        match replies.pop() {
            Some(Reply::Connected(response)) => Some(response.timeout_ms),
            _ => None,
        }
    };
    let told = refused(&mut scene, known_request());
    assert_eq!(told, None, "the ensemble may keep it, or end it");
    let ended = ConnectRequest {
        session: Some(SessionId::opened_at(zxid(0))),
        ..known_request()
    };
    assert_eq!(refused(&mut scene, ended), Some(0), "it is over");
    let younger = ConnectRequest {
        session: Some(SessionId::opened_at(zxid(2))),
        ..known_request()
    };
    let told = refused(&mut scene, younger);
    assert_eq!(told, None, "others may know of it");
    let ahead = ConnectRequest {
        last_zxid_seen: zxid(2),
        ..request()
    };
    assert_eq!(refused(&mut scene, ahead), None, "it would go back");
    let local = ConnectRequest {
        session: Some(SessionId::local(ServerId(2), 5)),
        ..known_request()
    };
    assert_eq!(refused(&mut scene, local), Some(0), "of another server");
}

#[test]
fn a_reader_that_is_silent_is_forgotten() {
    let mut scene = Scene::alone();
    let (lost, response) = scene.reader(request());
    let (spoken, _) = scene.reader(request());
    scene.step(Input::Closed { connection: lost });
    let back = ConnectRequest {
        session: response.session,
        password: response.password,
        ..request()
    };
    let stranger = ConnectRequest {
        password: Password([8; 16]),
        ..back.clone()
    };
    let (refused, _, closed) = scene.open(stranger);
    assert_eq!(closed, [refused], "it does not know the secret");
    let (again, taken_up) = scene.reader(back.clone());
    assert_eq!(taken_up.session, response.session, "its time is not over");
    for _ in 0..4 {
        assert_eq!(scene.wait(Duration::from_secs(2)), []);
        assert_eq!(scene.ask(spoken, Request::Ping), Ok(Response::Empty));
    }
    assert_eq!(scene.wait(Duration::from_secs(3)), [again]);
    let (_, replies, _) = scene.open(back);
    let gone = matches!(&replies[..], [Reply::Connected(response)] if response.timeout_ms == 0);
    assert!(gone, "{replies:?}");
    assert_eq!(scene.node.status().local_sessions, 1);
}

#[test]
fn numbers_of_local_sessions_are_no_positions() {
    let ids = [(1, 0), (1, u64::MAX), (255, 0), (255, 7)];
    for (server, number) in ids {
        let session = SessionId::local(ServerId(server), number);
        assert!(session.is_local());
        assert!(Zxid::from_wire(session.0) > Zxid::new(Epoch::MAX, u32::MAX));
    }
    let all: BTreeSet<SessionId> = ids
        .iter()
        .map(|(server, number)| SessionId::local(ServerId(*server), *number))
        .collect();
    assert_eq!(all.len(), ids.len());
}
