//! One turn of one peer: its servers start, take the load of every cell, and stop.

use std::path::Path;
use std::time::{Duration, Instant};

use althing_program::bench::connection::Trouble;

use super::cluster::Cluster;
use super::etcd;
use super::kind::{Peer, Protocol};
use crate::load::throughput::{self, CELLS, Sample, Targets};

/// What a turn has shown.
pub struct Turn {
    /// From the start of the first process until every server serves.
    pub start: Duration,
    /// Memory of all servers together when they serve, and after the load.
    pub fresh_bytes: u64,
    pub loaded_bytes: u64,
    /// In the order of [`CELLS`].
    pub cells: Vec<Sample>,
}

pub fn play(peer: &Peer, servers: u8, above: &Path, cell_lasts: Duration) -> Result<Turn, Trouble> {
    let home = tempfile::tempdir_in(above)?;
    let began = Instant::now();
    let mut cluster = Cluster::start(peer, servers, home.path())?;
    cluster.wait()?;
    let start = began.elapsed();
    let loaded = cluster.loaded();
    let memory = || -> Result<u64, Trouble> {
        let mut bytes = 0;
        for process in &loaded.processes {
            bytes += process.resident_bytes()?;
        }
        Ok(bytes)
    };
    let fresh_bytes = memory()?;
    let cells = match peer.kind().protocol() {
        Protocol::ZooKeeper => {
            let targets = Targets::create(loaded.addresses[0])?;
            let measure = |cell| throughput::measure(&loaded, &targets, cell, cell_lasts);
            CELLS.map(measure).into_iter().collect::<Result<_, _>>()?
        }
        Protocol::Etcd => etcd::measure(&loaded, cell_lasts)?,
    };
    Ok(Turn {
        start,
        fresh_bytes,
        loaded_bytes: memory()?,
        cells,
    })
}
