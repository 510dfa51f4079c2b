//! A warden sets quotas on what other clients share, near to what is there, so that they run into
//! them; it moves the limits, nests them, and takes them away, also half of one.
//!
//! What the wire shows is judged by the reference. The warden looks with its own eyes as well: it
//! reads the stats and everything that they count from one state, and they must be equal. After
//! the faults it takes all hard limits away and looks until it has seen that once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::znode::Version;
use althing_core::code::Code;
use althing_core::node::reply::PartRead;
use althing_core::node::request::ReadPart;
use althing_core::tree::path::Path;
use althing_core::tree::quota::{Limits, Usage, limits_path, stats_path};

use crate::random::Stream;
use crate::reference::access::SUPER_CREDENTIAL;
use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, Debt, debts};
use crate::workload::deeds::DIRECTORY;
use crate::workload::persistence::{SESSION, next_round, persevere, sessions};
use crate::world::runtime::SimRuntime;

/// The name of the rule that it checks.
const TRUE_STATS: &str = "Q1 quota";

/// Znodes that it looks at together, at most: more than a story has.
const LOOKED_AT_MAX: usize = 2_000;

/// The warden's watch.
pub struct Guarded {
    done: Board<bool>,
    owed: Vec<Debt>,
}

/// What it saw.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    /// Stats that say what is there.
    True,
    /// Stats that do not.
    False(String),
    /// No quota, or the znodes changed between two looks.
    Nothing,
}

/// The children of each znode of a subtree.
type Known = BTreeMap<String, BTreeSet<Arc<str>>>;

/// What several reads from one state gave.
type Read = Vec<Result<PartRead, Code>>;

impl Guarded {
    /// Begins it, over so many shared znodes.
    pub fn begin(bed: &Bed, every: Duration, znodes: u64) -> Guarded {
        let name = [Arc::from("warden")];
        let done = Board::new(false);
        let owed = debts(bed, &name, "counts what is there");
        let of_warden = done.clone();
        bed.process("warden", move |process| {
            guard(process, every, znodes, of_warden.clone())
        });
        Guarded { done, owed }
    }

    /// Ends when it has seen that the stats are true.
    pub async fn end(self, bed: &Bed) {
        self.done.until_paid(bed, self.owed, |done, _| *done).await;
    }
}

