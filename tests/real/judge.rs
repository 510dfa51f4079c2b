//! The judgement of a run of real processes: the servers' data directories read with the servers'
//! own code, and the history of the clients held against them by the simulator's checkers.

use std::time::Duration;

use althing::os_disk::OsDisk;
use althing::storage::settings::StorageSettings;
use althing::storage::storage::open;
use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_sim::check::outside::{Disk, check};
use althing_sim::history::{History, Received, What};

use crate::real::clients::here;
use crate::real::ensemble::{Ensemble, TICK_MS};
use crate::real::process::{Life, Member};
use crate::real::witness::Witness;

/// What a run was like, for people.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// How many answers clients got.
    pub answers: usize,
    /// How many transactions were agreed, as the longest log has them.
    pub agreed: usize,
    /// How many epochs were opened.
    pub epochs: usize,
    /// How many connections there were.
    pub links: usize,
}

/// Judges what `witness` saw of an ensemble whose servers have ended.
///
/// # Panics
/// If a rule was broken; data and logs are kept, and the panic tells where.
pub fn judge(ensemble: &mut Ensemble, witness: &Witness) -> Figures {
    let disks: Vec<Disk> = ensemble.members.iter().map(read).collect();
    let (history, mut broken) = witness.finish();
    let tick = Duration::from_millis(TICK_MS.into());
    broken.extend(check(&history, &disks, tick));
    if !broken.is_empty() {
        let kept = ensemble.keep();
        let lines = broken.iter().map(|found| {
            let (at, name, detail) = (found.at, found.invariant, &found.detail);
            format!("{at:?} {name}: {detail}\n")
        });
        let lines: String = lines.collect();
        panic!("broken rules; data and logs are in {kept}\n{lines}");
    }
    figures(&history, &disks)
}

/// What a server's disk holds.
fn read(member: &Member) -> Disk {
    let server = member.server;
    assert_eq!(
        member.life(),
        Life::Dead,
        "server {server} uses its data still"
    );
    let disk = OsDisk::lock(&member.directory()).expect("nobody else uses it");
    let opening = open(
        disk,
        StorageSettings::default(),
        ServerId(server),
        DirectoryId(0),
    );
    let opened = here(opening).unwrap_or_else(|error| panic!("server {server}: {error}"));
    let recovered = opened.recovered;
    let from = recovered.store.applied();
    assert_eq!(
        from,
        Zxid::ZERO,
        "server {server} has a snapshot and not the whole log"
    );
    Disk {
        server: ServerId(server),
        entries: recovered.entries,
    }
}

fn figures(history: &History, disks: &[Disk]) -> Figures {
    let count = |is: fn(&What) -> bool| {
        let moments = history.moments.iter();
        moments.filter(|moment| is(&moment.what)).count()
    };
    let longest = disks.iter().max_by_key(|disk| disk.entries.len());
    let entries = longest.map_or(&[][..], |disk| &disk.entries);
    let opens = entries.iter().filter(|entry| entry.zxid.counter() == 0);
    Figures {
        answers: count(|what| {
            let answer = |frame: &Received| {
                matches!(
                    frame,
                    Received::Reply {
                        request: Some(_),
                        ..
                    }
                )
            };
            matches!(what, What::Received { frame, .. } if answer(frame))
        }),
        agreed: entries.len(),
        epochs: opens.count(),
        links: count(|what| matches!(what, What::LinkOpened { .. })),
    }
}
