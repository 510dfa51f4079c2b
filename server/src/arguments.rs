//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::draft::LogFormat;

/// A coordination service that speaks ZooKeeper's client protocol.
#[derive(Clone, Debug, Parser)]
#[command(name = "althing", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or SIGINT
    Serve(Serve),
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
}
