//! A local ensemble from its start to its end.

use std::io::{self, Write};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::LocalEnsemble;
use crate::local_ensemble::failure::Failure;
use crate::local_ensemble::fleet::Fleet;
use crate::local_ensemble::layout::{self, Member};

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
