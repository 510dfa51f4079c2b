//! Three whole servers, files included, over streams in memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use althing_core::codec::client::decode_reply;
use althing_core::config::LocalSessions;
use althing_core::ids::{ServerId, SessionId};
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};
use tempfile::TempDir;

use crate::os_disk::OsDisk;
use crate::rig::{Life, Rig, TestClient, request_bytes, run};

const SERVERS: u8 = 3;

struct Ensemble {
    rigs: Vec<Rig>,
    directory: TempDir,
    lives: BTreeMap<u8, Life>,
    observers: BTreeSet<ServerId>,
    local_sessions: LocalSessions,
}

impl Ensemble {
    fn start() -> Ensemble {
        Ensemble::start_with(&[], LocalSessions::Off)
    }

    /// Further servers, behind the three that vote, only learn.
    fn start_with(observers: &[u8], local_sessions: LocalSessions) -> Ensemble {
        let all = SERVERS + observers.len() as u8;
        let mut ensemble = Ensemble {
            rigs: Rig::ensemble(all),
            observers: observers.iter().copied().map(ServerId).collect(),
            directory: tempfile::tempdir().expect("a directory"),
            lives: BTreeMap::new(),
            local_sessions,
        };
        (1..=all).for_each(|id| ensemble.start_one(id));
        ensemble
    }

    fn rig(&self, id: u8) -> &Rig {
        &self.rigs[usize::from(id) - 1]
    }

    fn data_dir(&self, id: u8) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    fn start_one(&mut self, id: u8) {
        let mut setup = self.rig(id).setup();
        for observer in &self.observers {
            setup.config.voters.remove(observer);
        }
        setup.config.local_sessions = self.local_sessions;
        setup.described.config = setup.config.clone();
        setup.observers = self.observers.clone();
        let disk = OsDisk::lock(&self.data_dir(id)).expect("a directory");
        let life = self.rig(id).start(setup, disk);
        self.lives.insert(id, life);
    }

    async fn stop_one(&mut self, id: u8) {
        self.lives.remove(&id).expect("it runs").stop().await;
    }

    /// A client of server `id`, as soon as that serves.
    async fn client(&self, id: u8) -> TestClient {
        let mut client = self.rig(id).client(1024);
        assert!(client.connect().await.session.is_some());
        client
    }

    async fn word(&self, id: u8, word: &str) -> String {
        self.rig(id).word(word).await
    }

    /// The mode of each server, as `srvr` tells it.
    async fn modes(&self) -> BTreeMap<u8, String> {
        let mut modes = BTreeMap::new();
        for id in 1..=SERVERS {
            let told = self.word(id, "srvr").await;
            let mode = told.lines().find_map(|line| line.strip_prefix("Mode: "));
            modes.insert(id, mode.expect("a mode").to_owned());
        }
        modes
    }
}

fn create(path: &str) -> Request {
    create_for(path, Lifetime::Persistent)
}

fn create_for(path: &str, lifetime: Lifetime) -> Request {
    Request::Write(Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data: None,
        acl: Acl::open(),
        lifetime,
        naming: Naming::Exact,
        telling: Telling::Path,
    }))
}

fn set(path: &str, text: &str) -> Request {
    Request::Write(Op::SetData {
        path: Path::parse(path).expect("a path"),
        data: Some(Data::from(text.as_bytes().to_vec())),
        version: ANY_VERSION,
    })
}

fn get(path: &str) -> Request {
    Request::Read(Read::GetData {
        path: Path::parse(path).expect("a path"),
        watching: Watching::No,
    })
}

fn sync(path: &str) -> Request {
    Request::Sync {
        path: Path::parse(path).expect("a path"),
    }
}

