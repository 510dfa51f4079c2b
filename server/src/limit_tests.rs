//! What a whole server does with clients that reach their limits: it answers, and goes on.

use std::num::NonZeroU32;

use althing_core::code::Code;
use althing_core::config::{Config, FailedSasl, Rate};
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Listing, Read, ReadPart, Request, SetWatches, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};

use crate::os_disk::OsDisk;
use crate::rig::{Life, Rig, TestClient, run};

struct Scene {
    rig: Rig,
    life: Life,
    client: TestClient,
    xid: i32,
    _directory: tempfile::TempDir,
}

async fn scene(config: impl FnOnce(&mut Config)) -> Scene {
    let directory = tempfile::tempdir().expect("a directory");
    let rig = Rig::new();
    let mut setup = rig.setup();
    config(&mut setup.config);
    let life = rig.start(setup, OsDisk::lock(directory.path()).expect("a directory"));
    let mut client = rig.client(64 * 1024);
    client.connect().await;
    Scene {
        rig,
        life,
        client,
        xid: 0,
        _directory: directory,
    }
}

impl Scene {
    /// The answer to the next request; that nothing else comes before it is part of each test.
    async fn ask(&mut self, request: Request) -> Result<Response, Code> {
        self.xid += 1;
        self.client.ask(self.xid, &request).await;
        match self.client.reply(&request).await {
            Reply::Answer { xid, result, .. } => {
                assert_eq!(xid.0, self.xid);
                result
            }
            other => panic!("{other:?}"),
        }
    }

    async fn counted(&self, line: &str) {
        let told = self.rig.word("mntr").await;
        assert!(told.contains(line), "{line} is not in {told}");
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

fn create(path: &str, bytes: usize) -> Op {
    Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data: Some(Data::from(vec![1; bytes])),
        acl: Acl::open(),
        lifetime: Lifetime::Ephemeral,
        naming: Naming::Exact,
        telling: Telling::PathAndStat,
    })
}

#[test]
fn what_is_too_large_to_answer_is_refused_and_leaves_no_watch() {
    run(async {
        let mut scene = scene(|config| config.reply_bytes_max = 2048).await;
        for number in 0..30 {
            let name = format!("/{number:050}");
            scene
                .ask(Request::Write(create(&name, 1000)))
                .await
                .expect("created");
        }
        let root = || path("/");
        let children = |listing| {
            Request::Read(Read::GetChildren {
                path: root(),
                watching: Watching::Once,
                listing,
            })
        };
        let first = path(&format!("/{:050}", 0));
        let parts = |count| vec![ReadPart::Data(first.clone()); count];
        for fits in [
            Read::Several(parts(1)),
            Read::GetEphemerals {
                prefix: "/00".into(),
            },
        ] {
            scene.ask(Request::Read(fits)).await.expect("it fits");
        }
        scene
            .ask(Request::Write(create("/more", 0)))
            .await
            .expect("created");
        for name in 30..40 {
            let name = format!("/{name:050}");
            scene
                .ask(Request::Write(create(&name, 0)))
                .await
                .expect("created");
        }
        for large in [
            children(Listing::Names),
            children(Listing::NamesAndStat),
            Request::Read(Read::Several(parts(2))),
            Request::Read(Read::GetEphemerals { prefix: "/".into() }),
        ] {
            assert_eq!(scene.ask(large).await, Err(Code::MarshallingError));
        }
        // A watch would be told of it before the answer.
        scene
            .ask(Request::Write(create("/last", 0)))
            .await
            .expect("created");
        scene.counted("zk_large_replies_rejected\t4\n").await;
        scene.counted("zk_watch_count\t0\n").await;
        scene.life.stop().await;
    });
}

#[test]
fn a_multi_whose_answer_might_be_too_large_changes_nothing() {
    run(async {
        let mut scene = scene(|config| config.reply_bytes_max = 2048).await;
        let multi = |count: i32| {
            let ops = (0..count).map(|number| create(&format!("/{number:02}"), 0));
            Request::Multi(ops.collect())
        };
        // Each part takes 9 + 4 + 3 + 68 bytes, beside 25 for all.
        assert_eq!(scene.ask(multi(25)).await, Err(Code::MarshallingError));
        assert!(
            matches!(scene.ask(multi(24)).await, Ok(Response::AllDone(all)) if all.len() == 24)
        );
        scene.counted("zk_large_replies_rejected\t1\n").await;
        scene.life.stop().await;
    });
}

#[test]
fn the_largest_data_can_be_read_by_a_client_with_zookeepers_limit() {
    run(async {
        let mut scene = scene(|_| {}).await;
        let most = Config::standalone(althing_core::ids::ServerId(1))
            .settings
            .data_bytes_max;
        let too_much = create("/b", most as usize + 1);
        scene
            .ask(Request::Write(create("/a", most as usize)))
            .await
            .expect("created");
        assert_eq!(
            scene.ask(Request::Write(too_much)).await,
            Err(Code::BadArguments)
        );
        let get = Read::GetData {
            path: path("/a"),
            watching: Watching::No,
        };
        scene.client.ask(0, &Request::Read(get)).await;
        let frame = scene.client.frame().await.expect("an answer");
        assert_eq!(frame.len(), 0xfffff);
        scene.life.stop().await;
    });
}

