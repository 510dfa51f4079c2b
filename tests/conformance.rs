//! An unmodified third-party client, the crate `zookeeper-client`, against the real binary.

use std::time::Duration;

use althing_tests::process::{PATIENCE, Server};
use zookeeper_client as zk;

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");

async fn connect(server: &Server) -> zk::Client {
    let address = server.address().to_string();
    let connected = zk::Client::connector().with_session_timeout(Duration::from_secs(6));
    tokio::time::timeout(PATIENCE, connected.connect(&address))
        .await
        .expect("in time")
        .expect("a session")
}

fn options(mode: zk::CreateMode) -> zk::CreateOptions<'static> {
    mode.with_acls(zk::Acls::anyone_all())
}

#[tokio::test]
async fn the_tree() {
    let server = Server::start(BINARY);
    let client = connect(&server).await;
    let persistent = options(zk::CreateMode::Persistent);
    client
        .mkdir("/payment/db/shard37", &persistent)
        .await
        .expect("made");
    let path = "/payment/db/shard37/master_ip";
    let (stat, _) = client
        .create(path, b"10.0.0.1", &persistent)
        .await
        .expect("created");
    assert_eq!(
        client.get_data(path).await,
        Ok((b"10.0.0.1".to_vec(), stat))
    );
    let set = client
        .set_data(path, b"10.0.0.2", Some(0))
        .await
        .expect("set");
    assert_eq!(
        (set.version, set.czxid, set.data_length),
        (1, stat.czxid, 8)
    );
    assert_eq!(
        client.set_data(path, b"x", Some(0)).await,
        Err(zk::Error::BadVersion)
    );
    assert_eq!(client.get_data("/nowhere").await, Err(zk::Error::NoNode));
    assert_eq!(
        client.delete("/payment", None).await,
        Err(zk::Error::NotEmpty)
    );
    let again = client.create("/payment", b"", &persistent).await;
    assert_eq!(again.map(|_| ()), Err(zk::Error::NodeExists));
    let (children, stat) = client.get_children("/payment/db").await.expect("children");
    assert_eq!(
        (children, stat.num_children),
        (vec!["shard37".to_owned()], 1)
    );
    let sequential = options(zk::CreateMode::EphemeralSequential);
    for number in 0..3 {
        let (_, sequence) = client
            .create("/payment/db/n-", b"", &sequential)
            .await
            .expect("made");
        assert_eq!(sequence.into_i64(), number + 1);
    }
    let (_, first) = client.create("/n-", b"", &sequential).await.expect("made");
    assert_eq!(
        first.into_i64(),
        1,
        "after /payment, and not counting /zookeeper"
    );
    client.sync("/").await.expect("synced");
    client.delete(path, Some(1)).await.expect("deleted");
    assert_eq!(client.check_stat(path).await, Ok(None));
}

#[tokio::test]
async fn watches_tell_once() {
    let server = Server::start(BINARY);
    let (reader, writer) = (connect(&server).await, connect(&server).await);
    let persistent = options(zk::CreateMode::Persistent);
    let (none, created) = reader.check_and_watch_stat("/a").await.expect("asked");
    assert_eq!(none, None);
    writer
        .create("/a", b"0", &persistent)
        .await
        .expect("created");
    let event = created.changed().await;
    assert_eq!(
        (event.event_type, &*event.path),
        (zk::EventType::NodeCreated, "/a")
    );
    let (_, _, data) = reader.get_and_watch_data("/a").await.expect("read");
    let (_, _, children) = reader.get_and_watch_children("/a").await.expect("read");
    writer
        .create("/a/b", b"", &persistent)
        .await
        .expect("created");
    assert_eq!(
        children.changed().await.event_type,
        zk::EventType::NodeChildrenChanged
    );
    writer.set_data("/a", b"1", None).await.expect("set");
    assert_eq!(
        data.changed().await.event_type,
        zk::EventType::NodeDataChanged
    );
}

