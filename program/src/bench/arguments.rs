//! The flags of `althing bench`.

use std::str::FromStr;

use clap::Args;

/// Loads servers for a while.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
All znodes are ephemeral, below a container of their own (/althing-bench-...), so nothing is left \
behind. Nothing else is touched.

Exit codes: 0 all was answered; 1 requests were refused; 2 the load was not possible, or broke off.")]
pub struct Bench {
    /// Where the servers are, as HOST:PORT, separated by commas; connections take turns
    #[arg(
        long,
        short,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:2181"
    )]
    #[arg(value_delimiter = ',')]
    pub server: Vec<String>,

    /// Connections, each with a session of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,

    /// Requests that each connection has unanswered at any time
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub in_flight: u32,

    /// What is asked, with weights: get, set, create
    #[arg(
        long,
        value_name = "OPERATION=WEIGHT,...",
        default_value = "get=90,set=10"
    )]
    pub mix: Mix,

    /// Bytes of data in each znode
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub bytes: u32,

    /// Znodes that are read and set, drawn anew for every request
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub znodes: u32,

    /// For how long
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,

    /// Threads that generate the load, each with its share of the connections
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,

    /// Tell the result as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Work {
    /// Reads a znode's data.
    Get,
    /// Sets a znode's data.
    Set,
    /// Creates an ephemeral znode with a number.
    Create,
}

impl Work {
    /// All kinds.
    pub const ALL: [Work; 3] = [Work::Get, Work::Set, Work::Create];

    /// As operators write it.
    pub fn name(self) -> &'static str {
        match self {
            Work::Get => "get",
            Work::Set => "set",
            Work::Create => "create",
        }
    }
}

/// How often what is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mix {
    weights: Vec<(Work, u64)>,
}

/// The largest weight.
const WEIGHT_MAX: u64 = 1_000_000;

impl Mix {
    /// What a drawn number stands for.
    pub fn drawn(&self, number: u64) -> Work {
        let sum: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = number % sum;
        for (work, weight) in &self.weights {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return *work,
            }
        }
        unreachable!("{number} is drawn below the sum of all weights")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let mut weights: Vec<(Work, u64)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let work = Work::ALL.into_iter().find(|work| work.name() == name);
            let work = work.ok_or_else(|| format!("{name:?} is not get, set or create"))?;
            let weight = weight.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
            let weight =
                weight.ok_or_else(|| format!("{part}: a weight is at most {WEIGHT_MAX}"))?;
            if weights.iter().any(|(known, _)| *known == work) {
                return Err(format!("{name} stands twice"));
            }
            weights.push((work, weight));
        }
        match weights.iter().any(|(_, weight)| *weight > 0) {
            true => Ok(Mix { weights }),
            false => Err("all weights are 0".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_drawn_by_its_weights() {
        let mix: Mix = "get=2,set=0,create".parse().unwrap();
        let drawn: Vec<Work> = (0..4).map(|number| mix.drawn(number)).collect();
        let (get, create) = (Work::Get, Work::Create);
        assert_eq!(drawn, [get, get, create, get]);
        for wrong in [
            "",
            "get=0",
            "get=1,get=2",
            "read=1",
            "get=-1",
            "get=1000001",
        ] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong:?}");
        }
    }
}
