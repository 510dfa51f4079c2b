//! An operator's restoring through a whole server, over streams in memory.

use std::time::Duration;

use althing_core::config::{Config, HardLimits, Restoring};
use althing_core::ids::Zxid;
use althing_core::time::WallTime;
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path, Place};
use althing_core::tree::tree::{Context, Tree};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use crate::desk::Desk;
use crate::os_disk::OsDisk;
use crate::restorer::{RestoreError, Restored, restore};
use crate::rig::Rig;

/// The largest data that the server takes.
const DATA_BYTES_MAX: u32 = 100;

fn create(tree: &mut Tree, path: &str, bytes: usize) {
    let op = Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data: Some(Data::from(vec![1; bytes])),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    });
    let context = Context {
        zxid: Zxid(1),
        wall: WallTime(1),
        session: None,
        identities: &[],
        data_bytes_max: u32::MAX,
        hard_limits: HardLimits::Advised,
    };
    let done = tree.execute(&context, &op, &mut Vec::new());
    done.expect("created");
}

/// What comes of restoring `wanted`, and the paths that are there then.
fn outcome(restoring: Restoring, wanted: &Tree) -> (Result<Restored, RestoreError>, Vec<String>) {
    let directory = TempDir::new().expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let rig = Rig::new();
        let mut setup = rig.setup();
        setup.config = Config {
            restoring,
            ..setup.config
        };
        setup.config.settings.data_bytes_max = DATA_BYTES_MAX;
        let (to_operators, mut desks) = unbounded_channel();
        setup.attendance.desk = Some(to_operators);
        let disk = OsDisk::lock(directory.path()).expect("a directory");
        let life = rig.start(setup, disk);
        let desk: Desk = desks.recv().await.expect("it serves");
        // Who leads must have opened its epoch: a server on its own does that by itself.
        while desk.look(&rig, |view| view.node.store().applied()).await == Some(Zxid::ZERO) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let outcome = restore(&desk, &rig, wanted).await;
        let paths = desk.look(&rig, |view| {
            let mut paths = Vec::new();
            let tree = view.node.store().tree();
            tree.each_whole(|znode| paths.push(znode.path.to_owned()));
            paths
        });
        let paths = paths.await.expect("an answer");
        life.stop().await;
        (outcome, paths)
    })
}

#[test]
fn what_does_not_fit_is_told_and_nothing_is_changed() {
    let mut wanted = Tree::new();
    create(&mut wanted, "/a", 10);
    create(&mut wanted, "/large", DATA_BYTES_MAX as usize + 1);
    let (outcome, paths) = outcome(Restoring::On, &wanted);
    let too_large = RestoreError::TooLarge {
        path: Path::parse("/large").expect("a path"),
        bytes: DATA_BYTES_MAX as usize + 1,
        max: DATA_BYTES_MAX,
    };
    assert_eq!(outcome, Err(too_large));
    assert!(!paths.iter().any(|there| there == "/a"));
}

#[test]
fn who_is_not_told_to_does_not() {
    let mut wanted = Tree::new();
    create(&mut wanted, "/a", 10);
    let (refused, paths) = outcome(Restoring::Off, &wanted);
    assert_eq!(refused, Err(RestoreError::Disabled));
    assert!(!paths.iter().any(|there| there == "/a"));
    let (done, paths) = outcome(Restoring::On, &wanted);
    // The znode, and how many children the root has created.
    assert_eq!(done.map(|done| done.changes), Ok(2));
    assert!(paths.iter().any(|there| there == "/a"));
}
