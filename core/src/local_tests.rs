//! Sessions of one server alone, in whole service.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::code::Code;
use crate::config::{Config, LEVEL_LOCAL_SESSIONS, LEVEL_QUOTAS, LocalSessions};
use crate::ids::{Epoch, Password, ServerId, SessionId, Xid};
use crate::node::event::Event;
use crate::node::input::Input;
use crate::node::reply::Response;
use crate::node::request::{Listing, Read, Request, Watching};
use crate::prng::{Prng, Seed};
use crate::store::txn::Origin;
use crate::tree::acl::{Acl, AclEntry, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use crate::tree::path::{Path, Place};
use crate::trio::{Client, Connected, Given, SERVERS, Trio, returning, stranger};

fn local(mut config: Config) -> Config {
    config.local_sessions = LocalSessions::On;
    config
}

fn upgraded(mut config: Config) -> Config {
    config.local_sessions = LocalSessions::Upgraded;
    config
}

fn create(path: &str, lifetime: Lifetime) -> Op {
    Op::Create(Create {
        place: Place::exact(path).unwrap(),
        data: None,
        acl: Acl(Arc::from([AclEntry {
            perms: Perms::ALL,
            who: Identity::new("world", "anyone"),
        }])),
        lifetime,
        naming: Naming::Exact,
        telling: Telling::Path,
    })
}

fn lasting(path: &str) -> Request {
    Request::Write(create(path, Lifetime::Persistent))
}

fn ephemeral(path: &str) -> Request {
    Request::Write(create(path, Lifetime::Ephemeral))
}

fn set_data(path: &str, text: &str) -> Request {
    Request::Write(Op::SetData {
        path: Path::parse(path).unwrap(),
        data: Some(Data::from(text)),
        version: ANY_VERSION,
    })
}

fn exists(path: &str) -> Request {
    Request::Read(Read::Exists {
        path: Path::parse(path).unwrap(),
        watching: Watching::Once,
    })
}

/// Whose a znode is.
fn owner(trio: &Trio, path: &str) -> Option<i64> {
    let stats = SERVERS.map(|server| trio.node(server).store().tree().stat(path));
    assert!(stats[0] == stats[1] && stats[1] == stats[2], "{stats:?}");
    stats[0].as_ref().map(|stat| stat.ephemeral_owner)
}

fn session_of(response: Given) -> SessionId {
    let session = response.session.expect("it has one");
    assert!(session.is_local());
    session
}

#[test]
fn a_session_is_opened_without_the_log_and_writes() {
    for leads in [true, false] {
        let mut trio = Trio::new(local);
        let server = match leads {
            true => trio.leader(),
            false => trio.follower(),
        };
        let before = trio.node(server).store().applied();
        let (client, response) = trio.newcomer(server);
        let session = session_of(response);
        assert_eq!(session.opener(), server);
        assert_eq!(
            (response.timeout_ms, response.read_only),
            (10_000, Some(false))
        );
        assert_eq!(trio.ask(client, Request::Ping), Ok(Response::Empty));
        assert_eq!(trio.node(server).store().applied(), before);
        assert!(trio.ask(client, lasting("/a")).is_ok());
        assert!(trio.ask(client, set_data("/a", "x")).is_ok());
        assert!(trio.ask(client, exists("/a")).is_ok());
        assert_eq!(owner(&trio, "/a"), Some(0));
        assert!(!trio.is_of_all(session));
        assert_eq!(trio.node(server).status().local_sessions, 1);
        let written = trio.node(server).store().applied();
        let closed = trio.ask(client, Request::CloseSession);
        assert_eq!(closed, Ok(Response::Empty));
        assert!(trio.is_closed(client));
        assert_eq!(trio.node(server).store().applied(), written);
        assert_eq!(trio.node(server).status().local_sessions, 0);
    }
}

#[test]
fn it_owns_nothing_unless_it_may_become_one_of_all() {
    let mut trio = Trio::new(local);
    let (client, response) = trio.newcomer(trio.follower());
    let code = Code::EphemeralOnLocalSession;
    let refused = Err(code);
    assert_eq!(trio.ask(client, ephemeral("/mine")), refused);
    let ops = [Lifetime::Persistent, Lifetime::Ephemeral].map(|lifetime| create("/m", lifetime));
    let none_done = Response::NoneDone {
        count: 2,
        index: 1,
        code,
    };
    assert_eq!(trio.ask(client, Request::Multi(ops.into())), Ok(none_done));
    assert_eq!((owner(&trio, "/mine"), owner(&trio, "/m")), (None, None));
    let all = Request::Read(Read::GetEphemerals { prefix: "/".into() });
    let none = Response::Ephemerals(Vec::new());
    assert_eq!(trio.ask(client, all), Ok(none));
    assert!(trio.ask(client, lasting("/m")).is_ok(), "it goes on");
    assert!(!trio.is_of_all(session_of(response)));
}

#[test]
fn the_ensemble_takes_it_over_under_its_id() {
    for leads in [true, false] {
        let mut trio = Trio::new(upgraded);
        let server = match leads {
            true => trio.leader(),
            false => trio.follower(),
        };
        let (client, response) = trio.newcomer(server);
        let session = session_of(response);
        trio.ask(client, exists("/watched")).unwrap_err();
        // All of it at once, and in this order.
        let requests = [
            lasting("/before"),
            exists("/mine"),
            ephemeral("/mine"),
            exists("/mine"),
            set_data("/before", "after"),
            Request::Multi(vec![
                create("/both", Lifetime::Persistent),
                create("/other", Lifetime::Ephemeral),
            ]),
            Request::Ping,
        ];
        let asked: Vec<Xid> = requests.map(|request| trio.send(client, request)).into();
        trio.pass(200);
        let answers: Vec<Result<Response, Code>> = asked
            .iter()
            .map(|xid| trio.answer(client, *xid).expect("an answer"))
            .collect();
        assert_eq!(answers[1], Err(Code::NoNode), "the read came before");
        for (index, answer) in answers.iter().enumerate().filter(|(index, _)| *index != 1) {
            assert!(answer.is_ok(), "{index}: {answer:?}");
        }
        assert!(trio.is_of_all(session));
        assert_eq!(owner(&trio, "/mine"), Some(session.0));
        assert_eq!(owner(&trio, "/other"), Some(session.0));
        assert_eq!(trio.node(server).status().local_sessions, 0);
        let known = &trio.node(server).store().sessions()[&session];
        assert_eq!(known.password, response.password);
        assert_eq!(known.timeout_ms, 10_000);
        let upgrades = trio.events.iter();
        let upgrades = upgrades.filter(|(_, event)| event.name() == "session-upgraded");
        assert_eq!(upgrades.count(), 3, "once on each server");
        assert_eq!(trio.node(server).status().watches, 2, "its watches stay");
        assert_eq!(trio.ask(client, Request::CloseSession), Ok(Response::Empty));
        assert!(!trio.is_of_all(session));
        assert_eq!(owner(&trio, "/mine"), None);
        assert_eq!(owner(&trio, "/both"), Some(0));
    }
}

#[test]
fn what_follows_the_take_over_is_answered_in_order() {
    let mut trio = Trio::new(upgraded);
    let (client, response) = trio.newcomer(trio.follower());
    let asked = [ephemeral("/mine"), Request::CloseSession].map(|asked| trio.send(client, asked));
    trio.pass(200);
    for xid in asked {
        assert!(trio.answer(client, xid).expect("an answer").is_ok());
    }
    assert!(trio.is_closed(client));
    assert!(!trio.is_of_all(session_of(response)));
    assert_eq!(owner(&trio, "/mine"), None);
}

#[test]
fn it_does_not_move_unless_it_is_one_of_all() {
    let mut trio = Trio::new(upgraded);
    let (here, there) = (trio.follower(), trio.leader());
    let (client, response) = trio.newcomer(here);
    let (_, elsewhere) = trio.connect(there, returning(response));
    assert_eq!(elsewhere, Connected::Expired);
    let wrong = Given {
        password: Password([9; 16]),
        ..response
    };
    assert_eq!(trio.connect(here, returning(wrong)).1, Connected::Expired);
    let (again, back) = trio.connect(here, returning(response));
    assert_eq!(back, Connected::As(response));
    assert!(trio.is_closed(client), "one connection speaks for it");
    assert!(trio.ask(again, ephemeral("/mine")).is_ok());
    trio.hang_up(again);
    assert_eq!(trio.connect(there, returning(wrong)).1, Connected::Expired);
    let (moved, elsewhere) = trio.connect(there, returning(response));
    assert_eq!(elsewhere, Connected::As(response));
    assert!(trio.ask(moved, set_data("/mine", "x")).is_ok());
    trio.hang_up(moved);
    trio.start(here);
    trio.pass(1000);
    let (_, back) = trio.connect(here, returning(response));
    assert_eq!(back, Connected::As(response));
}

/// A client can be told that its session was taken over by nobody: the connection breaks first.
#[test]
fn who_was_not_told_of_the_take_over_finds_its_session_on_every_server() {
    let mut trio = Trio::new(upgraded);
    let (here, there) = (trio.follower(), trio.leader());
    let (client, response) = trio.newcomer(here);
    let session = session_of(response);
    trio.send(client, ephemeral("/mine"));
    trio.hang_up(client);
    trio.pass(200);
    assert!(trio.is_of_all(session));
    assert_eq!(owner(&trio, "/mine"), None, "nobody has asked for it");
    assert_eq!(trio.node(here).status().local_sessions, 0);
    let (_, back) = trio.connect(there, returning(response));
    assert_eq!(back, Connected::As(response));
    trio.pass(20_000);
    assert!(!trio.is_of_all(session), "it was silent");
}

#[test]
fn it_ends_with_its_time_or_its_server() {
    let mut trio = Trio::new(local);
    let server = trio.follower();
    let (silent, response) = trio.newcomer(server);
    let (lively, other) = trio.newcomer(server);
    for _ in 0..4 {
        trio.pass(2_900);
        assert_eq!(trio.ask(lively, Request::Ping), Ok(Response::Empty));
    }
    assert!(trio.is_closed(silent));
    let expired = |(_, event): &(ServerId, Event)| event.name() == "local-expired";
    assert_eq!(trio.events.iter().filter(|event| expired(event)).count(), 1);
    let (_, back) = trio.connect(server, returning(response));
    assert_eq!(back, Connected::Expired);
    trio.start(server);
    trio.pass(1000);
    let (_, back) = trio.connect(server, returning(other));
    assert_eq!(back, Connected::Expired);
}

#[test]
fn it_outlives_the_loss_of_the_leader() {
    let mut trio = Trio::new(local);
    let server = trio.follower();
    let (idle, response) = trio.newcomer(server);
    let (writer, written) = trio.newcomer(server);
    let old = trio.leader();
    // The write is under way when its leader is cut off.
    let asked = trio.send(writer, lasting("/a"));
    trio.separate(old);
    trio.pass(2000);
    assert_ne!(trio.leader(), old);
    assert!(trio.answer(writer, asked).expect("an answer").is_ok());
    assert!(!trio.is_closed(idle));
    assert!(trio.ask(idle, lasting("/b")).is_ok());
    trio.hang_up(writer);
    let (again, back) = trio.connect(server, returning(written));
    assert_eq!(back, Connected::As(written));
    assert!(trio.ask(again, lasting("/c")).is_ok());
    // Without any leader it is sent away like everybody else, and comes back.
    trio.separate(server);
    trio.pass(5000);
    assert!(trio.is_closed(idle));
    trio.join(server);
    trio.pass(2000);
    let (idle, back) = trio.connect(server, returning(response));
    assert_eq!(back, Connected::As(response));
    assert!(trio.ask(idle, set_data("/b", "x")).is_ok());
}

#[test]
fn what_is_asked_without_a_leader_waits_for_one() {
    let mut trio = Trio::new(upgraded);
    let (server, old) = (trio.follower(), trio.leader());
    let (client, _) = trio.newcomer(server);
    trio.separate(old);
    trio.pass(600);
    let follows = |trio: &Trio| trio.node(server).replica().leader().is_some();
    let requests = [lasting("/a"), ephemeral("/a/b"), set_data("/a", "x")];
    let asked = requests.map(|request| trio.send(client, request));
    let had_none = !follows(&trio);
    trio.pass(2000);
    let answers = asked.map(|xid| trio.answer(client, xid));
    assert!(
        !had_none || answers.iter().all(Option::is_some),
        "{answers:?}"
    );
    for answer in answers.into_iter().flatten() {
        assert!(answer.is_ok(), "{answer:?}");
    }
}

/// Under the same leader nothing is in doubt: what was lost on its way is said again, and what was
/// not is not done twice.
#[test]
fn a_broken_link_to_the_leader_loses_nothing() {
    let mut trio = Trio::new(local);
    let server = trio.follower();
    let (client, _) = trio.newcomer(server);
    let (other, _) = trio.newcomer(server);
    let lost = trio.send(client, lasting("/a"));
    trio.lose();
    let mut asked = vec![(client, lost)];
    asked.push((other, trio.send(other, lasting("/b"))));
    asked.push((client, trio.send(client, lasting("/a/a"))));
    trio.pass(2);
    // Who asked first waits no more, and the other's write still has its place behind it.
    trio.hang_up(client);
    trio.pass(2000);
    assert!(trio.answer(other, asked[1].1).expect("an answer").is_ok());
    assert_eq!(owner(&trio, "/a/a"), Some(0));
    let reforwarded = |(_, event): &(ServerId, Event)| matches!(event, Event::Reforwarded { .. });
    assert!(trio.events.iter().any(reforwarded));
}

/// The leader takes it for the beginning of a newer lane, and nothing more of this one.
#[test]
fn what_comes_late_of_an_earlier_life_holds_nobody_up() {
    let mut trio = Trio::new(local);
    let server = trio.follower();
    let (client, _) = trio.newcomer(server);
    trio.send(client, lasting("/late"));
    let late = trio.keep_back();
    trio.start(server);
    trio.pass(200);
    let (client, _) = trio.newcomer(server);
    assert!(trio.ask(client, lasting("/a")).is_ok());
    trio.come_late(late);
    trio.deliver();
    let asked = ["/b", "/b/b"].map(|path| trio.send(client, lasting(path)));
    trio.pass(200);
    assert_eq!(
        owner(&trio, "/late"),
        Some(0),
        "it comes as if it was newer"
    );
    let answers = asked.map(|xid| trio.answer(client, xid).map(|answer| answer.is_ok()));
    assert_eq!(answers, [Some(true); 2]);
    assert!(trio.ask(client, lasting("/c")).is_ok());
}

/// Nothing tells the server that what it handed on is done: the snapshot has it.
#[test]
fn what_a_snapshot_may_have_is_not_said_again() {
    let mut trio = Trio::new(local);
    let (server, leader) = (trio.follower(), trio.leader());
    let (client, response) = trio.newcomer(server);
    trio.send(client, lasting("/a"));
    // It comes to the leader, and no word comes back.
    trio.deafen(server);
    trio.pass(200);
    trio.separate(server);
    let store = trio.node(leader).store().clone();
    assert!(store.applied() > trio.node(server).store().applied());
    let store = Box::new(store);
    trio.step(server, Input::Installed { store });
    assert!(trio.is_closed(client));
    trio.join(server);
    trio.pass(1000);
    trio.events.clear();
    trio.pass(2000);
    let reforwarded = |(_, event): &(ServerId, Event)| matches!(event, Event::Reforwarded { .. });
    assert!(!trio.events.iter().any(reforwarded));
    let (client, back) = trio.connect(server, returning(response));
    assert_eq!(back, Connected::As(response));
    assert!(trio.ask(client, lasting("/b")).is_ok());
}

#[test]
fn a_leader_that_has_none_allows_none() {
    let only_one = |config: Config| match config.server {
        ServerId(1) => upgraded(config),
        _ => config,
    };
    let mut trio = Trio::new(only_one);
    let one = SERVERS[0];
    for _ in 0..20 {
        let leader = trio.leader();
        let level = trio.node(one).store().settings().feature_level;
        let (client, response) = trio.newcomer(one);
        let is_local = response.session.is_some_and(SessionId::is_local);
        assert_eq!(is_local, leader == one, "led by {leader}");
        match is_local {
            true => assert_eq!(level, LEVEL_LOCAL_SESSIONS),
            false => assert_eq!(level, LEVEL_QUOTAS),
        }
        assert!(trio.ask(client, ephemeral("/mine")).is_ok());
        trio.ask(client, Request::CloseSession).unwrap();
        // Leadership goes round, and who has a session of its server alone loses it.
        let (idle, response) = trio.newcomer(one);
        trio.start(leader);
        trio.pass(3000);
        if is_local && trio.leader() != one {
            assert!(trio.is_closed(idle));
            let (_, back) = trio.connect(one, returning(response));
            assert_eq!(back, Connected::Expired);
        }
    }
}

#[test]
fn a_place_in_a_lane_is_no_attachment() {
    let session = SessionId::local(ServerId(200), 77);
    let origin = Origin::local(session, Epoch::MAX, u32::MAX, 1);
    assert!(origin.is_local());
    assert_eq!(origin.lane_epoch(), Epoch::MAX);
    assert_eq!(session.opener(), ServerId(200));
    let of_all = Origin {
        attachment: crate::ids::Zxid::new(Epoch::MAX, u32::MAX),
        ..origin
    };
    assert!(!of_all.is_local());
}

/// Who writes until its connection breaks, and then comes back.
struct Writer {
    number: usize,
    client: Option<Client>,
    response: Option<Given>,
    writes: usize,
    waits_for: Option<(Xid, alloc::string::String)>,
}

impl Writer {
    fn act(
        &mut self,
        trio: &mut Trio,
        server: ServerId,
        done: &mut BTreeSet<alloc::string::String>,
    ) {
        let Some(client) = self.client.filter(|client| !trio.is_closed(*client)) else {
            let request = self.response.take().map_or(stranger(), returning);
            self.waits_for = None;
            self.client = Some(trio.open(server, request));
            return;
        };
        match trio.told(client).first() {
            Some(crate::node::reply::Reply::Connected(response)) => {
                self.response = Some(Given::from(response));
            }
            _ => return,
        }
        if let Some((xid, path)) = &self.waits_for {
            match trio.answer(client, *xid) {
                None => return,
                // A name is used once: it can be there only if this write was done twice.
                Some(result) => assert!(result.is_ok(), "{path}: {result:?}"),
            }
            done.insert(path.clone());
        }
        self.writes += 1;
        let path = format!("/{}-{}", self.number, self.writes);
        let lifetime = match self.writes.is_multiple_of(7) {
            true => Lifetime::Ephemeral,
            false => Lifetime::Persistent,
        };
        let xid = trio.send(client, Request::Write(create(&path, lifetime)));
        self.waits_for = Some((xid, path));
    }
}

/// `SEEDS` is how many stories are told.
#[test]
fn whatever_happens_nothing_is_done_twice_or_lost() {
    let seeds: u8 = std::env::var("SEEDS").map_or(12, |seeds| seeds.parse().unwrap());
    let mut names = BTreeSet::new();
    for seed in 0..seeds {
        let mut random = Prng::new(Seed([seed; 32]));
        let mut trio = Trio::new(upgraded);
        let mut done = BTreeSet::new();
        let mut late = VecDeque::new();
        let mut writers: Vec<Writer> = (0..4)
            .map(|number| Writer {
                number,
                client: None,
                response: None,
                writes: 0,
                waits_for: None,
            })
            .collect();
        for _ in 0..3000 {
            let server = SERVERS[random.below(3) as usize];
            let writer = random.below(4) as usize;
            match random.below(400) {
                0 => trio.start(server),
                1 => trio.separate(server),
                2 => SERVERS.into_iter().for_each(|server| trio.join(server)),
                3..=8 => trio.lose(),
                9..=10 => {
                    if let Some(client) = writers[writer].client {
                        trio.hang_up(client);
                    }
                }
                11..=12 => late.extend(trio.keep_back()),
                13..=14 => trio.come_late(core::mem::take(&mut late)),
                15..=199 => trio.pass(random.below(20).into()),
                _ => writers[writer].act(&mut trio, server, &mut done),
            }
        }
        SERVERS.into_iter().for_each(|server| trio.join(server));
        trio.pass(4000);
        let (client, _) = trio.newcomer(trio.follower());
        let listing = Request::Read(Read::GetChildren {
            path: Path::root(),
            watching: Watching::No,
            listing: Listing::Names,
        });
        let Ok(Response::Children { names: there, .. }) = trio.ask(client, listing) else {
            panic!("it is served");
        };
        let there: BTreeSet<_> = there.iter().map(|name| format!("/{name}")).collect();
        let is_lasting = |path: &&alloc::string::String| {
            let number = path
                .rsplit('-')
                .next()
                .and_then(|number| number.parse().ok());
            number.is_some_and(|number: usize| !number.is_multiple_of(7))
        };
        let lost: Vec<_> = done
            .iter()
            .filter(is_lasting)
            .filter(|path| !there.contains(*path))
            .collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        assert!(done.len() > 100, "seed {seed}: {}", done.len());
        names.extend(trio.events.iter().map(|(_, event)| event.name()));
    }
    for name in ["session-upgraded", "local-served", "reforwarded", "deposed"] {
        assert!(names.contains(name), "{name} never happened");
    }
}
