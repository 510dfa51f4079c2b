//! What differs between two logs, or between two snapshots.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;

use althing_core::ids::Zxid;
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;
use serde_json::{Value, json};

use crate::inspect::arguments::Showing;
use crate::inspect::findings::{Output, Verdict};
use crate::inspect::snapshots::{self, Znode};
use crate::inspect::spelling;

/// Where something stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    First,
    Second,
}

/// Everything that stands on one side only, or differs, in order: `each` is told of it with the
/// side, so a pair that differs is told twice.
fn compare<'a, K: Ord + 'a, V: PartialEq + 'a>(
    first: &'a BTreeMap<K, V>,
    second: &'a BTreeMap<K, V>,
    mut each: impl FnMut(Side, &'a K, &'a V) -> io::Result<()>,
) -> io::Result<usize> {
    let keys: std::collections::BTreeSet<&K> = first.keys().chain(second.keys()).collect();
    let mut differences = 0;
    for key in keys {
        let (one, other) = (first.get(key), second.get(key));
        if one == other {
            continue;
        }
        differences += 1;
        if let Some(value) = one {
            each(Side::First, key, value)?;
        }
        if let Some(value) = other {
            each(Side::Second, key, value)?;
        }
    }
    Ok(differences)
}

fn sign(side: Side) -> &'static str {
    match side {
        Side::First => "-",
        Side::Second => "+",
    }
}

fn sided(side: Side, what: Value) -> Value {
    let side = match side {
        Side::First => "first",
        Side::Second => "second",
    };
    spelling::with(what, json!({ "only_in": side }))
}

/// Compares the entries of two logs that stand.
pub fn logs(
    first: Vec<Entry>,
    second: Vec<Entry>,
    showing: Showing,
    out: &mut Output,
) -> io::Result<Verdict> {
    let by_position = |entries: Vec<Entry>| -> BTreeMap<Zxid, Entry> {
        let pairs = entries.into_iter().map(|entry| (entry.zxid, entry));
        pairs.collect()
    };
    let (first, second) = (by_position(first), by_position(second));
    let differences = compare(&first, &second, |side, _, entry| {
        out.line(
            || format!("{} {}", sign(side), spelling::entry(entry, showing)),
            || sided(side, spelling::entry_json(entry, showing)),
        )
    })?;
    sum(differences, "entries", out)
}

/// Compares two states.
pub fn states(
    first: &Store,
    second: &Store,
    below: Option<&str>,
    showing: Showing,
    out: &mut Output,
) -> io::Result<Verdict> {
    let mut differences = 0;
    let mut differ = |what: &str, one: &dyn Debug, other: &dyn Debug, out: &mut Output| {
        let (one, other) = (format!("{one:?}"), format!("{other:?}"));
        if one == other {
            return Ok(());
        }
        differences += 1;
        out.line(
            || format!("- {what} {one}\n+ {what} {other}"),
            || json!({ "kind": what, "first": one, "second": other }),
        )
    };
    differ("zxid", &first.applied(), &second.applied(), out)?;
    differ("settings", &first.settings(), &second.settings(), out)?;
    differ("members", first.membership(), second.membership(), out)?;
    differences += compare(first.sessions(), second.sessions(), |side, id, session| {
        out.line(
            || {
                let (timeout_ms, attachment) = (session.timeout_ms, session.attachment);
                let sign = sign(side);
                format!("{sign} session {id}: {timeout_ms} ms, attached at {attachment}")
            },
            || {
                sided(
                    side,
                    json!({ "kind": "session", "session": id.to_string() }),
                )
            },
        )
    })?;
    let znodes = |store: &Store| -> BTreeMap<String, Znode> { snapshots::znodes(store, below) };
    differences += compare(&znodes(first), &znodes(second), |side, path, znode| {
        out.line(
            || {
                let text = snapshots::text(znode, showing);
                format!("{} {path}: {text}", sign(side))
            },
            || sided(side, snapshots::znode_json(path, znode, showing)),
        )
    })?;
    sum(differences, "things", out)
}

fn sum(differences: usize, what: &str, out: &mut Output) -> io::Result<Verdict> {
    out.line(
        || match differences {
            0 => "equal".to_owned(),
            count => format!("{count} {what} differ"),
        },
        || json!({ "kind": "comparison", "differences": differences }),
    )?;
    Ok(match differences {
        0 => Verdict::Good,
        _ => Verdict::Bad,
    })
}