async fn guard(process: Process, every: Duration, znodes: u64, done: Board<bool>) {
    let sessions = sessions(&process, SESSION);
    while let Some((client, mut random)) = next_round(&process, &sessions, every).await {
        let outcome = match client {
            Ok(client) => round(&process, &client, &mut random, znodes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a round of the warden");
        }
    }
    persevere(&sessions, |client| {
        last_look(&process, client, znodes, &done)
    })
    .await;
}

/// No limit refuses anybody any more; and what is there is counted once more. Where an operator
/// restores snapshots, which may have other quotas, it is so until nobody else has a word to say.
async fn last_look(
    process: &Process,
    client: Client<SimRuntime>,
    znodes: u64,
    done: &Board<bool>,
) -> Result<(), ClientError> {
    client.add_auth("digest", SUPER_CREDENTIAL).await?;
    let soft = Limits {
        count: Some(1),
        ..Limits::default()
    };
    loop {
        for znode in 0..znodes {
            client.remove_quota(&of(Some(znode))).await?;
        }
        client.set_quota(DIRECTORY, soft).await?;
        if look(process, &client, DIRECTORY).await? == Seen::True {
            done.note(|done| *done = true);
            if !process.bed().restores() {
                return Ok(());
            }
        }
        process.runtime.sleep(Duration::from_millis(500)).await;
    }
}

fn of(znode: Option<u64>) -> String {
    match znode {
        Some(znode) => format!("{DIRECTORY}/z-{znode}"),
        None => DIRECTORY.to_owned(),
    }
}

/// One deed, drawn.
async fn round(
    process: &Process,
    client: &Client<SimRuntime>,
    random: &mut Stream,
    znodes: u64,
) -> Result<(), ClientError> {
    let (deed, room) = (random.below(10), random.below(4));
    let (is_soft, is_both) = (random.chance(0.2), random.chance(0.3));
    let below = random.below(znodes);
    let path = of(random.chance(0.5).then_some(below));
    client.add_auth("digest", SUPER_CREDENTIAL).await?;
    let limits = |usage: Usage| {
        let (count, bytes) = (Some(usage.count + room), Some(usage.bytes + 16 * room));
        let hard = |limit: Option<u64>| limit.filter(|_| !is_soft);
        Limits {
            count: count.filter(|_| is_soft || is_both),
            bytes: bytes.filter(|_| is_soft),
            count_hard: hard(count),
            bytes_hard: hard(bytes).filter(|_| is_both),
        }
    };
    match deed {
        0..5 => {
            let usage = match client.quota(&path).await? {
                Some(quota) => quota.usage,
                None => Usage {
                    count: u64::from(client.count_below(&path).await?) + 1,
                    bytes: 64,
                },
            };
            client.set_quota(&path, limits(usage)).await?;
            process.mark("quota-set", "");
        }
        5 => drop(client.remove_quota(&path).await?),
        // One half of a quota is none, and comes back when there is the other.
        6 => client.delete(&limits_path(&path), Version::Any).await?,
        7 => client.delete(&stats_path(&path), Version::Any).await?,
        8 => {
            let (stats, lie) = (stats_path(&path), "count=0,bytes=0");
            client.set_data(&stats, lie, Version::Any).await?;
        }
        _ => {}
    }
    look(process, client, &path).await?;
    Ok(())
}

/// Reads the stats of a quota and what they count from one state.
async fn look(
    process: &Process,
    client: &Client<SimRuntime>,
    root: &str,
) -> Result<Seen, ClientError> {
    let mut known = Known::new();
    let mut open = vec![root.to_owned()];
    while let Some(parent) = open.pop() {
        let names = match client.children(&parent).await {
            Ok(children) => children.names,
            Err(ClientError::Server(Code::NoNode)) => continue,
            Err(error) => return Err(error),
        };
        open.extend(names.iter().map(|name| format!("{parent}/{name}")));
        known.insert(parent, names.into_iter().collect());
        if known.len() > LOOKED_AT_MAX {
            return Ok(Seen::Nothing);
        }
    }
    let at = |path: &str| Path::parse(path).expect("a znode's path");
    let mut parts = vec![
        ReadPart::Data(at(&limits_path(root))),
        ReadPart::Data(at(&stats_path(root))),
        ReadPart::Data(at(root)),
    ];
    for path in known.keys() {
        parts.extend([ReadPart::Data(at(path)), ReadPart::Children(at(path))]);
    }
    let seen = seen(&known, client.read_several(parts).await?);
    match &seen {
        Seen::True => process.mark("quota-checked", ""),
        Seen::False(what) => process.violate(TRUE_STATS, format!("on {root}: {what}")),
        Seen::Nothing => {}
    }
    Ok(seen)
}

/// What limits, stats, the root, and data and children of every known znode say together.
fn seen(known: &Known, read: Read) -> Seen {
    let mut read = read.into_iter();
    let (limits, stats, root) = (read.next(), read.next(), read.next());
    let Some(Ok(PartRead::Data { data: stats, .. })) = stats else {
        return Seen::Nothing;
    };
    // Without limits the stats are nobody's; and a root that has come since is not known.
    let is_there = matches!(root, Some(Ok(_)));
    if !matches!(limits, Some(Ok(_))) || is_there == known.is_empty() {
        return Seen::Nothing;
    }
    let mut usage = Usage::default();
    for (parent, names) in known {
        let (data, children) = (read.next(), read.next());
        let (Some(Ok(PartRead::Data { data, .. })), Some(Ok(PartRead::Children(children)))) =
            (data, children)
        else {
            return Seen::Nothing;
        };
        // A child that was gone when it was to be listed, and is there again, is not known.
        let is_known = |name: &Arc<str>| known.contains_key(&format!("{parent}/{name}"));
        if *names != children.into_iter().collect() || !names.iter().all(is_known) {
            return Seen::Nothing;
        }
        usage.count += 1;
        usage.bytes += data.map_or(0, |data| data.len() as u64);
    }
    let said = stats.map(|stats| String::from_utf8_lossy(&stats).into_owned());
    let is = usage.to_string();
    match said.as_deref() == Some(&is) {
        true => Seen::True,
        false => Seen::False(format!("the stats say {said:?}, and there are {is}")),
    }
}

#[cfg(test)]
mod tests {
    use althing_core::tree::data::Data;
    use althing_core::tree::stat::Stat;

    use super::*;

    fn data(text: &str) -> Result<PartRead, Code> {
        Ok(PartRead::Data {
            data: Some(Data::from(text)),
            stat: Stat::default(),
        })
    }

    fn children(names: &[&str]) -> Result<PartRead, Code> {
        let names = names.iter().map(|name| Arc::from(*name));
        Ok(PartRead::Children(names.collect()))
    }

    #[test]
    fn stats_are_true_or_false_only_if_all_that_they_count_was_seen() {
        let known = Known::from([
            ("/a".to_owned(), BTreeSet::from([Arc::from("b")])),
            ("/a/b".to_owned(), BTreeSet::new()),
        ]);
        let read = |stats: &str, below: &[&str]| {
            vec![
                data(""),
                data(stats),
                data("12"),
                data("12"),
                children(&["b"]),
                data("345"),
                children(below),
            ]
        };
        assert_eq!(seen(&known, read("count=2,bytes=5", &[])), Seen::True);
        assert_eq!(seen(&known, read("count=2,bytes=5", &["c"])), Seen::Nothing);
        for lie in ["count=1,bytes=5", "count=2,bytes=4", "count=2", ""] {
            let seen = seen(&known, read(lie, &[]));
            assert!(matches!(seen, Seen::False(_)), "{lie}: {seen:?}");
        }
        let mut come_again = known.clone();
        come_again.remove("/a/b");
        let mut of_parent = read("count=2,bytes=5", &[]);
        of_parent.truncate(5);
        assert_eq!(seen(&come_again, of_parent), Seen::Nothing);
        let mut without = read("count=0,bytes=0", &[]);
        without[0] = Err(Code::NoNode);
        assert_eq!(seen(&known, without), Seen::Nothing);
        let gone = || Err(Code::NoNode);
        let nothing = vec![data(""), data("count=0,bytes=0"), gone()];
        assert_eq!(seen(&Known::new(), nothing), Seen::True);
        let come = vec![data(""), data("count=1,bytes=0"), data("")];
        assert_eq!(seen(&Known::new(), come), Seen::Nothing);
    }
}
