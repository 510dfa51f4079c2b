//! Recipes where chance would rarely lead them: answers lost in the middle, sessions that end.

use althing_core::code::Code;
use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::{EventKind, Response};
use althing_core::node::request::{Read, Request};
use althing_core::tree::op::{Done, Op, Telling};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

use crate::recipes::cached::cached::Cached;
use crate::recipes::election::Election;
use crate::recipes::lock::Lock;
use crate::sessions::Sessions;
use crate::tests::fake::{Peer, SESSION, Servers, TIMEOUT, data};

/// A znode of this session.
fn own(czxid: u64) -> Stat {
    Stat {
        czxid: Zxid(czxid),
        ephemeral_owner: SESSION.0,
        ..Stat::default()
    }
}

fn created(path: &str, czxid: u64) -> Result<Response, Code> {
    Ok(Response::Done(Done::Created {
        path: Path::parse(path).unwrap(),
        stat: own(czxid),
        telling: Telling::PathAndStat,
    }))
}

fn names(names: &[&str]) -> Result<Response, Code> {
    Ok(Response::Children {
        names: names.iter().map(|name| (*name).into()).collect(),
        stat: Some(Stat::default()),
    })
}

/// Answers the next request, whose name the test expects.
async fn answer(peer: &mut Peer, name: &str, zxid: u64, result: Result<Response, Code>) -> Request {
    let (xid, request) = peer.asked().await;
    assert_eq!(request.name(), name, "{request:?}");
    peer.answer(xid, zxid, result).await;
    request
}

#[tokio::test(start_paused = true)]
async fn a_cached_znode_is_read_once_and_again_in_another_session() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let sessions = Sessions::starting_with(client.clone(), Servers::config());
    let opening = Cached::znode(&sessions, "/a");
    let (cached, _) = tokio::join!(opening, answer(&mut peer, "getData", 5, data("1", 5)));
    let mut cached = cached.unwrap();
    let idle = tokio::time::timeout(TIMEOUT * 10, peer.heard());
    assert!(idle.await.is_err(), "nobody polls");
    assert_eq!(cached.reads(), 1);
    assert!(cached.is_current());

    peer.tell(6, EventKind::NodeDataChanged, "/a").await;
    answer(&mut peer, "getData", 6, data("2", 6)).await;
    let changed = cached.changed().await.unwrap();
    assert_eq!(changed.as_ref().as_ref().unwrap().data, "2".into());
    assert_eq!(cached.reads(), 2);

    drop(peer);
    servers.accept().await.refuse().await;
    let mut peer = servers.accept().await;
    let request = peer.greet().await;
    assert_eq!(request.session, None, "a new session");
    assert_eq!(request.last_zxid_seen, Zxid(6), "time does not go back");
    answer(&mut peer, "getData", 7, Err(Code::NoNode)).await;
    answer(&mut peer, "exists", 7, Err(Code::NoNode)).await;
    assert_eq!(*cached.changed().await.unwrap(), None);
    assert_eq!(cached.reads(), 4);
    assert!(cached.is_current());
}

