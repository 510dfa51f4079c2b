//! `althing ensemble`: several servers on this machine, as processes of this very program, for
//! trying things out. Each has a configuration file of its own, by which it can be started alone
//! too.

pub mod fleet;
pub mod layout;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::LocalEnsemble;
use crate::local_ensemble::fleet::Fleet;
use crate::local_ensemble::layout::Member;

/// Why there is no ensemble.
#[derive(Debug, Error)]
pub enum Failure {
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The directory is another ensemble's.
    #[error(
        "{directory} holds an ensemble of {found} servers, not of {wanted}; say --servers {found}, \
         or another --data-dir"
    )]
    OtherSize {
        /// The directory.
        directory: PathBuf,
        /// Its servers.
        found: usize,
        /// Those that are asked for.
        wanted: u8,
    },
    /// The ports end at 65535.
    #[error("there are no {servers} ports from {first} on")]
    Ports {
        /// How many are needed.
        servers: u8,
        /// The first.
        first: u16,
    },
    /// A server ended before all served.
    #[error("server {server} has ended at its start ({status}); its log tells why: {log}")]
    Stillborn {
        /// Which.
        server: u8,
        /// How.
        status: ExitStatus,
        /// Where its log is.
        log: PathBuf,
    },
    /// All servers have ended by themselves.
    #[error("no server is left")]
    NoneLeft,
    /// Anything else.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

/// Starts the ensemble and waits for its end: SIGINT or SIGTERM ends all of it. A server that ends
/// by itself is told of and not started again.
///
/// # Errors
/// If it cannot be started, or all servers have ended by themselves.
pub fn run(flags: &LocalEnsemble) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut stop = Stop::new()?;
        let members = layout::lay_out(flags).await?;
        let mut fleet = Fleet::start(flags, &members)?;
        let lived = tokio::select! {
            biased;
            () = stop.asked() => Ok(()),
            failure = live(&mut fleet, &members) => Err(failure),
        };
        fleet.stop(stop.asked()).await;
        lived
    })
}

/// Tells when all serve, and from then on of each that ends.
async fn live(fleet: &mut Fleet, members: &[Member]) -> Failure {
    if let Err(failure) = fleet.until_all_serve(members).await {
        return failure;
    }
    if let Err(error) = greet(fleet, members) {
        return error.into();
    }
    while let Some((server, ended)) = fleet.next_end().await {
        match ended {
            Ok(status) => eprintln!("server {server} has ended: {status}"),
            Err(error) => return error.into(),
        }
    }
    Failure::NoneLeft
}

fn greet(fleet: &Fleet, members: &[Member]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for member in members {
        let Member {
            server,
            client,
            log,
            ..
        } = member;
        let pid = fleet.pid(*server).unwrap_or_default();
        let log = log.display();
        writeln!(out, "server {server}: {client}, process {pid}, log {log}")?;
    }
    let clients: Vec<String> = members.iter().map(|one| one.client.to_string()).collect();
    writeln!(out, "althing ensemble serves at {}", clients.join(","))?;
    out.flush()
}

/// Told to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
