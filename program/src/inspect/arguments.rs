//! The flags of `althing inspect`.

use std::path::PathBuf;

use althing_core::ids::{Epoch, Zxid};
use clap::{Args, Subcommand, ValueEnum};

/// Shows, checks or compares files of the storage.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Nothing is ever written, and the server may be running meanwhile.

Exit codes: 0 all is whole, or equal; 1 something is damaged, missing or different; 2 there was \
nothing to look at.")]
pub struct Inspect {
    /// Which kind of file.
    #[command(subcommand)]
    pub kind: Kind,
}

/// The kinds of files.
#[derive(Clone, Debug, Subcommand)]
pub enum Kind {
    /// Segments of the log (log.*): every record, and where it stands
    Log(Log),
    /// A snapshot (snapshot.*): sessions, members and every znode
    Snapshot(Snapshot),
}

/// What to do with segments.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// The segments, in their order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Compare with this segment, as a rule another server's: where the entries that stand differ;
    /// once for each segment
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub diff: Vec<PathBuf>,

    /// Show entries from this position on, as 3.17 or 0x300000011
    #[arg(long, value_name = "ZXID", value_parser = position)]
    pub from: Option<Zxid>,

    /// Show entries up to this position
    #[arg(long, value_name = "ZXID", value_parser = position)]
    pub to: Option<Zxid>,

    /// How.
    #[command(flatten)]
    pub manner: Manner,
}

/// What to do with a snapshot.
#[derive(Clone, Debug, Args)]
pub struct Snapshot {
    /// The snapshot
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Compare with this snapshot
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub diff: Option<PathBuf>,

    /// Only the znode at this path and those below it
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,

    /// How.
    #[command(flatten)]
    pub manner: Manner,
}

/// How to show what was found.
#[derive(Clone, Debug, Args)]
pub struct Manner {
    /// Only check, and tell the sum of it
    #[arg(long)]
    pub check: bool,

    /// One JSON object a line
    #[arg(long)]
    pub json: bool,

    /// How much to show of znodes' data
    #[arg(long, value_name = "HOW", default_value = "short")]
    pub data: Showing,
}

/// How much of a znode's data is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Showing {
    /// Its length
    None,
    /// Its length, and its beginning
    Short,
    /// All of it
    Full,
}

/// A position, in our own notation or in ZooKeeper's.
fn position(text: &str) -> Result<Zxid, String> {
    let read = match (text.strip_prefix("0x"), text.split_once('.')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok().map(Zxid),
        (None, Some((epoch, counter))) => epoch
            .parse()
            .ok()
            .zip(counter.parse().ok())
            .map(|(epoch, counter)| Zxid::new(Epoch(epoch), counter)),
        (None, None) => None,
    };
    read.ok_or_else(|| "a position is EPOCH.COUNTER or 0x and hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_in_both_notations() {
        let zxid = Zxid::new(Epoch(3), 17);
        assert_eq!(position("3.17"), Ok(zxid));
        assert_eq!(position("0x300000011"), Ok(zxid));
        for text in ["3", "0x", "3.", ".17", "3.17.1", "0xg", "-1.0"] {
            assert!(position(text).is_err(), "{text}");
        }
    }
}