#[tokio::test(start_paused = true)]
async fn a_lock_finds_its_place_when_the_answer_to_its_create_was_lost() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let lock = Lock::new(&client, "/l").unwrap();
    let serving = async {
        answer(
            &mut peer,
            "exists",
            1,
            Ok(Response::Exists(Stat::default())),
        )
        .await;
        let (_, request) = peer.asked().await;
        let Request::Write(Op::Create(create)) = request else {
            panic!("{request:?}");
        };
        let name = format!("{}0000000004", create.place.name());
        drop(peer);
        let mut peer = servers.accept().await;
        peer.greet().await;
        let line = ["somebody-0000000003", &*name];
        answer(&mut peer, "getChildren", 9, names(&line)).await;
        answer(&mut peer, "exists", 9, Ok(Response::Exists(own(8)))).await;
        answer(&mut peer, "getChildren", 9, names(&line)).await;
        let before = answer(
            &mut peer,
            "exists",
            9,
            Ok(Response::Exists(Stat::default())),
        )
        .await;
        assert!(
            matches!(before, Request::Read(Read::Exists { path, .. })
                if path.as_str() == "/l/somebody-0000000003"),
            "only the one before is watched"
        );
        peer.tell(10, EventKind::NodeDeleted, "/l/somebody-0000000003")
            .await;
        answer(&mut peer, "getChildren", 10, names(&line[1..])).await;
        (peer, name)
    };
    let (hold, (mut peer, name)) = tokio::join!(lock.acquire(), serving);
    let hold = hold.unwrap();
    assert_eq!(hold.token(), Zxid(8));
    assert_eq!(hold.path().name(), name);
    assert!(hold.is_safe());
    answer(&mut peer, "exists", 10, Ok(Response::Exists(own(8)))).await;
    let losing = tokio::time::timeout(TIMEOUT * 2, hold.lost());
    let (lost, ()) = tokio::join!(losing, peer.be_silent());
    lost.expect("a holder without a proof must stop");
    assert!(!hold.is_safe());
}

#[tokio::test(start_paused = true)]
async fn a_master_is_told_that_its_file_went_and_deletes_no_other() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let election = Election::new(&client, "/s/m").unwrap();
    let serving = async {
        answer(
            &mut peer,
            "exists",
            1,
            Ok(Response::Exists(Stat::default())),
        )
        .await;
        answer(&mut peer, "create", 5, created("/s/m", 5)).await;
        answer(&mut peer, "exists", 5, Ok(Response::Exists(own(5)))).await;
        peer
    };
    let (hold, mut peer) = tokio::join!(election.lead("me"), serving);
    let hold = hold.unwrap();
    assert_eq!(hold.token(), Zxid(5));
    peer.tell(6, EventKind::NodeDeleted, "/s/m").await;
    // Somebody else has won meanwhile; even the same session would not make it one's own.
    answer(&mut peer, "exists", 7, Ok(Response::Exists(own(7)))).await;
    hold.lost().await;
    assert!(!hold.is_safe());
    let releasing = hold.release();
    let serving = async {
        answer(&mut peer, "exists", 7, Ok(Response::Exists(own(7)))).await;
        let idle = tokio::time::timeout(TIMEOUT, peer.heard()).await;
        assert!(idle.is_err(), "nothing is deleted");
    };
    let (released, ()) = tokio::join!(releasing, serving);
    released.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_older_file_of_the_session_is_not_a_victory() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let election = Election::new(&client, "/s/m").unwrap();
    let serving = async {
        answer(
            &mut peer,
            "exists",
            6,
            Ok(Response::Exists(Stat::default())),
        )
        .await;
        peer.asked().await;
        drop(peer);
        let mut peer = servers.accept().await;
        peer.greet().await;
        let stranger = Stat {
            ephemeral_owner: SessionId(77).0,
            ..own(9)
        };
        // The lost try was too late: somebody else has the file.
        answer(&mut peer, "exists", 9, Ok(Response::Exists(stranger))).await;
        peer.tell(10, EventKind::NodeDeleted, "/s/m").await;
        peer.asked().await;
        drop(peer);
        let mut peer = servers.accept().await;
        peer.greet().await;
        // The session's, but older than the try.
        answer(&mut peer, "exists", 10, Ok(Response::Exists(own(4)))).await;
        peer.tell(11, EventKind::NodeDeleted, "/s/m").await;
        peer.asked().await;
        drop(peer);
        let mut peer = servers.accept().await;
        peer.greet().await;
        answer(&mut peer, "exists", 12, Ok(Response::Exists(own(12)))).await;
        peer
    };
    let (hold, _peer) = tokio::join!(election.lead("me"), serving);
    assert_eq!(hold.unwrap().token(), Zxid(12));
}
