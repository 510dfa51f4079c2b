//! An operator takes a snapshot of what a server holds, and has it restored later, by the server's
//! own means. Both happen on the machine of the server, and end with its process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing::restorer;
use althing_core::ids::{ServerId, Zxid};
use althing_core::tree::tree::Tree;

use crate::history::What;
use crate::world::house::House;
use crate::world::record::Recorder;

/// A snapshot, as soon as the server has given it away.
#[derive(Clone, Default)]
pub struct Snapshot(Arc<Mutex<Option<(Zxid, Tree)>>>);

/// Asks a server for a snapshot, if it serves.
pub fn take(house: &House, server: u8) -> Option<Snapshot> {
    let (desk, shell) = house.desk(server)?;
    let snapshot = Snapshot::default();
    let taken = snapshot.clone();
    let run = shell.clone();
    run.run(async move {
        let looked = desk.look(&shell, |view| {
            let store = view.node.store();
            (store.applied(), store.tree().clone())
        });
        *taken.0.lock().expect("no panic within") = looked.await;
    });
    Some(snapshot)
}

/// Has a snapshot restored, if it was given away and the server serves.
pub fn restore(
    house: &House,
    recorder: &Recorder,
    asked: Duration,
    number: u8,
    snapshot: &Snapshot,
) {
    let taken = snapshot.0.lock().expect("no panic within").take();
    let (Some((from, wanted)), Some((desk, shell))) = (taken, house.desk(number)) else {
        return;
    };
    let recorder = recorder.clone();
    let run = shell.clone();
    run.run(async move {
        match restorer::restore(&desk, &shell, &wanted).await {
            Ok(restored) => {
                let (server, at) = (ServerId(number), restored.zxid);
                recorder.record(What::SetBack {
                    server,
                    from,
                    at,
                    asked,
                });
            }
            Err(error) => tracing::debug!(%error, number, "a snapshot is not restored"),
        }
    });
}
