//! The flags of `althing cli`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;

/// Times in milliseconds: more than a round trip, at most a day.
const TIMES_MS: RangeInclusive<u64> = 100..=86_400_000;

/// Asks servers, once or in a conversation.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Without a command, commands are read from the terminal, or line by line from standard input; `help` \
lists them. They are called as in ZooKeeper's zkCli.

Exit codes: 0 done; 1 the server refused; 2 the command is not understood; 3 no server answered, or \
the connection was lost and nobody knows whether the command was executed.")]
pub struct Cli {
    /// Where the servers are, as HOST:PORT, separated by commas
    #[arg(
        long,
        short,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:2181"
    )]
    #[arg(value_delimiter = ',')]
    pub server: Vec<String>,

    /// The session time-out to ask for, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(TIMES_MS))]
    pub timeout_ms: u64,

    /// How long to look for a server, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(TIMES_MS))]
    pub patience_ms: u64,

    /// Take a server that has no leader, too: it is only read from (zkCli's -r)
    #[arg(long, short)]
    pub read_only: bool,

    /// As whom to ask, as SCHEME:CREDENTIAL (digest:user:password, or sasl:user:password for
    /// DIGEST-MD5); other users of this machine may see it: the variable ALTHING_AUTH is safer
    #[arg(long, value_name = "SCHEME:CREDENTIAL")]
    pub auth: Vec<String>,

    /// Speak TLS with the servers
    #[arg(long, requires = "ca")]
    pub tls: bool,

    /// The authorities that sign servers, in PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca: Option<PathBuf>,

    /// Who this shell is: its certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "key", requires = "tls")]
    pub certificate: Option<PathBuf>,

    /// The private key of the certificate, in PEM, which no password protects
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,

    /// Answer in JSON, one object a line; errors too, on standard error
    #[arg(long)]
    pub json: bool,

    /// One command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}