#[tokio::test]
async fn all_or_nothing() {
    let server = Server::start(BINARY);
    let client = connect(&server).await;
    let persistent = options(zk::CreateMode::Persistent);
    let mut good = client.new_multi_writer();
    good.add_create("/a", b"1", &persistent).expect("added");
    good.add_set_data("/a", b"2", Some(0)).expect("added");
    good.add_check_version("/a", 1).expect("added");
    assert_eq!(good.commit().await.expect("committed").len(), 3);
    let mut bad = client.new_multi_writer();
    bad.add_set_data("/a", b"3", None).expect("added");
    bad.add_delete("/nowhere", None).expect("added");
    bad.add_create("/b", b"", &persistent).expect("added");
    match bad.commit().await {
        Err(zk::MultiWriteError::OperationFailed {
            index: 1,
            source: zk::Error::NoNode,
        }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(client.get_data("/a").await.expect("read").0, b"2");
}

#[tokio::test]
async fn access_is_checked() {
    let server = Server::start(BINARY);
    let (owner, stranger) = (connect(&server).await, connect(&server).await);
    owner
        .auth("digest", b"owner:secret")
        .await
        .expect("authenticated");
    let private = zk::CreateMode::Persistent.with_acls(zk::Acls::creator_all());
    owner
        .create("/private", b"x", &private)
        .await
        .expect("created");
    assert_eq!(stranger.get_data("/private").await, Err(zk::Error::NoAuth));
    assert_eq!(
        stranger.set_data("/private", b"y", None).await,
        Err(zk::Error::NoAuth)
    );
    stranger
        .auth("digest", b"owner:secret")
        .await
        .expect("authenticated");
    assert_eq!(stranger.get_data("/private").await.expect("read").0, b"x");
    let without = connect(&server).await.create("/other", b"", &private).await;
    assert_eq!(without.map(|_| ()), Err(zk::Error::InvalidAcl));
}

#[tokio::test]
async fn a_lock_passes_from_hand_to_hand() {
    let server = Server::start(BINARY);
    let ancestors = || options(zk::CreateMode::Persistent);
    let mut tasks = Vec::new();
    let holders = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for _ in 0..4 {
        let (client, holders) = (connect(&server).await, holders.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..3 {
                let prefix = zk::LockPrefix::new_curator("/locks", "lock-").expect("a prefix");
                let lock = zk::LockOptions::new(zk::Acls::anyone_all());
                let lock = lock.with_ancestor_options(ancestors()).expect("options");
                let held = client.lock(prefix, b"", lock).await.expect("the lock");
                let order = std::sync::atomic::Ordering::SeqCst;
                assert_eq!(holders.fetch_add(1, order), 0, "two hold the lock");
                client.sync("/").await.expect("synced");
                holders.fetch_sub(1, order);
                drop(held);
            }
        }));
    }
    for task in tasks {
        tokio::time::timeout(PATIENCE, task)
            .await
            .expect("in time")
            .expect("no panic");
    }
}

#[tokio::test]
async fn the_master_dies_and_exactly_one_slave_wins() {
    let server = Server::start(BINARY);
    let ephemeral = || options(zk::CreateMode::Ephemeral);
    let master = connect(&server).await;
    master
        .create("/master_ip", b"10.0.0.1", &ephemeral())
        .await
        .expect("created");
    let mut slaves = Vec::new();
    for number in 2..6 {
        let slave = connect(&server).await;
        let (stat, gone) = slave
            .check_and_watch_stat("/master_ip")
            .await
            .expect("asked");
        assert!(stat.is_some());
        slaves.push(tokio::spawn(async move {
            assert_eq!(gone.changed().await.event_type, zk::EventType::NodeDeleted);
            let address = format!("10.0.0.{number}");
            let won = slave
                .create("/master_ip", address.as_bytes(), &ephemeral())
                .await;
            (won.map(|_| ()), slave)
        }));
    }
    drop(master);
    let mut outcomes = Vec::new();
    for slave in slaves {
        outcomes.push(
            tokio::time::timeout(PATIENCE, slave)
                .await
                .expect("told")
                .expect("ran"),
        );
    }
    let won = outcomes.iter().filter(|(won, _)| won.is_ok()).count();
    assert_eq!(won, 1, "exactly one wins");
    let lost = outcomes
        .iter()
        .filter(|(won, _)| *won == Err(zk::Error::NodeExists))
        .count();
    assert_eq!(lost, 3, "the others are told that they lost");
}

#[tokio::test]
async fn a_session_outlives_its_server() {
    let mut server = Server::start(BINARY);
    let client = connect(&server).await;
    let ephemeral = options(zk::CreateMode::Ephemeral);
    client
        .create("/mine", b"x", &ephemeral)
        .await
        .expect("created");
    server.kill();
    server.restart().expect("a restart");
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            match client.get_data("/mine").await {
                Err(zk::Error::ConnectionLoss) => {
                    tokio::time::sleep(Duration::from_millis(5)).await
                }
                found => return found,
            }
        }
    });
    assert_eq!(found.await.expect("in time").expect("it lives").0, b"x");
}
