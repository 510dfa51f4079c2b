//! A job scheduler with a master: candidates stand for election, workers register, the master hands
//! out jobs, and each job's effect on the store happens exactly once, whoever dies meanwhile.
//!
//! The same code runs for real and on the simulated bed:
//!
//! ```console
//! $ cargo run --release --example scheduler -- try --seeds 0..50
//! $ cargo run --release --example scheduler -- try --bug forget-fencing --seeds 0..50
//!
//! $ cargo serve                                                     # in a second terminal
//! $ cargo run --release --example scheduler -- store                # in a third
//! $ cargo run --release --example scheduler -- serve --name alpha   # in a fourth and a fifth
//! $ cargo run --release --example scheduler -- submit "print the report"
//! ```

#[path = "../wire/lines.rs"]
mod lines;
mod master;
mod planning;
mod store;
mod trial;
mod worker;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use althing_client::sessions::Sessions;
use althing_client::znode::CreateMode;
use althing_sim::seeds::closed_range;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;

use crate::master::{Candidate, Fencing};
use crate::planning::JOBS;
use crate::store::{Store, Teller};
use crate::worker::Worker;

/// A job scheduler with a master.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it on the simulated bed
    Try {
        /// With this bug
        #[arg(long)]
        bug: Option<Bug>,
        /// The seeds, A..B
        #[arg(long, value_parser = closed_range, default_value = "0..50")]
        seeds: Range<u64>,
    },
    /// Be the store
    Store {
        #[arg(long, default_value = "127.0.0.1:7100")]
        listen: String,
    },
    /// Be a candidate and a worker
    Serve {
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "127.0.0.1:2181")]
        servers: String,
        #[arg(long, default_value = "127.0.0.1:7100")]
        store: String,
    },
    /// Submit a job
    Submit {
        what: String,
        #[arg(long, default_value = "127.0.0.1:2181")]
        servers: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Bug {
    /// The master does not tell the store who it is
    ForgetFencing,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Try { bug, seeds } => try_it(bug, seeds),
        command => {
            let runtime = tokio::runtime::Runtime::new().expect("tokio can be started");
            match runtime.block_on(for_real(command)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn try_it(bug: Option<Bug>, seeds: Range<u64>) -> ExitCode {
    let (fencing, name) = match bug {
        Some(Bug::ForgetFencing) => (Fencing::Forgotten, Some("forget-fencing")),
        None => (Fencing::Kept, None),
    };
    trial::trial(name)
        .seeds(seeds)
        .told(|bed| trial::schedules(bed, fencing))
}

async fn for_real(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Try { .. } => unreachable!("it runs on the simulated bed"),
        Command::Store { listen } => keep_store(&listen).await?,
        Command::Serve {
            name,
            servers,
            store,
        } => serve(name, &servers, store).await,
        Command::Submit { what, servers } => println!("{}", submit(&what, &servers).await?),
    }
    Ok(())
}

fn sessions(servers: &str) -> Sessions<Tokio> {
    Sessions::new(Tokio, ClientConfig::new(servers.split(',')))
}

async fn keep_store(listen: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let store = Arc::new(Mutex::new(Store::default()));
    let listen = listener.local_addr()?;
    println!("the store listens on {listen}, and remembers until it is stopped");
    loop {
        let (stream, _) = listener.accept().await?;
        let store = store.clone();
        tokio::spawn(async move {
            let answer = |question: String| {
                let mut store = store.lock().expect("no panic within");
                let answer = store.answer(&question, |job| println!("{job} has its effect"));
                std::future::ready(answer.to_string())
            };
            if let Err(error) = lines::answer(stream, answer).await {
                eprintln!("somebody left: {error}");
            }
        });
    }
}

async fn serve(name: String, servers: &str, store: String) {
    let candidate = Candidate {
        name: name.clone(),
        sessions: sessions(servers),
        store: Teller {
            runtime: Tokio,
            address: store,
        },
        fencing: Fencing::Kept,
    };
    let worker = Worker {
        name,
        sessions: sessions(servers),
    };
    let work = |job: String, says: Vec<u8>| async move {
        println!("{job}: {}", String::from_utf8_lossy(&says));
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    tokio::join!(
        candidate.run(|event| println!("{event:?}")),
        worker.run(work)
    );
}

async fn submit(what: &str, servers: &str) -> Result<String, ClientError> {
    let client = sessions(servers).client().await?;
    client.ensure(JOBS).await?;
    let prefix = format!("{JOBS}/job-");
    let created = client
        .create(&prefix, what, CreateMode::PersistentSequential)
        .await?;
    client.close().await?;
    Ok(created.path.as_str().to_owned())
}
