//! Sessions: pipelining, watches, lost connections, expiry, closing.

use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{Password, ServerId, SessionId, Xid, Zxid};
use althing_core::node::reply::{EventKind, Response};
use althing_core::node::request::{Request, SetWatches};
use althing_core::tree::data::Data;
use althing_core::tree::op::{Done, Op};
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::config::{BACKOFF_MIN, ClientConfig, FRAME_BYTES_MAX, THROTTLED_MAX};
use crate::error::{ClientError, MultiError};
use crate::state::SessionState;
use crate::tests::fake::{PASSWORD, SESSION, Servers, TIMEOUT, data, stat};
use crate::transaction::Transaction;
use crate::znode::Version;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_opened_with_what_was_configured() {
    let mut servers = Servers::new();
    let connecting = Client::connect(servers.runtime.clone(), Servers::config());
    let serving = async {
        let mut peer = servers.accept().await;
        assert_eq!(peer.address, "one:2181");
        (peer.greet().await, peer)
    };
    let (client, (request, _peer)) = tokio::join!(connecting, serving);
    let client = client.unwrap();
    assert_eq!(request.session, None);
    assert_eq!(request.password, Password::NONE);
    assert_eq!(request.timeout_ms, 12_000);
    assert_eq!(request.last_zxid_seen, Zxid::ZERO);
    assert_eq!(client.session(), SESSION);
    assert_eq!(client.session_timeout(), TIMEOUT);
    assert_eq!(client.state(), SessionState::Connected);
    assert!(client.is_safe());
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_worked_with_is_refused() {
    let servers = Servers::new();
    let nobody = ClientConfig::new(Vec::<String>::new());
    let refused = Client::connect(servers.runtime.clone(), nobody).await;
    assert!(matches!(refused, Err(ClientError::BadConfig(_))));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_session_for_ever() {
    let servers = Servers::new();
    let began = servers.runtime.clone();
    let config = Servers::config().connect_patience(Duration::from_secs(100));
    let refused = Client::connect(began, config).await;
    assert_eq!(refused.err(), Some(ClientError::NoServer));
}

#[tokio::test(start_paused = true)]
async fn requests_are_pipelined_and_answered_in_order() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let asking = async {
        tokio::join!(
            client.get_data("/a"),
            client.set_data("/b", "new", Version::Exactly(3)),
            client.exists("/c"),
        )
    };
    let serving = async {
        let mut xids = Vec::new();
        for _ in 0..3 {
            xids.push(peer.asked().await.0);
        }
        assert_eq!(xids, [Xid(1), Xid(2), Xid(3)]);
        assert_eq!(client.last_zxid(), Zxid::ZERO);
        peer.answer(xids[0], 5, data("old", 4)).await;
        peer.answer(xids[1], 6, Err(Code::BadVersion)).await;
        peer.answer(xids[2], 6, Err(Code::NoNode)).await;
    };
    let ((a, b, c), ()) = tokio::join!(asking, serving);
    assert_eq!(a.unwrap().data, Data::from("old"));
    assert_eq!(b, Err(ClientError::Server(Code::BadVersion)));
    assert_eq!(c, Ok(None));
    assert_eq!(client.last_zxid(), Zxid(6));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_not_sent() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    assert!(matches!(
        client.exists("/a/").await,
        Err(ClientError::BadPath { .. })
    ));
    let broken = Transaction::new()
        .check("/a", Version::Any)
        .delete("b", Version::Any);
    assert!(matches!(
        client.multi(broken).await,
        Err(MultiError::Client(ClientError::BadPath { .. }))
    ));
    let large = vec![0; FRAME_BYTES_MAX];
    assert!(matches!(
        client.set_data("/a", large, Version::Any).await,
        Err(ClientError::TooLarge { .. })
    ));
    let asking = client.delete("/a", Version::Any);
    let serving = async {
        let (xid, request) = peer.asked().await;
        assert_eq!(request.name(), "delete");
        peer.answer(xid, 1, Ok(Response::Done(Done::Deleted))).await;
    };
    let (deleted, ()) = tokio::join!(asking, serving);
    deleted.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transaction_tells_which_operation_was_refused() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let transaction = Transaction::new()
        .check("/a", Version::Exactly(1))
        .set_data("/b", "x", Version::Any);
    let serving = async {
        let (xid, request) = peer.asked().await;
        assert!(matches!(&request, Request::Multi(ops)
            if matches!(ops[..], [Op::Check { .. }, Op::SetData { .. }])));
        let refused = Response::NoneDone {
            count: 2,
            index: 1,
            code: Code::NoNode,
        };
        peer.answer(xid, 3, Ok(refused)).await;
    };
    let (outcome, ()) = tokio::join!(client.multi(transaction), serving);
    assert_eq!(
        outcome,
        Err(MultiError::Refused {
            index: 1,
            code: Code::NoNode
        })
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_comes_before_the_answer_that_shows_it() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let watching = client.watch_data("/a");
    let serving = async {
        let (xid, _) = peer.asked().await;
        peer.answer(xid, 5, data("old", 4)).await;
        peer
    };
    let (watched, mut peer) = tokio::join!(watching, serving);
    let (_, mut watcher) = watched.unwrap();
    let asking = client.get_data("/a");
    let serving = async {
        let (xid, _) = peer.asked().await;
        peer.tell(6, EventKind::NodeDataChanged, "/a").await;
        peer.answer(xid, 6, data("new", 6)).await;
    };
    let (first, ()) = tokio::join!(
        async {
            tokio::select! {
                biased;
                event = watcher.next() => event.unwrap().unwrap().kind,
                _ = asking => panic!("the answer came first"),
            }
        },
        serving
    );
    assert_eq!(first, EventKind::NodeDataChanged);
    assert!(watcher.next().await.is_none(), "a watch fires once");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_leaves_sent_requests_in_doubt_and_sends_the_others_later() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let mut states = client.states();
    assert_eq!(states.next().await, Some(SessionState::Connected));
    let in_doubt = client.set_data("/a", "1", Version::Any);
    let breaking = async {
        peer.asked().await;
        drop(peer);
    };
    let (in_doubt, ()) = tokio::join!(in_doubt, breaking);
    assert_eq!(in_doubt, Err(ClientError::ConnectionLoss));
    assert!(matches!(
        states.next().await,
        Some(SessionState::Disconnected { .. })
    ));
    let waiting = client.set_data("/a", "2", Version::Any);
    let serving = async {
        let mut peer = servers.accept().await;
        assert_eq!(peer.address, "two:2181", "the next server is tried");
        let request = peer.greet().await;
        assert_eq!(request.session, Some(SESSION));
        assert_eq!(request.password, PASSWORD);
        let (xid, request) = peer.asked().await;
        assert_eq!(xid, Xid(2), "numbers are not used again");
        assert!(
            matches!(request, Request::Write(Op::SetData { data: Some(data), .. })
            if data == Data::from("2"))
        );
        peer.answer(xid, 9, Ok(Response::Done(Done::DataSet(stat(9)))))
            .await;
        peer
    };
    let (waited, _peer) = tokio::join!(waiting, serving);
    assert_eq!(waited.unwrap().mzxid, Zxid(9));
    assert_eq!(states.next().await, Some(SessionState::Connected));
}

#[tokio::test(start_paused = true)]
async fn how_it_reads_after_a_reconnect_is_what_it_asked_for_last() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let modes = ["reads=linearizable", "reads=local", "reads=linearizable"];
    let asking = async {
        for mode in modes {
            client.add_auth("althing", mode).await.unwrap();
        }
    };
    let serving = async {
        for _ in modes {
            let (xid, _) = peer.asked().await;
            peer.answer(xid, 0, Ok(Response::Empty)).await;
        }
        peer
    };
    let ((), peer) = tokio::join!(asking, serving);
    drop(peer);

    let mut peer = servers.accept().await;
    peer.greet().await;
    let mut last = None;
    for _ in 0..2 {
        last = Some(peer.asked().await.1);
    }
    let expected = Request::Auth {
        scheme: "althing".to_owned(),
        credential: "reads=linearizable".into(),
    };
    assert_eq!(last, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_there() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let serving = async {
        let (xid, request) = peer.asked().await;
        assert_eq!(request.name(), "exists");
        peer.answer(xid, 5, Err(Code::NoAuth)).await;
    };
    let (ensured, ()) = tokio::join!(client.ensure("/a/b"), serving);
    assert_eq!(ensured, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn identities_and_watches_are_set_again() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let asking = async {
        client.add_auth("digest", "a:b").await.unwrap();
        let (_, data) = client.watch_data("/a").await.unwrap();
        let (gone, exist) = client.watch_exists("/b").await.unwrap();
        assert_eq!(gone, None);
        let (_, other) = client.watch_data("/c").await.unwrap();
        (data, exist, other)
    };
    let serving = async {
        let (xid, _) = peer.asked().await;
        assert_eq!(xid, Xid::AUTH);
        peer.answer(xid, 0, Ok(Response::Empty)).await;
        for answer in [data("x", 4), Err(Code::NoNode), data("y", 4)] {
            let (xid, _) = peer.asked().await;
            peer.answer(xid, 5, answer).await;
        }
        peer
    };
    let ((data_watch, exist_watch, other), mut peer) = tokio::join!(asking, serving);
    // The event alone does not settle its transaction: another of it may be lost with the
    // connection.
    peer.tell(8, EventKind::NodeDataChanged, "/c").await;
    assert_eq!(other.await.unwrap().zxid, Zxid(8));
    drop(peer);

    let mut peer = servers.accept().await;
    assert_eq!(peer.greet().await.last_zxid_seen, Zxid(8));
    let (xid, request) = peer.asked().await;
    assert_eq!(xid, Xid::AUTH);
    assert!(matches!(request, Request::Auth { scheme, .. } if scheme == "digest"));
    let (xid, request) = peer.asked().await;
    assert_eq!(xid, Xid::SET_WATCHES);
    let again = SetWatches {
        relative_zxid: Zxid(5),
        data: vec![path("/a")],
        exist: vec![path("/b")],
        child: vec![],
        ..SetWatches::default()
    };
    assert_eq!(request, Request::SetWatches(again.clone()));
    // An answer to a later request does not settle what was not yet set again.
    peer.answer(Xid::AUTH, 9, Ok(Response::Empty)).await;
    peer.tell(9, EventKind::NodeCreated, "/b").await;
    assert_eq!(exist_watch.await.unwrap().kind, EventKind::NodeCreated);
    drop(peer);

    let mut peer = servers.accept().await;
    peer.greet().await;
    peer.answer(Xid::AUTH, 9, Ok(Response::Empty)).await;
    peer.asked().await;
    let (xid, request) = peer.asked().await;
    let again = SetWatches {
        exist: vec![],
        ..again
    };
    assert_eq!(request, Request::SetWatches(again));
    peer.tell(9, EventKind::NodeDeleted, "/a").await;
    peer.answer(xid, 9, Ok(Response::Empty)).await;
    assert_eq!(data_watch.await.unwrap().kind, EventKind::NodeDeleted);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_kept_alive_and_proven() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let idle = tokio::time::timeout(TIMEOUT * 5, peer.heard());
    assert!(idle.await.is_err(), "nothing but heartbeats comes");
    assert_eq!(peer.pings, 14, "one in each third of the time-out");
    assert_eq!(client.state(), SessionState::Connected);
    assert!(client.is_safe());
}

#[tokio::test(start_paused = true)]
async fn a_session_of_one_server_alone_is_offered_to_it_first() {
    let mut servers = Servers::new();
    let session = SessionId::local(ServerId(1), 7);
    let connecting = Client::connect(servers.runtime.clone(), Servers::config());
    let accepting = async {
        let mut peer = servers.accept().await;
        peer.greet_with(Some(session)).await;
        peer
    };
    let (client, peer) = tokio::join!(connecting, accepting);
    let client = client.unwrap();
    assert_eq!(peer.address, "one:2181");
    drop(peer);
    let peer = servers.accept().await;
    assert_eq!(
        peer.address, "one:2181",
        "it may be the only one that knows it"
    );
    peer.hang_up().await;
    let mut peer = servers.accept().await;
    assert_eq!(peer.address, "two:2181", "another may know it, too");
    peer.greet_with(Some(session)).await;
    drop(peer);
    let mut peer = servers.accept().await;
    assert_eq!(peer.address, "two:2181", "it knows it");
    peer.greet_with(Some(session)).await;
    tokio::time::sleep(TIMEOUT).await;
    let peer = servers.accept().await;
    assert_eq!(peer.address, "one:2181", "who is silent is left");
    assert_eq!(client.session(), session);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_after_two_thirds() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let began = client.runtime().clone();
    let asking = client.exists("/a");
    let (asked, ()) = tokio::join!(asking, peer.be_silent());
    assert_eq!(asked, Err(ClientError::ConnectionLoss));
    use crate::runtime::Runtime as _;
    let waited = began.now();
    assert!(
        waited >= TIMEOUT * 2 / 3 && waited < TIMEOUT * 3 / 4,
        "{waited:?}"
    );
    assert!(client.is_safe(), "the session may still be believed in");
    tokio::time::sleep(TIMEOUT / 12).await;
    assert!(!client.is_safe(), "without a proof it may not");
}

#[tokio::test(start_paused = true)]
async fn what_came_while_the_process_was_paused_proves_nothing() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let asking = client.exists("/a");
    let serving = async {
        let (xid, _) = peer.asked().await;
        // It is there before the time passes, and the client reads it only afterwards.
        peer.answer(xid, 5, Err(Code::NoNode)).await;
        tokio::time::advance(TIMEOUT).await;
    };
    let (asked, ()) = tokio::join!(asking, serving);
    assert_eq!(asked, Err(ClientError::ConnectionLoss));
    assert!(!client.is_safe());
}

/// A server that is cut off from the leader reads on for a while.
#[tokio::test(start_paused = true)]
async fn reads_prove_nothing() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let reading = async {
        let proven = client.safe_until();
        for _ in 0..10 {
            tokio::time::sleep(TIMEOUT / 40).await;
            assert_eq!(client.exists("/a").await, Ok(None));
        }
        assert_eq!(client.safe_until(), proven);
        client.sync("/a").await.expect("an answer");
        assert!(client.safe_until() > proven);
    };
    let serving = async {
        for _ in 0..10 {
            let (xid, _) = peer.asked().await;
            peer.answer(xid, 5, Err(Code::NoNode)).await;
        }
        let (xid, request) = peer.asked().await;
        let Request::Sync { path } = request else {
            panic!("{request:?}");
        };
        peer.answer(xid, 5, Ok(Response::Synced { path })).await;
    };
    tokio::join!(reading, serving);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_after_a_pause_is_answered() {
    let mut servers = Servers::new();
    let (client, _peer) = servers.client().await;
    let asking = client.exists("/a");
    let (asked, ()) = tokio::join!(asking, tokio::time::advance(TIMEOUT));
    assert_eq!(asked, Err(ClientError::ConnectionLoss));
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_fails_everybody() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let serving = async {
        let (xid, _) = peer.asked().await;
        peer.answer(xid, 5, data("x", 4)).await;
        drop(peer);
        let mut peer = servers.accept().await;
        peer.refuse().await;
        peer
    };
    let asking = async {
        let (_, watcher) = client.watch_data("/a").await.unwrap();
        let mut states = client.states();
        states
            .states
            .wait_for(|state| *state != SessionState::Connected)
            .await
            .unwrap();
        let waiting = client.exists("/b").await;
        (watcher.await, waiting)
    };
    let ((watched, waited), _peer) = tokio::join!(asking, serving);
    assert_eq!(watched, Err(ClientError::SessionExpired));
    assert_eq!(waited, Err(ClientError::SessionExpired));
    assert_eq!(client.state(), SessionState::Expired);
    assert_eq!(client.exists("/a").await, Err(ClientError::SessionExpired));
    assert_eq!(client.close().await, Err(ClientError::SessionExpired));
    let mut states = client.states();
    assert_eq!(states.next().await, Some(SessionState::Expired));
    assert_eq!(states.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_server_is_given_up() {
    let mut servers = Servers::new();
    let (client, peer) = servers.client().await;
    drop(peer);
    let dead = async {
        let mut attempts = 0;
        while let Ok(peer) = tokio::time::timeout(TIMEOUT * 2, servers.accept()).await {
            drop(peer);
            attempts += 1;
        }
        attempts
    };
    let asking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let outcome = client.exists("/a").await;
        use crate::runtime::Runtime as _;
        (outcome, client.runtime().now())
    };
    let (attempts, (outcome, at)) = tokio::join!(dead, asking);
    assert_eq!(outcome, Err(ClientError::SessionExpired));
    assert!(at >= TIMEOUT * 4 / 3 && at < TIMEOUT * 3 / 2, "{at:?}");
    assert!((8..40).contains(&attempts), "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_protocol_is_left() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    for broken in [
        // An answer to a request that was not the next.
        vec![0, 0, 0, 16, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        // A frame without an end.
        vec![0x7f, 0xff, 0xff, 0xff],
        vec![0xff, 0xff, 0xff, 0xff],
        // No header.
        vec![0, 0, 0, 2, 1, 2],
    ] {
        let serving = async {
            peer.asked().await;
            peer.say_bytes(&broken).await;
            peer = servers.accept().await;
            peer.greet().await;
        };
        let (outcome, ()) = tokio::join!(client.exists("/a"), serving);
        assert_eq!(outcome, Err(ClientError::ConnectionLoss), "{broken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_told() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let serving = async {
        let (xid, _) = peer.asked().await;
        peer.answer(xid, 1, Ok(Response::Empty)).await;
        peer
    };
    let (outcome, _peer) = tokio::join!(client.exists("/a"), serving);
    assert!(
        matches!(outcome, Err(ClientError::Protocol(_))),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn closing_tells_the_server() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let serving = async {
        let (xid, request) = peer.asked().await;
        assert_eq!(request, Request::CloseSession);
        peer.answer(xid, 5, Ok(Response::Empty)).await;
        assert!(peer.heard().await.is_none(), "the client hangs up");
    };
    let (closed, ()) = tokio::join!(client.close(), serving);
    assert_eq!(closed, Ok(()));
    assert_eq!(client.state(), SessionState::Closed);
    assert_eq!(client.exists("/a").await, Err(ClientError::Closed));
    assert_eq!(client.close().await, Ok(()), "closing again is no error");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_closes() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let clone = client.clone();
    drop(client);
    let idle = tokio::time::timeout(TIMEOUT, peer.heard()).await;
    assert!(idle.is_err(), "a clone keeps the session");
    drop(clone);
    assert_eq!(peer.asked().await.1, Request::CloseSession);
}

#[tokio::test(start_paused = true)]
async fn a_refused_identity_ends_a_session_that_relied_on_it() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let serving = async {
        let (xid, _) = peer.asked().await;
        peer.answer(xid, 0, Ok(Response::Empty)).await;
        drop(peer);
        let mut peer = servers.accept().await;
        peer.greet().await;
        peer.asked().await;
        peer.answer(Xid::AUTH, 0, Err(Code::AuthFailed)).await;
        peer
    };
    let asking = async {
        client.add_auth("digest", "a:b").await.unwrap();
        let mut states = client.states();
        while states.next().await.is_some() {}
        client.exists("/a").await
    };
    let (outcome, _peer) = tokio::join!(asking, serving);
    assert_eq!(outcome, Err(ClientError::Server(Code::AuthFailed)));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_throttles_is_asked_again_behind_what_came_after_it() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let refused = Err(Code::ThrottledOp);
    let writing = client.set_data("/a", "1", Version::Any);
    let watching = client.watch_data("/b");
    let serving = async {
        for _ in 0..2 {
            let (xid, _) = peer.asked().await;
            peer.answer(xid, 3, refused.clone()).await;
        }
        let mut again = Vec::new();
        for _ in 0..2 {
            let (xid, request) = peer.asked().await;
            again.push((xid, request.name()));
            let answer = match request {
                Request::Write(_) => Ok(Response::Done(Done::DataSet(stat(5)))),
                _ => data("hi", 5),
            };
            peer.answer(xid, 5, answer).await;
        }
        again.sort_unstable();
        let numbers: Vec<Xid> = again.iter().map(|(xid, _)| *xid).collect();
        assert_eq!(numbers, [Xid(3), Xid(4)], "with numbers of their own");
        let mut names: Vec<&str> = again.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, ["getData", "setData"]);
        peer
    };
    let began = tokio::time::Instant::now();
    let (written, watched, mut peer) = tokio::join!(writing, watching, serving);
    assert!(began.elapsed() >= BACKOFF_MIN / 2, "after a pause");
    assert_eq!(written, Ok(stat(5)));
    let (_, mut watcher) = watched.expect("it is read");
    peer.tell(6, EventKind::NodeDataChanged, "/b").await;
    let event = watcher.next().await.expect("the watch is there");
    assert_eq!(event.expect("it is told").path, path("/b"));
}

#[tokio::test(start_paused = true)]
async fn who_is_throttled_again_and_again_is_told_in_the_end() {
    let mut servers = Servers::new();
    let (client, mut peer) = servers.client().await;
    let writing = client.set_data("/a", "1", Version::Any);
    let serving = async {
        let mut times = 0;
        while times <= THROTTLED_MAX {
            let (xid, _) = peer.asked().await;
            times += 1;
            peer.answer(xid, 3, Err(Code::ThrottledOp)).await;
        }
        times
    };
    let (written, times) = tokio::join!(writing, serving);
    assert_eq!(written, Err(ClientError::Server(Code::ThrottledOp)));
    assert_eq!(times, THROTTLED_MAX + 1);
}
