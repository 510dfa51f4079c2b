//! What an import has done, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::import::carried::{Carried, Sessions};
use crate::import::recovery::Way;
use crate::import::refusal::hex;

/// How many ephemeral znodes are named for people; programs are told all.
const NAMED_MAX: usize = 100;

/// What was done.
pub struct Report {
    /// How the state was found.
    pub way: Way,
    /// The state.
    pub carried: Carried,
    /// What became of sessions.
    pub sessions: Sessions,
    /// The new data directories, each with its server.
    pub into: Vec<(u8, PathBuf)>,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text)
            .expect("writing into a string does not fail");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let way = &self.way;
        let snapshot = way.snapshot.as_deref().unwrap_or("no snapshot");
        let (transactions, logs) = (way.transactions, way.logs.len());
        writeln!(
            text,
            "read {snapshot} and {transactions} transactions after it, of {logs} logs"
        )?;
        for damaged in &way.damaged {
            writeln!(text, "  left out, since it is damaged: {damaged}")?;
        }
        for (log, at) in &way.torn {
            writeln!(
                text,
                "  {log} ends at byte {at} with a record that was never finished, which ZooKeeper \
                 leaves out, too"
            )?;
        }
        for tolerated in &way.tolerated {
            writeln!(text, "  taken, as asked: {tolerated}")?;
        }
        self.write_sessions(text)?;
        for (scheme, znodes) in &self.carried.schemes {
            writeln!(
                text,
                "  the access control lists of {znodes} znodes name the scheme {scheme}, which \
                 nobody can authenticate with here"
            )?;
        }
        let store = &self.carried.store;
        let (znodes, applied) = (store.tree().count(), store.applied());
        for (server, path) in &self.into {
            let path = path.display();
            writeln!(
                text,
                "{path}: server {server}, {znodes} znodes, the state at {applied}"
            )?;
        }
        Ok(())
    }

    fn write_sessions(&self, text: &mut String) -> std::fmt::Result {
        let sessions = &self.carried.sessions;
        let count = sessions.len();
        let ephemerals: usize = sessions.values().map(Vec::len).sum();
        let did = match self.sessions {
            Sessions::Kept => "kept",
            Sessions::Ended => "ended",
        };
        writeln!(
            text,
            "  {count} sessions were {did}, with {ephemerals} ephemeral znodes"
        )?;
        let orphans: usize = self.way.orphans.iter().map(|(_, paths)| paths.len()).sum();
        if orphans > 0 {
            writeln!(
                text,
                "  {orphans} ephemeral znodes of sessions that had ended are left out, as \
                 ZooKeeper does it"
            )?;
        }
        let gone = self.gone();
        for (session, path) in gone.iter().take(NAMED_MAX) {
            writeln!(text, "    {path} of session {}", hex(*session))?;
        }
        match gone.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => writeln!(text, "    and {more} more (--json names all)"),
        }
    }

    /// The ephemeral znodes that were left out.
    fn gone(&self) -> Vec<(i64, &str)> {
        let ended = self.carried.sessions.iter();
        let ended = ended.filter(|_| self.sessions == Sessions::Ended);
        let orphans = self.way.orphans.iter();
        ended
            .chain(orphans.map(|(session, paths)| (session, paths)))
            .flat_map(|(session, paths)| paths.iter().map(|path| (*session, path.as_str())))
            .collect()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let (way, store) = (&self.way, &self.carried.store);
        let gone: Vec<Value> = self
            .gone()
            .into_iter()
            .map(|(session, path)| json!({ "session": hex(session), "path": path }))
            .collect();
        let torn: Vec<Value> = way
            .torn
            .iter()
            .map(|(log, at)| json!({ "file": log, "offset": at }))
            .collect();
        let into: Vec<Value> = self
            .into
            .iter()
            .map(|(server, path)| json!({ "server": server, "directory": path }))
            .collect();
        json!({
            "snapshot": way.snapshot,
            "damaged_snapshots": way.damaged,
            "logs": way.logs,
            "transactions": way.transactions,
            "torn": torn,
            "tolerated": way.tolerated,
            "zxid": crate::inspect::spelling::hex(store.applied()),
            "znodes": store.tree().count(),
            "sessions": self.carried.sessions.len(),
            "sessions_kept": self.sessions == Sessions::Kept,
            "ephemerals_left_out": gone,
            "schemes_without_meaning": self.carried.schemes,
            "into": into,
        })
    }
}
