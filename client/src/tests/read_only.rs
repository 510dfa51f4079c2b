//! Servers that have no leader: the client reads from one, and looks for another.

use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{SessionId, Zxid};
use althing_core::node::reply::Response;
use althing_core::node::request::{Read, Request};

use crate::client::Client;
use crate::config::{ClientConfig, ReadOnlyServers, SEARCH_PAUSE_MIN};
use crate::error::ClientError;
use crate::state::SessionState;
use crate::tests::fake::{Fake, Peer, SESSION, Servers, TIMEOUT, data};
use crate::znode::Version;

/// What a server gives that has no leader.
const LOCAL: SessionId = SessionId(i64::MIN + 7);

fn config() -> ClientConfig {
    Servers::config().read_only_servers(ReadOnlyServers::Accepted)
}

/// A client whose first server has no leader, and its connection.
async fn reader(servers: &mut Servers) -> (Client<Fake>, Peer) {
    let connecting = Client::connect(servers.runtime.clone(), config());
    let accepting = async {
        let mut peer = servers.accept().await;
        let request = peer.greet_reader(LOCAL).await;
        assert_eq!(request.read_only, Some(true));
        peer
    };
    let (client, peer) = tokio::join!(connecting, accepting);
    (client.unwrap(), peer)
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_leader_is_not_taken_unasked() {
    let mut servers = Servers::new();
    let connecting = Client::connect(servers.runtime.clone(), Servers::config());
    let serving = async {
        let request = servers.accept().await.greet_reader(LOCAL).await;
        assert_eq!(request.read_only, Some(false));
        let mut peer = servers.accept().await;
        assert_eq!(peer.greet().await.session, None);
        peer
    };
    let (client, _peer) = tokio::join!(connecting, serving);
    assert_eq!(client.unwrap().session(), SESSION);
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_a_true_session_from_the_first_server_that_has_a_leader() {
    let mut servers = Servers::new();
    let (client, mut first) = reader(&mut servers).await;
    assert_eq!(client.state(), SessionState::ReadOnly);
    assert_eq!(client.session(), LOCAL);
    assert!(!client.is_safe(), "nobody has heard of it");
    let reading = client.watch_data("/a");
    let answering = async {
        let (xid, _) = first.asked().await;
        first.answer(xid, 5, data("old", 3)).await;
    };
    let (read, ()) = tokio::join!(reading, answering);
    let (_, watcher) = read.unwrap();
    let writing = client.set_data("/a", "1", Version::Any);
    let refusing = async {
        let (xid, _) = first.asked().await;
        first.answer(xid, 5, Err(Code::NotReadOnly)).await;
    };
    let (refused, ()) = tokio::join!(writing, refusing);
    assert_eq!(refused, Err(ClientError::Server(Code::NotReadOnly)));

    // The other server is asked, and has no leader either; when it has one, it is taken.
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let before = tokio::time::Instant::now();
        let other = servers.accept().await;
        pauses.push(before.elapsed());
        assert_eq!(other.address, "two:2181");
        let request = other.hang_up().await;
        assert_eq!((request.session, request.read_only), (None, Some(false)));
        assert_eq!(request.last_zxid_seen, Zxid(5), "it must not go back");
        assert_eq!(client.state(), SessionState::ReadOnly);
    }
    let doubled = [1, 2, 4].map(|times| SEARCH_PAUSE_MIN * times);
    assert_eq!(pauses, doubled);
    let mut states = client.states();
    states.next().await;
    let mut second = servers.accept().await;
    second.greet().await;
    let (_, request) = second.set_again().await;
    assert_eq!(request.data.len(), 1, "its watch goes with it");
    assert_eq!(states.next().await, Some(SessionState::Connected));
    assert_eq!(client.session(), SESSION);
    assert!(client.is_safe());
    assert!(
        first.heard().await.is_none(),
        "the reader's connection ends"
    );
    drop(watcher);
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_the_time_without_a_leader() {
    let mut servers = Servers::new();
    let connecting = Client::connect(servers.runtime.clone(), config());
    let accepting = async {
        let mut peer = servers.accept().await;
        peer.greet().await;
        peer
    };
    let (client, peer) = tokio::join!(connecting, accepting);
    let client = client.unwrap();
    drop(peer);
    let mut reading = servers.accept().await;
    assert_eq!(reading.address, "two:2181");
    let request = reading.greet_reader(SESSION).await;
    assert_eq!(request.session, Some(SESSION));
    let safe_until = client.safe_until();
    // Heartbeats are answered, and prove nothing.
    let pinging = tokio::time::timeout(TIMEOUT, reading.heard());
    let searching = async {
        let first = servers.accept().await;
        assert_eq!(first.address, "one:2181");
        assert_eq!(first.hang_up().await.session, Some(SESSION));
        tokio::time::sleep(Duration::from_secs(11)).await;
    };
    let (ended, ()) = tokio::join!(pinging, searching);
    assert!(ended.is_err(), "it reads on");
    assert!(reading.pings > 0);
    assert_eq!(client.state(), SessionState::ReadOnly);
    assert_eq!(client.safe_until(), safe_until);
    assert!(!client.is_safe());
    // The server is sent away from itself when it has a leader again.
    drop(reading);
    let mut back = loop {
        let mut peer = servers.accept().await;
        if peer.first_frame().await.read_only == Some(true) {
            break peer;
        }
    };
    back.welcome(SESSION).await;
    let asking = client.exists("/a");
    let answering = async {
        let (xid, request) = back.asked().await;
        assert!(matches!(request, Request::Read(Read::Exists { .. })));
        back.answer(xid, 9, Err(Code::NoNode)).await;
    };
    let (found, ()) = tokio::join!(asking, answering);
    assert_eq!(found, Ok(None));
    assert_eq!(client.state(), SessionState::Connected);
    assert_eq!(client.session(), SESSION);
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_cannot_close_it_leaves() {
    let mut servers = Servers::new();
    let (client, mut peer) = reader(&mut servers).await;
    let closing = client.close();
    let answering = async {
        let (xid, request) = peer.asked().await;
        assert_eq!(request, Request::CloseSession);
        peer.answer(xid, 0, Ok(Response::Empty)).await;
    };
    let (closed, ()) = tokio::join!(closing, answering);
    assert_eq!(closed, Ok(()));
    assert_eq!(client.state(), SessionState::Closed);
}