#[test]
fn who_asks_too_often_is_refused_and_nothing_is_executed() {
    run(async {
        // One token for as long as the test lasts, beside the burst.
        let rate = |burst| Rate {
            per_second: NonZeroU32::new(1).expect("a rate"),
            burst: NonZeroU32::new(burst).expect("a burst"),
        };
        let mut scene = scene(|config| config.rates.session = Some(rate(10))).await;
        for _ in 0..5 {
            for request in [Request::Ping, Request::SetWatches(SetWatches::default())] {
                scene.ask(request).await.expect("free");
            }
        }
        let mut done = 0;
        let refused = loop {
            match scene
                .ask(Request::Write(create(&format!("/{done}"), 0)))
                .await
            {
                Ok(_) => done += 1,
                Err(code) => break code,
            }
            assert!(done < 100, "nobody is refused");
        };
        assert_eq!(refused, Code::ThrottledOp);
        assert!(done >= 10, "only {done} of a burst of ten");
        scene.ask(Request::Ping).await.expect("free");
        scene.counted("zk_throttled_ops\t1\n").await;
        let znodes = format!("zk_ephemerals_count\t{done}\n");
        scene.counted(&znodes).await;
        // Another session has a bucket of its own.
        let mut other = scene.rig.client(64 * 1024);
        other.connect().await;
        let create = Request::Write(create("/other", 0));
        other.ask(1, &create).await;
        let reply = other.reply(&create).await;
        assert!(
            matches!(reply, Reply::Answer { result: Ok(_), .. }),
            "{reply:?}"
        );
        scene.life.stop().await;
    });
}

#[test]
fn who_must_authenticate_is_sent_away_until_he_has() {
    run(async {
        let enforce = |config: &mut Config| {
            config.enforced_schemes = ["digest".to_owned()].into();
        };
        let exists = || {
            let (path, watching) = (path("/"), Watching::No);
            Request::Read(Read::Exists { path, watching })
        };
        for request in [exists(), Request::Ping, Request::CloseSession] {
            let mut scene = scene(enforce).await;
            let told = scene.ask(request).await;
            assert_eq!(told, Err(Code::SessionClosedRequireSaslAuth));
            assert_eq!(scene.client.frame().await, None, "the connection is closed");
            scene.life.stop().await;
        }
        let mut scene = scene(enforce).await;
        let auth = Request::Auth {
            scheme: "digest".to_owned(),
            credential: Data::from("a:b"),
        };
        for request in [auth, exists(), Request::Ping, Request::CloseSession] {
            scene
                .ask(request)
                .await
                .expect("who has authenticated is served");
        }
        scene.life.stop().await;
    });
}

#[test]
fn sasl_begins_with_a_challenge_and_ends_with_who_fails() {
    run(async {
        let with_bob = |failed| {
            move |config: &mut Config| {
                config.sasl.users.add("bob", "bobsecret");
                config.sasl.failed = failed;
            }
        };
        let sasl = |token: &str| Request::Sasl {
            token: Data::from(token),
        };
        let mut strict = scene(with_bob(FailedSasl::Closed)).await;
        match strict.ask(sasl("")).await {
            Ok(Response::Sasl(Some(challenge))) => {
                let text = std::str::from_utf8(&challenge).expect("text");
                assert!(text.starts_with("realm=\"zk-sasl-md5\",nonce=\""), "{text}");
            }
            other => panic!("{other:?}"),
        }
        let told = strict.ask(sasl("username=\"bob\"")).await;
        assert_eq!(told, Err(Code::AuthFailed));
        assert_eq!(
            strict.client.frame().await,
            None,
            "the connection is closed"
        );
        strict.life.stop().await;

        let mut mild = scene(with_bob(FailedSasl::Kept)).await;
        assert_eq!(mild.ask(sasl("garbage")).await, Ok(Response::Sasl(None)));
        mild.ask(Request::Ping).await.expect("it goes on");
        mild.life.stop().await;

        let mut without = scene(|_| {}).await;
        assert_eq!(without.ask(sasl("")).await, Ok(Response::Sasl(None)));
        without.life.stop().await;
    });
}

#[test]
fn a_request_that_is_too_large_is_answered_and_the_session_goes_on() {
    run(async {
        let mut scene = scene(|_| {}).await;
        let refused = scene.ask(Request::Write(create("/a", 5_000_000))).await;
        assert_eq!(refused, Err(Code::BadArguments));
        scene
            .ask(Request::Write(create("/a", 5)))
            .await
            .expect("created");
        scene.counted("zk_large_requests_rejected\t1\n").await;
        scene.life.stop().await;
    });
}
