//! A sharded cache that finds its shards: shards register and own slots of the keys, routers watch
//! who owns what, and when a shard dies its slots move; nobody ever reads what was overwritten.
//!
//! The same code runs for real and on the simulated bed:
//!
//! ```console
//! $ cargo run --release --example cache -- try --seeds 0..50
//! $ cargo run --release --example cache -- try --bug keep-what-was-cached --seeds 0..50
//!
//! $ cargo serve                                                           # in a second terminal
//! $ cargo run --release --example cache -- origin --port 7200             # in a third
//! $ cargo run --release --example cache -- shard --name a --port 7201     # in a fourth
//! $ cargo run --release --example cache -- put key 7
//! $ cargo run --release --example cache -- get key
//! ```

#[path = "../wire/lines.rs"]
mod lines;
mod origin;
mod router;
mod shard;
mod slots;
mod surroundings;
mod trial;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use althing_client::config::ClientConfig;
use althing_client::runtime::Tokio;
use althing_client::sessions::Sessions;
use althing_sim::seeds::closed_range;
use clap::{Parser, Subcommand, ValueEnum};

use crate::origin::{Origin, Source};
use crate::router::Router;
use crate::shard::{Memory, Shard};
use crate::surroundings::Surroundings;

/// A sharded cache that finds its shards.
#[derive(Parser)]
struct Arguments {
    /// Althing's servers
    #[arg(long, global = true, default_value = "127.0.0.1:2181")]
    servers: String,
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
    /// Be the origin
    Origin {
        #[arg(long, default_value_t = 7200)]
        port: u16,
    },
    /// Be a shard
    Shard {
        #[arg(long)]
        name: String,
        #[arg(long)]
        port: u16,
        #[arg(long, default_value = "127.0.0.1:7200")]
        origin: String,
    },
    /// Set a key
    Put { key: String, value: u64 },
    /// Read a key
    Get { key: String },
}

#[derive(Clone, Copy, ValueEnum)]
enum Bug {
    /// A shard that loses a slot and gets it back serves what it knew before
    KeepWhatWasCached,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Try { bug, seeds } => try_it(bug, seeds),
        command => {
            let runtime = tokio::runtime::Runtime::new().expect("tokio can be started");
            match runtime.block_on(for_real(command, &arguments.servers)) {
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
    let (memory, name) = match bug {
        Some(Bug::KeepWhatWasCached) => (Memory::Kept, Some("keep-what-was-cached")),
        None => (Memory::Cleared, None),
    };
    trial::trial(name)
        .seeds(seeds)
        .told(|bed| trial::serves(bed, memory))
}

async fn for_real(command: Command, servers: &str) -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::new(Tokio, ClientConfig::new(servers.split(',')));
    match command {
        Command::Try { .. } => unreachable!("it runs on the simulated bed"),
        Command::Origin { port } => keep_origin(port).await?,
        Command::Shard { name, port, origin } => {
            let origin = Source {
                runtime: Tokio,
                address: origin,
            };
            let address = format!("127.0.0.1:{port}");
            let listener = Surroundings::listen(&Tokio, port).await?;
            let shard = Shard::new(&name, address, sessions, origin, Memory::Cleared);
            shard.run(listener).await;
        }
        Command::Put { key, value } => {
            let done = Router::open(&sessions).await?.put(&key, value).await;
            println!("{}", done.map_or("nobody knows", |()| "set"));
        }
        Command::Get { key } => match Router::open(&sessions).await?.get(&key).await {
            Some(value) => println!("{value}"),
            None => println!("nobody answers"),
        },
    }
    Ok(())
}

async fn keep_origin(port: u16) -> std::io::Result<()> {
    let listener = Surroundings::listen(&Tokio, port).await?;
    let origin = Arc::new(Mutex::new(Origin::default()));
    println!("the origin listens on {port}, and remembers until it is stopped");
    loop {
        let stream = Tokio::accept(&listener).await?;
        let origin = origin.clone();
        tokio::spawn(async move {
            let answer = |question: String| {
                let answer = origin.lock().expect("no panic within").answer(&question);
                std::future::ready(answer)
            };
            if let Err(error) = lines::answer(stream, answer).await {
                eprintln!("somebody left: {error}");
            }
        });
    }
}
