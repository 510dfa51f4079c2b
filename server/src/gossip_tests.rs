//! Whole servers that gossip, over datagrams in memory.

use std::collections::BTreeMap;

use althing_core::gossip::key::Key;
use althing_core::time::Duration;
use tempfile::TempDir;

use crate::gossip::GossipSetup;
use crate::os_disk::OsDisk;
use crate::rig::{Life, PATIENCE, Rig, run};

/// How often a test looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

struct Server {
    rig: Rig,
    life: Life,
    _directory: TempDir,
}

/// One line of the table, by the names of its columns.
type Line = BTreeMap<String, String>;

fn start(rig: Rig, id: u8, secret: Option<&str>) -> Server {
    let mut setup = rig.setup();
    setup.gossip = secret.map(|secret| GossipSetup {
        key: Key::from_secret(secret.as_bytes()),
        endpoint: format!("10.0.0.{id}:2181"),
    });
    let directory = tempfile::tempdir().expect("a directory");
    let disk = OsDisk::lock(directory.path()).expect("a directory");
    let life = rig.start(setup, disk);
    Server {
        rig,
        life,
        _directory: directory,
    }
}

fn ensemble(secrets: &[Option<&str>]) -> Vec<Server> {
    let rigs = Rig::ensemble(u8::try_from(secrets.len()).expect("a few servers"));
    let rigs = rigs.into_iter().zip(secrets).zip(1..);
    rigs.map(|((rig, secret), id)| start(rig, id, *secret))
        .collect()
}

impl Server {
    async fn table(&self) -> Vec<Line> {
        let text = self.rig.word("peers\n").await;
        let mut lines = text.lines().map(str::split_whitespace);
        let names: Vec<&str> = lines.next().expect("a head").collect();
        let line = |cells: std::str::SplitWhitespace<'_>| {
            let cells: Vec<&str> = cells.collect();
            assert_eq!(cells.len(), names.len(), "{text}");
            let named = names.iter().zip(cells);
            named
                .map(|(name, cell)| ((*name).to_owned(), cell.to_owned()))
                .collect()
        };
        lines.map(line).collect()
    }

    /// Looks until the table is as wished.
    async fn until(&self, wished: impl Fn(&[Line]) -> bool) -> Vec<Line> {
        let mut table = Vec::new();
        let looking = async {
            loop {
                table = self.table().await;
                if wished(&table) {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let over = tokio::time::timeout(PATIENCE / 2, looking).await;
        assert!(over.is_ok(), "it stays {table:?}");
        table
    }

    async fn stop(self) {
        self.life.stop().await;
    }
}

fn count(table: &[Line], column: &str, cell: &str) -> usize {
    table.iter().filter(|line| line[column] == cell).count()
}

#[test]
fn every_server_knows_the_others_and_misses_one_that_ends() {
    run(async {
        let mut servers = ensemble(&[Some("a shared secret"); 3]);
        for server in &servers {
            let table = server
                .until(|table| {
                    count(table, "state", "alive") == 3
                        && count(table, "role", "leader") == 1
                        && count(table, "role", "follower") == 2
                })
                .await;
            assert_eq!(count(&table, "self", "yes"), 1);
            let leader = table.iter().find(|line| line["role"] == "leader");
            let leader = &leader.expect("one")["id"];
            assert_eq!(count(&table, "leader", leader), 3, "{table:?}");
            assert_eq!(table[1]["client"], "10.0.0.2:2181");
            assert_eq!(table[1]["version"], env!("CARGO_PKG_VERSION"));
            let mntr = server.rig.word("mntr").await;
            assert!(mntr.contains("zk_gossip_enabled\t1\n"), "{mntr}");
            assert!(mntr.contains("zk_gossip_servers_alive\t2\n"), "{mntr}");
            assert!(
                mntr.contains("zk_gossip_datagrams_unauthentic\t0\n"),
                "{mntr}"
            );
        }
        let last = servers.pop().expect("three");
        last.stop().await;
        for server in &servers {
            let missed = |table: &[Line]| ["suspect", "down"].contains(&&*table[2]["state"]);
            server.until(missed).await;
        }
    });
}

#[test]
fn who_has_another_secret_is_a_stranger() {
    run(async {
        let ours = Some("a shared secret");
        let servers = ensemble(&[ours, ours, Some("another one"), None]);
        let known = |table: &[Line]| count(table, "state", "alive") == 2;
        let table = servers[0].until(known).await;
        assert_eq!(
            (&*table[2]["state"], &*table[3]["state"]),
            ("unknown", "unknown")
        );
        assert_eq!(table[2]["role"], "-");
        let mntr = servers[0].rig.word("mntr").await;
        assert!(
            !mntr.contains("zk_gossip_datagrams_unauthentic\t0\n"),
            "{mntr}"
        );
        let told = servers[3].rig.word("peer").await;
        assert!(told.starts_with("This server does not gossip"), "{told}");
        let mntr = servers[3].rig.word("mntr").await;
        assert!(mntr.contains("zk_gossip_enabled\t0\n"), "{mntr}");
    });
}
