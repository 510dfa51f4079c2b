//! Measurements: of the tree beside what could have been chosen instead, of the real server, and of
//! the fail-over of a real ensemble.

// Servers are measured through what Linux tells of a process and a machine.
#[cfg(target_os = "linux")]
mod failover;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod loopback;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod process;
mod tree;
mod watches;

use std::error::Error;

use clap::Parser;

/// Measures Althing and what could have been chosen instead.
#[derive(Parser)]
enum Command {
    /// Three structures for the tree of znodes, on the same work.
    Tree(tree::Args),
    /// The table of watches: memory per watch, and the time to leave and to fire one.
    Watches,
    /// A server's binary under load: throughput, latency, processor time, memory, start-up.
    #[cfg(target_os = "linux")]
    Load(load::Args),
    /// Althing beside Apache ZooKeeper and etcd: the same load on each, in turns.
    #[cfg(target_os = "linux")]
    Peers(peers::Args),
    /// An ensemble's binary: how long it acknowledges nothing when its leader dies.
    #[cfg(target_os = "linux")]
    Failover(failover::Args),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse() {
        Command::Tree(args) => tree::run(&args),
        Command::Watches => watches::run(),
        #[cfg(target_os = "linux")]
        Command::Load(args) => load::run(&args).map_err(|trouble| -> Box<dyn Error> { trouble }),
        #[cfg(target_os = "linux")]
        Command::Peers(args) => peers::run(&args).map_err(|trouble| -> Box<dyn Error> { trouble }),
        #[cfg(target_os = "linux")]
        Command::Failover(args) => failover::run(&args),
    }
}