async fn done(client: &mut TestClient, request: &Request) -> Response {
    client.ask(1, request).await;
    match client.reply(request).await {
        Reply::Answer { result, .. } => result.expect("it is done"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_one_server_answers_every_server_has() {
    run(async {
        let ensemble = Ensemble::start();
        done(&mut ensemble.client(1).await, &create("/a")).await;
        for id in 1..=SERVERS {
            let text = format!("by {id}");
            done(&mut ensemble.client(id).await, &set("/a", &text)).await;
            for other in 1..=SERVERS {
                let mut client = ensemble.client(other).await;
                done(&mut client, &sync("/a")).await;
                match done(&mut client, &get("/a")).await {
                    Response::Data { data, .. } => {
                        assert_eq!(data.as_deref(), Some(text.as_bytes()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let modes = ensemble.modes().await;
        let (leader, _) = modes
            .iter()
            .find(|(_, mode)| *mode == "leader")
            .expect("one leads");
        let followers = modes.values().filter(|mode| *mode == "follower");
        assert_eq!(followers.count(), 2, "{modes:?}");
        let told = ensemble.word(*leader, "mntr").await;
        for line in [
            "zk_server_state\tleader\n",
            "zk_quorum_links\t2\n",
            "zk_learners\t2\n",
            "zk_synced_followers\t2\n",
            "zk_pending_syncs\t0\n",
            "zk_quorum_size\t3\n",
        ] {
            assert!(told.contains(line), "{line:?} is not in {told}");
        }
    });
}

#[test]
fn a_rolling_restart_fails_no_request_of_another_servers_client() {
    run(async {
        let mut ensemble = Ensemble::start();
        done(&mut ensemble.client(1).await, &create("/a")).await;
        // Followers and the leader, whichever it is: every server in its turn, and one again.
        for id in [1, 2, 3, 1] {
            let mut client = ensemble.client(id % SERVERS + 1).await;
            let written = Cell::new(0);
            let writing = async {
                loop {
                    done(&mut client, &set("/a", &written.get().to_string())).await;
                    written.set(written.get() + 1);
                }
            };
            let restarting = async {
                ensemble.stop_one(id).await;
                let while_it_stopped = written.get();
                ensemble.start_one(id);
                let mut again = ensemble.client(id).await;
                done(&mut again, &sync("/a")).await;
                while_it_stopped
            };
            let while_it_stopped = tokio::select! {
                biased;
                () = writing => unreachable!("it goes on for ever"),
                while_it_stopped = restarting => while_it_stopped,
            };
            assert!(written.get() > while_it_stopped, "writes went on");
        }
        for id in 1..=SERVERS {
            ensemble.stop_one(id).await;
        }
    });
}

#[test]
fn an_observer_has_everything_and_no_vote() {
    run(async {
        let mut ensemble = Ensemble::start_with(&[4], LocalSessions::Off);
        done(&mut ensemble.client(1).await, &create("/a")).await;
        let mut client = ensemble.client(4).await;
        done(&mut client, &set("/a", "by an observer")).await;
        let told = ensemble.word(4, "srvr").await;
        assert!(told.contains("Mode: observer\n"), "{told}");
        // Two of the three that vote are needed, and the observer is none of them.
        ensemble.stop_one(4).await;
        done(&mut ensemble.client(2).await, &set("/a", "without it")).await;
        ensemble.start_one(4);
        let mut client = ensemble.client(4).await;
        done(&mut client, &sync("/a")).await;
        match done(&mut client, &get("/a")).await {
            Response::Data { data, .. } => assert_eq!(data.as_deref(), Some(&b"without it"[..])),
            other => panic!("{other:?}"),
        }
    });
}

/// A client of server 2 writes in a session of that server alone, which becomes the ensemble's. It
/// is sent away if another leader is elected meanwhile.
async fn local_story(ensemble: &Ensemble, attempt: u32) -> Option<()> {
    let mut client = ensemble.rig(2).client(1024);
    let session = client.connect().await.session.expect("it is served");
    assert!(session.is_local());
    let mut done = async |request: &Request| {
        client.try_send(&request_bytes(1, request)).await.ok()?;
        match decode_reply(&client.frame().await?, Some(request)).expect("a reply") {
            Reply::Answer { result, .. } => Some(result.expect("it is done")),
            other => panic!("{other:?}"),
        }
    };
    let figures = async |local: u32, of_all: u32| {
        let told = ensemble.word(2, "mntr").await;
        for line in [
            format!("zk_local_sessions\t{local}\n"),
            format!("zk_global_sessions\t{of_all}\n"),
        ] {
            // Of an earlier attempt there may be others.
            assert!(
                attempt > 0 || told.contains(&line),
                "{line:?} is not in {told}"
            );
        }
    };
    let path = format!("/{attempt}");
    let mine = format!("{path}/mine");
    done(&create(&path)).await?;
    figures(1, 0).await;
    done(&create_for(&mine, Lifetime::Ephemeral)).await?;
    figures(0, 1).await;
    done(&set(&mine, "x")).await?;
    match done(&get(&mine)).await? {
        Response::Data { stat, .. } => assert_eq!(SessionId(stat.ephemeral_owner), session),
        other => panic!("{other:?}"),
    }
    Some(())
}

#[test]
fn sessions_of_one_server_alone_become_the_ensembles() {
    run(async {
        let ensemble = Ensemble::start_with(&[], LocalSessions::Upgraded);
        let mut attempt = 0;
        while local_story(&ensemble, attempt).await.is_none() {
            attempt += 1;
        }
    });
}
