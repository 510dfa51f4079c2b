//! Proving by SASL who the client is: before anything else, on every connection.

use althing_core::code::Code;
use althing_core::config::Users;
use althing_core::digest_md5::{self, Step};
use althing_core::ids::Xid;
use althing_core::node::reply::{EventKind, Response};
use althing_core::node::request::Request;
use althing_core::tree::data::Data;

use crate::client::Client;
use crate::config::{ClientConfig, SaslUser};
use crate::error::ClientError;
use crate::state::SessionState;
use crate::tests::fake::{Fake, Peer, Servers, data};

fn config(password: &str) -> ClientConfig {
    Servers::config().sasl(SaslUser::new("bob", password))
}

/// A client that claims to be bob, connected to a server that has said nothing but welcome.
async fn client(servers: &mut Servers, password: &str) -> (Client<Fake>, Peer) {
    let connecting = Client::connect(servers.runtime.clone(), config(password));
    let accepting = async {
        let mut peer = servers.accept().await;
        peer.greet().await;
        peer
    };
    let (client, peer) = tokio::join!(connecting, accepting);
    (client.unwrap(), peer)
}

/// The next part of the exchange that the client sends.
async fn token(peer: &mut Peer) -> (Xid, Data) {
    match peer.asked().await {
        (xid, Request::Sasl { token }) => (xid, token),
        other => panic!("{other:?}"),
    }
}

fn said(text: &str) -> Result<Response, Code> {
    Ok(Response::Sasl(Some(Data::from(text))))
}

/// The server's part of the exchange; who has proven to be whom, if anybody.
async fn exchange(peer: &mut Peer, nonce: &str) -> Option<String> {
    let mut users = Users::default();
    users.add("bob", "secret");
    let (xid, begun) = token(peer).await;
    let begun = digest_md5::step(&users, None, nonce.to_owned(), &begun);
    let Some(Step::Challenge { nonce, text }) = begun else {
        panic!("{begun:?}");
    };
    peer.answer(xid, 0, said(&text)).await;
    let (xid, proof) = token(peer).await;
    match digest_md5::step(&users, Some(nonce), String::new(), &proof) {
        Some(Step::Done { user, proof }) => {
            peer.answer(xid, 0, said(&proof)).await;
            Some(user)
        }
        _ => {
            peer.answer(xid, 0, Err(Code::AuthFailed)).await;
            None
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_proof() {
    let mut servers = Servers::new();
    let (client, mut peer) = client(&mut servers, "secret").await;
    let reading = client.get_data("/a");
    let serving = async {
        let who = exchange(&mut peer, "n").await;
        assert_eq!(who.as_deref(), Some("bob"));
        let (xid, request) = peer.asked().await;
        assert!(matches!(request, Request::Read(_)), "{request:?}");
        peer.answer(xid, 5, data("x", 5)).await;
    };
    let (znode, ()) = tokio::join!(reading, serving);
    assert_eq!(*znode.unwrap().data, *b"x");
    assert_eq!(peer.pings, 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_proven_again_before_watches_are_set_again() {
    let mut servers = Servers::new();
    let (client, mut peer) = client(&mut servers, "secret").await;
    let watching = client.watch_data("/a");
    let serving = async {
        exchange(&mut peer, "n").await.expect("bob");
        let (xid, _) = peer.asked().await;
        peer.answer(xid, 5, data("x", 5)).await;
    };
    let (watch, ()) = tokio::join!(watching, serving);
    let (_, changed) = watch.unwrap();
    drop(peer);
    let mut peer = servers.accept().await;
    peer.greet().await;
    exchange(&mut peer, "m").await.expect("bob");
    let (xid, watches) = peer.set_again().await;
    assert_eq!(watches.relative_zxid.0, 5);
    peer.answer(xid, 6, Ok(Response::Empty)).await;
    peer.tell(7, EventKind::NodeDataChanged, "/a").await;
    assert_eq!(changed.await.unwrap().path.as_str(), "/a");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_has_no_session() {
    let mut servers = Servers::new();
    let (client, mut peer) = client(&mut servers, "guessed").await;
    let reading = client.get_data("/a");
    let (read, who) = tokio::join!(reading, exchange(&mut peer, "n"));
    assert_eq!(who, None);
    assert_eq!(read, Err(ClientError::Server(Code::AuthFailed)));
    assert_eq!(client.state(), SessionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_sasl_is_not_enough() {
    let mut servers = Servers::new();
    let (client, mut peer) = client(&mut servers, "secret").await;
    let reading = client.get_data("/a");
    let serving = async {
        let (xid, _) = token(&mut peer).await;
        peer.answer(xid, 0, Ok(Response::Sasl(None))).await;
    };
    let (read, ()) = tokio::join!(reading, serving);
    assert_eq!(read, Err(ClientError::Server(Code::AuthFailed)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_the_password_is_left() {
    let mut servers = Servers::new();
    let (client, mut peer) = client(&mut servers, "secret").await;
    let (xid, _) = token(&mut peer).await;
    let challenge = "realm=\"zk-sasl-md5\",nonce=\"n\",charset=utf-8,algorithm=md5-sess";
    peer.answer(xid, 0, said(challenge)).await;
    let (xid, _) = token(&mut peer).await;
    peer.answer(xid, 0, said("rspauth=00000000000000000000000000000000"))
        .await;
    assert_eq!(peer.heard().await, None);
    let mut other = servers.accept().await;
    other.greet().await;
    exchange(&mut other, "m").await.expect("bob");
    let reading = client.get_data("/a");
    let serving = async {
        let (xid, _) = other.asked().await;
        other.answer(xid, 5, data("x", 5)).await;
    };
    let (znode, ()) = tokio::join!(reading, serving);
    assert!(znode.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_servers_cannot_read_is_refused_at_once() {
    let servers = Servers::new();
    for (name, password) in [("", "x"), ("bob", ""), ("b\u{f6}b", "x"), ("bob", "\n")] {
        let config = Servers::config().sasl(SaslUser::new(name, password));
        let refused = Client::connect(servers.runtime.clone(), config).await;
        assert!(
            matches!(refused, Err(ClientError::BadConfig(_))),
            "{name:?}"
        );
    }
    let shown = format!("{:?}", SaslUser::new("bob", "secret"));
    assert!(!shown.contains("secret"), "{shown}");
}
