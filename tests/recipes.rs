//! The Rust client's recipes on tokio against the real binary: the code that the simulator plays
//! under faults, in the world where it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::recipes::election::Election;
use althing_client::recipes::lock::Lock;
use althing_client::runtime::Tokio;
use althing_tests::process::{PATIENCE, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");
const FILE: &str = "/payment/db/shard37/master_ip";

async fn connect(server: &Server) -> Client<Tokio> {
    let config = ClientConfig::new([server.address().to_string()]);
    let config = config.session_timeout(Duration::from_secs(5));
    let connected = tokio::time::timeout(PATIENCE, Client::connect(Tokio, config));
    connected.await.expect("in time").expect("a session")
}

/// The master leaves; exactly one of its slaves takes its place, with a newer token.
#[tokio::test]
async fn masters_follow_each_other_with_rising_tokens() {
    let server = Server::start(BINARY);
    let first = connect(&server).await;
    first
        .ensure("/payment/db/shard37")
        .await
        .expect("the folder");
    let election = Election::new(&first, FILE).expect("a path");
    let mastership = election.lead("10.0.0.1").await.expect("the first leads");
    let leaders = Arc::new(AtomicUsize::new(0));
    let mut slaves = Vec::new();
    for number in 2..6 {
        let (slave, leaders) = (connect(&server).await, leaders.clone());
        slaves.push(tokio::spawn(async move {
            let election = Election::new(&slave, FILE).expect("a path");
            let hold = election
                .lead(format!("10.0.0.{number}").as_str())
                .await
                .expect("its turn");
            assert_eq!(leaders.fetch_add(1, Ordering::SeqCst), 0, "two lead");
            let token = hold.token();
            slave.sync("/").await.expect("synced");
            leaders.fetch_sub(1, Ordering::SeqCst);
            hold.release().await.expect("released");
            token
        }));
    }
    let mut tokens = vec![mastership.token()];
    first.close().await.expect("the first leaves");
    for slave in slaves {
        let led = tokio::time::timeout(PATIENCE, slave).await;
        tokens.push(led.expect("in time").expect("a token"));
    }
    let first = tokens[0];
    tokens.sort();
    assert_eq!(tokens[0], first, "the first token is the lowest");
    tokens.dedup();
    assert_eq!(tokens.len(), 5, "every reign has a token of its own");
}

/// A lock's holder keeps it through the death and return of the server.
#[tokio::test]
async fn a_lock_outlives_its_server() {
    let mut server = Server::start(BINARY);
    let (holder, other) = (connect(&server).await, connect(&server).await);
    let held = Lock::new(&holder, "/locks/a")
        .expect("a path")
        .acquire()
        .await
        .expect("held");
    server.kill();
    server.restart().expect("a restart");
    let token = held.token();
    let waiting = tokio::spawn(async move {
        let lock = Lock::new(&other, "/locks/a").expect("a path");
        let hold = lock.acquire().await.expect("its turn");
        hold.token()
    });
    // The connection returns and the session with it: the hold is good until it is released.
    tokio::time::timeout(PATIENCE, async {
        while holder.sync("/").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("connected again");
    assert!(held.is_safe(), "the session lived on");
    held.release().await.expect("released");
    let next = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("in time")
        .expect("a token");
    assert!(next > token, "the next holder's token is newer");
}
