//! What clients do with a server before it is taken over, and what they find of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use althing_client::transaction::Transaction;
use althing_client::znode::{CreateMode, Version};
use althing_core::tree::acl::{Acl, AclEntry, Identity, Perms};
use althing_core::tree::stat::Stat;
use tokio::task::JoinSet;

/// The super user's credential, and ZooKeeper's digest of it.
pub const SUPER: &str = "super:secret";
pub const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";

/// Everything that a client can learn of a znode.
pub type Learnt = (Vec<u8>, Stat, Acl);

/// Everything that a client can learn of a tree, by path.
pub type Tree = BTreeMap<String, Learnt>;

/// Writers at the same time, so that snapshots are taken while transactions go on.
const WRITERS: usize = 8;

/// How often each of them goes round.
const ROUNDS: usize = 12;

pub async fn client(address: SocketAddr) -> Client<Tokio> {
    let config = ClientConfig::new([address.to_string()])
        .session_timeout(Duration::from_secs(40))
        .connect_patience(Duration::from_secs(60));
    let client = Client::connect(Tokio, config).await.expect("a session");
    client
        .add_auth("digest", SUPER)
        .await
        .expect("a super user");
    client
}

/// A life of the server's: all kinds of znodes, lists, multis, and what goes wrong.
pub async fn live(address: SocketAddr, life: usize) {
    let client = client(address).await;
    if life == 0 {
        lists(&client).await.expect("lists");
        quota(&client).await.expect("a quota");
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        writers.spawn(async move {
            let written = write(&client, address, life, writer).await;
            written.expect("all is written");
        });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("a writer");
    }
    client.close().await.expect("an end");
}

/// Lists of access, which clients that are nobody cannot read.
async fn lists(client: &Client<Tokio>) -> Result<(), ClientError> {
    client.create("/lists", "", CreateMode::Persistent).await?;
    let entry = |perms: Perms, scheme: &str, id: &str| AclEntry {
        perms,
        who: Identity::new(scheme, id),
    };
    let several = Acl([
        entry(Perms::ALL, "digest", "ada:kR1tYzs+e2WYrGVQ8HUW3wGG1n8="),
        entry(Perms::READ | Perms::CREATE, "ip", "10.1.0.0/16"),
        entry(Perms::READ, "world", "anyone"),
    ]
    .into());
    let nobody = Acl::of(Perms::ADMIN, "digest", "eve:kR1tYzs+e2WYrGVQ8HUW3wGG1n8=");
    for (path, acl) in [("/lists/several", &several), ("/lists/nobody", &nobody)] {
        let mode = CreateMode::Persistent;
        client.create_with_acl(path, "", mode, acl.clone()).await?;
    }
    client
        .set_acl("/lists/several", several, Version::Any)
        .await?;
    client
        .set_acl("/lists", Acl::read_only(), Version::Any)
        .await?;
    Ok(())
}

/// A quota, as ZooKeeper's own shell sets it.
async fn quota(client: &Client<Tokio>) -> Result<(), ClientError> {
    let mode = CreateMode::Persistent;
    client.create("/limited", "", mode).await?;
    for (path, data) in [
        ("/zookeeper/quota/limited", ""),
        (
            "/zookeeper/quota/limited/zookeeper_limits",
            "count=100000,bytes=-1",
        ),
        (
            "/zookeeper/quota/limited/zookeeper_stats",
            "count=0,bytes=0",
        ),
    ] {
        client.create(path, data, mode).await?;
    }
    Ok(())
}

async fn write(
    client: &Client<Tokio>,
    address: SocketAddr,
    life: usize,
    writer: usize,
) -> Result<(), ClientError> {
    let top = format!("/life-{life}-{writer}");
    let mode = CreateMode::Persistent;
    client.create(&top, "zażółć gęślą jaźń", mode).await?;
    for round in 0..ROUNDS {
        let at = |name: &str| format!("{top}/{name}-{round}");
        let (plain, gone, ttl) = (at("plain"), at("gone"), at("ttl"));
        client.create(&plain, vec![7; round * 100], mode).await?;
        client.create(&gone, "", mode).await?;
        let again = client.create(&gone, "", mode).await;
        again.expect_err("it is there already");
        client
            .set_data(&plain, &b"\x00\xff"[..], Version::Any)
            .await?;
        client.delete(&gone, Version::Any).await?;
        let sequential = CreateMode::PersistentSequential;
        client.create(&format!("{top}/n-"), "", sequential).await?;
        let hour = CreateMode::PersistentWithTtl(Duration::from_secs(3600));
        client.create(&ttl, "lasts", hour).await?;
        client.set_acl(&ttl, Acl::open(), Version::Any).await?;
        let limited = format!("/limited/{life}-{writer}-{round}");
        client.create(&limited, "four", mode).await?;
        multis(client, &top, round).await?;
        if round % 4 == 0 {
            short_session(address, &top, round).await?;
        }
    }
    Ok(())
}

/// Several changes at once; and such that are refused.
async fn multis(client: &Client<Tokio>, top: &str, round: usize) -> Result<(), ClientError> {
    let mode = CreateMode::Persistent;
    let (container, multi) = (
        format!("{top}/container-{round}"),
        format!("{top}/multi-{round}"),
    );
    client.create(&container, "", CreateMode::Container).await?;
    let child = format!("{container}/child");
    let good = Transaction::new()
        .create(&multi, "", mode)
        .create(&child, "", mode)
        .set_data(&multi, "set", Version::Any)
        .check(top, Version::Any);
    let good = match round % 2 {
        0 => good.delete(&child, Version::Any),
        _ => good,
    };
    client.multi(good).await.expect("a multi");
    let bad = Transaction::new()
        .create(&format!("{top}/never-{round}"), "", mode)
        .delete("/nowhere", Version::Any);
    let refused = client.multi(bad).await;
    refused.expect_err("a multi of which one part is refused");
    Ok(())
}

/// A session that ends with its ephemeral znodes.
async fn short_session(address: SocketAddr, top: &str, round: usize) -> Result<(), ClientError> {
    let config = ClientConfig::new([address.to_string()]);
    let other = Client::connect(Tokio, config).await?;
    for number in 0..3 {
        let path = format!("{top}/short-{round}-{number}");
        other.create(&path, "", CreateMode::Ephemeral).await?;
    }
    other.close().await
}

/// Everything there is.
pub async fn learn(address: SocketAddr) -> Tree {
    let client = client(address).await;
    let mut tree = Tree::new();
    let mut open = vec!["/".to_owned()];
    while let Some(path) = open.pop() {
        let znode = client.get_data(&path).await.expect("data");
        let (acl, stat) = client.get_acl(&path).await.expect("a list");
        assert_eq!(znode.stat, stat, "{path}");
        for name in client.children(&path).await.expect("children").names {
            open.push(format!("{}/{name}", path.trim_end_matches('/')));
        }
        tree.insert(path, (znode.data.to_vec(), stat, acl));
    }
    client.close().await.expect("an end");
    tree
}
