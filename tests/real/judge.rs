//! The judgement of a run of real processes, by the simulator's checkers: the traces of servers and
//! clients, as `cargo sim verify-trace` judges them; and the servers' data directories, read with
//! the servers' own code, with what clients saw held against them.

use std::time::Duration;

use althing::os_disk::OsDisk;
use althing::storage::settings::StorageSettings;
use althing::storage::storage::open;
use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_sim::check::outside::{Disk, check, seen_by_clients};
use althing_sim::traces::judge::{self, Figures};
use althing_sim::traces::merge;

use crate::real::clients::here;
use crate::real::ensemble::{Ensemble, TICK_MS};
use crate::real::process::{Life, Member};
use crate::real::witness::Witness;

/// Judges what the servers and the clients of an ensemble have traced, and what its disks hold.
///
/// # Panics
/// If a rule was broken; data, logs and traces are kept, and the panic tells where.
pub fn judge(ensemble: &mut Ensemble, witness: &Witness) -> Figures {
    let disks: Vec<Disk> = ensemble.members.iter().map(read).collect();
    let (mut traces, mut broken) = witness.finish();
    let of_servers = ensemble.members.iter_mut();
    traces.extend(of_servers.map(|member| member.trace().to_owned()));
    let (merged, figures) = match merge::read(&traces) {
        Ok(merged) => {
            let (by_traces, figures) = judge::judge(&merged);
            broken.extend(by_traces);
            (merged, figures)
        }
        Err(error) => panic!("{error}; data, logs and traces are in {}", ensemble.keep()),
    };
    let tick = Duration::from_millis(TICK_MS.into());
    broken.extend(check(&seen_by_clients(&merged.history), &disks, tick));
    if !broken.is_empty() {
        let kept = ensemble.keep();
        let lines = broken.iter().map(|found| {
            let (at, name, detail) = (found.at, found.invariant, &found.detail);
            format!("{at:?} {name}: {detail}\n")
        });
        let lines: String = lines.collect();
        panic!("broken rules; data, logs and traces are in {kept}\n{lines}");
    }
    figures
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
