//! The catalogue: which bugs must have a mutant, or a reason why there can be none.

use std::fs;
use std::path::Path;

use crate::score::mutant::Mutant;
use crate::score::trouble::Trouble;

/// Bugs that coordination and consensus systems have shipped, by id: `D`, our catalogue of their
/// kinds; ZooKeeper's six of the multi-grained model checking; those that etcd's robustness tests
/// list.
pub const CATALOGUE: &[(&str, &str)] = &[
    ("D01", "an older epoch's entry agreed by counting"),
    ("D02", "a stale vote counted"),
    ("D03", "a vote that is not durable"),
    ("D04", "a candidate's own vote not recorded"),
    ("D05", "a newer epoch taken for a grant"),
    ("D06", "a vote that ignores how far the log is"),
    ("D07", "a candidate that goes on after a newer epoch"),
    ("D09", "a stale append that cuts"),
    ("D10", "an acknowledgement of more than was verified"),
    ("D11", "a stale mismatch obeyed"),
    ("D13", "a client told at the wrong moment"),
    ("D14", "a change of the members too early"),
    ("D15", "stale members after a snapshot or a lost disk"),
    ("D16", "no cut within a difference"),
    ("D17", "memory that differs from the log at a rejoin"),
    (
        "D18",
        "a synchronisation acknowledged before the disk has it",
    ),
    ("D20", "entries with a hole"),
    ("D21", "a writer that outlives its role"),
    ("D22", "a snapshot of what is not agreed"),
    ("D23", "a snapshot taken over too early"),
    ("D25", "snapshots that are not quite the state"),
    ("D27", "an answer before the leader's own disk has it"),
    ("D28", "a failed sync, or a full disk, ignored"),
    ("D29", "damage taken for a torn tail"),
    ("D30", "epochs that disagree at a start"),
    ("D32", "an old leader that ends sessions"),
    ("D33", "another session instead of one's own"),
    ("D35", "a watch lost, early or late"),
    ("D36", "a lock without fencing"),
    ("D37", "elections without end"),
    (
        "ZOOKEEPER-3023",
        "a follower up to date before it has executed",
    ),
    ("ZOOKEEPER-4394", "a commit during the synchronisation"),
    ("ZOOKEEPER-4643", "the epoch saved before the entries"),
    (
        "ZOOKEEPER-4646",
        "the new leader acknowledged before the entries are saved",
    ),
    (
        "ZOOKEEPER-4685",
        "a leader that an early acknowledgement stops",
    ),
    (
        "ZOOKEEPER-4712",
        "a writer that is not stopped with its follower",
    ),
    (
        "etcd#13766",
        "an inconsistent revision after a crash under load",
    ),
    ("etcd#14370", "a single server that loses a write"),
    (
        "etcd#14571",
        "servers that differ after authentication is enabled",
    ),
    (
        "etcd#14685",
        "an inconsistent revision after a crash while compacting",
    ),
    (
        "etcd#15220",
        "a progress notification that overtakes events",
    ),
    ("etcd#15271", "a watch that travels back in time"),
    ("etcd#17247", "a doubled watch event"),
    ("etcd#17529", "events lost by a slow watcher"),
    ("etcd#17780", "a revision that goes back after a crash"),
    ("etcd#18089", "an event dropped while compacting"),
    (
        "etcd#18667",
        "servers that differ after reading a compacted revision",
    ),
    (
        "etcd#19179",
        "a deletion missing on a watch from a compacted revision",
    ),
    ("etcd#20221", "a watch on the future that tells of the past"),
];

/// A bug that can have no mutant here, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Impossible {
    /// Its id.
    pub id: String,
    /// Why there is no place for it.
    pub reason: String,
}

/// Reads `impossible.md` of the mutants' folder: a table of ids and reasons.
///
/// # Errors
/// If it cannot be read.
pub fn impossible(folder: &Path) -> Result<Vec<Impossible>, Trouble> {
    let path = folder.join("impossible.md");
    let text = fs::read_to_string(&path).map_err(Trouble::file(&path))?;
    Ok(rows(&text))
}

fn rows(text: &str) -> Vec<Impossible> {
    let cells = |line: &str| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let (id, reason) = line.split_once(" | ")?;
        Some(Impossible {
            id: id.to_owned(),
            reason: reason.to_owned(),
        })
    };
    // The first two lines of a table are its head.
    text.lines().filter_map(cells).skip(1).collect()
}

/// The ids of the catalogue that have neither a mutant nor a reason.
pub fn uncovered(mutants: &[Mutant], impossible: &[Impossible]) -> Vec<&'static str> {
    let names = |source: &str, id: &str| {
        let mut words = source.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '#');
        words.any(|word| word == id)
    };
    let real = |mutant: &&Mutant| !mutant.is_harmless();
    let ids = CATALOGUE.iter().map(|(id, _)| *id);
    ids.filter(|id| {
        let planted = mutants.iter().filter(real);
        let mut planted = planted.map(|mutant| mutant.source.as_str());
        !planted.any(|source| names(source, id))
            && !impossible.iter().any(|known| names(&known.id, id))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::configurations;
    use crate::library::Library;
    use crate::score::mutant::read_all;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the workspace")
    }

    #[test]
    fn every_bug_has_a_mutant_or_a_reason() {
        let folder = root().join("tests/mutants");
        let mutants = read_all(&folder).unwrap_or_else(|error| panic!("{error}"));
        let impossible = impossible(&folder).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(uncovered(&mutants, &impossible), [""; 0]);
        let harmless = mutants.iter().filter(|mutant| mutant.is_harmless()).count();
        assert!(harmless >= 10, "only {harmless} harmless mutants");
    }

    #[test]
    fn what_leads_to_a_mutant_exists() {
        let library = Library::at(root());
        for mutant in read_all(&root().join("tests/mutants")).unwrap() {
            if let Some(trigger) = &mutant.trigger {
                let opened = library.open(&trigger.scenario);
                opened.unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
            }
            if let Some(name) = &mutant.explore {
                assert!(
                    configurations::find(name).is_some(),
                    "{}: {name}",
                    mutant.name
                );
            }
        }
    }

    #[test]
    fn an_id_is_found_as_a_whole_word() {
        let text = "| id | why |\n|---|---|\n| D17, etcd#1 | no like place |\n";
        let impossible = rows(text);
        assert_eq!(impossible.len(), 1);
        let missing = uncovered(&[], &impossible);
        assert!(!missing.contains(&"D17") && missing.contains(&"D01"));
        assert_eq!(missing.len(), CATALOGUE.len() - 1);
    }
}
