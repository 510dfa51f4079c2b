//! The command line of servers.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::draft::LogFormat;

/// How many servers `althing ensemble` starts: more than 11 vote slowly, and few lose five machines
/// at once.
pub const SERVERS: RangeInclusive<u8> = 1..=11;

/// Servers, without the tools around them.
#[derive(Clone, Debug, Parser)]
#[command(name = "althing", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with servers.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or SIGINT
    Serve(Serve),
    /// Start several servers on this machine, each a process of its own; ^C stops them all
    Ensemble(LocalEnsemble),
}

/// Which servers to start.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub struct LocalEnsemble {
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8)
        .range(i64::from(*SERVERS.start())..=i64::from(*SERVERS.end())))]
    pub servers: u8,

    /// Where their data, configuration files and logs lie
    #[arg(long, value_name = "DIRECTORY", default_value = "./althing-ensemble")]
    pub data_dir: PathBuf,

    /// Where the first serves clients; the others follow. Port 0 takes any that are free
    #[arg(long, value_name = "PORT", default_value_t = 2181)]
    pub client_port: u16,

    /// Where the first is found by the others, who follow. Port 0 takes any that are free
    #[arg(long, value_name = "PORT", default_value_t = 2888)]
    pub peer_port: u16,

    /// What they log, as for `althing serve`
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// How to serve. What is given here beats what the file says.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// A configuration file, in TOML or in the notation of ZooKeeper's zoo.cfg
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the data lies [default: ./althing-data]
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// Where to listen; port 0 takes any that is free [default: 127.0.0.1:2181]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where the admin interface is: ZooKeeper's commands over HTTP, health and metrics, for
    /// everybody who reaches it [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// Where metrics for Prometheus are, beside the admin interface's own [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// Which of the listed servers this one is; else the file's key id, or the file myid in the
    /// data directory, tells
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    pub id: Option<u8>,

    /// The format of the log, which goes to stderr [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What is logged: error, warn, info, debug, trace, or levels by target as in RUST_LOG; beats
    /// the variable ALTHING_LOG [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Write what the protocol does into this file, for `cargo sim verify-trace`; slows the server
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// The process that started this one, without which it stops
    #[arg(long, value_name = "PID", hide = true)]
    pub parent: Option<i32>,
}
