//! Damage to what servers say of the log: positions, durability, recoveries, leaders.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{ServerId, Zxid};
use althing_core::node::event::Event;
use althing_core::store::txn::{Action, Entry};

use crate::check::tests::damage::places::{acknowledged, change_txn, executed, pick, places};
use crate::history::{History, Moment, What};

/// The recovery with the most entries, and its entries.
pub fn recovery(history: &mut History) -> Option<&mut Moment> {
    let recoveries = history.moments.iter_mut().filter(
        |moment| matches!(&moment.what, What::Recovered { entries, .. } if entries.len() > 3),
    );
    recoveries.last()
}

pub fn edit_recovery(
    history: &mut History,
    edit: impl Fn(&mut Zxid, &mut Vec<Entry>),
) -> Option<()> {
    let moment = recovery(history)?;
    if let What::Recovered {
        snapshot, entries, ..
    } = &mut moment.what
    {
        let mut all = entries.to_vec();
        edit(snapshot, &mut all);
        *entries = Arc::from(all);
    }
    Some(())
}

pub fn lost_entry(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        let keep = entries.len() / 2;
        entries.truncate(keep);
    })
}

pub fn lost_log(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| entries.clear())
}

pub fn log_gap(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        entries.remove(entries.len() / 2);
    })
}

/// A server stops itself instead of recovering.
pub fn does_not_start(history: &mut History, nth: usize) -> Option<()> {
    let starts = places(history, |what| matches!(what, What::Started { .. }));
    let place = pick(&starts, nth)?;
    let What::Started { server, .. } = history.moments[place].what else {
        return None;
    };
    let at = history.moments[place].at;
    let why = "snapshot.7: damaged at byte 512".to_owned();
    let what = What::Stopped { server, why };
    history.moments.insert(place + 1, Moment { at, what });
    Some(())
}

pub fn other_entry(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |_, entries| {
        let middle = entries.len() / 2;
        Arc::make_mut(&mut entries[middle].txn).wall.0 += 1;
    })
}

pub fn other_snapshot(history: &mut History, _: usize) -> Option<()> {
    edit_recovery(history, |snapshot, _| snapshot.0 += 1 << 30)
}

pub fn not_durable(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    let place = places(
        history,
        |what| matches!(what, What::Durable { zxid: durable, .. } if *durable == zxid),
    );
    let late = Duration::from_millis(500);
    let mut moment = history.moments.remove(*place.first()?);
    moment.at += late;
    let later = history
        .moments
        .iter()
        .position(|other| other.at > moment.at)?;
    // Everything that became durable meanwhile waits as well.
    let (from, to) = (place[0], later);
    history.moments.insert(later, moment);
    let mut index = 0;
    history.moments.retain(|moment| {
        let between = index >= from && index < to;
        index += 1;
        !(between && matches!(moment.what, What::Durable { .. }))
    });
    Some(())
}

pub fn other_digest(history: &mut History, _: usize) -> Option<()> {
    let mut seen = std::collections::BTreeSet::new();
    let again = executed(history).into_iter().find(|place| {
        let What::Said {
            event: Event::Executed { zxid, .. },
            ..
        } = history.moments[*place].what
        else {
            unreachable!("an execution")
        };
        !seen.insert(zxid)
    })?;
    if let What::Said {
        event: Event::Executed { digest, .. },
        ..
    } = &mut history.moments[again].what
    {
        *digest ^= 1;
    }
    Some(())
}

pub fn executed_twice(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&executed(history), nth)?;
    let again = history.moments[place].clone();
    history.moments.insert(place + 1, again);
    Some(())
}

pub fn skipped(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    history.moments.retain(|moment| match &moment.what {
        What::Saving { zxid: at, .. } => *at != zxid,
        What::Said {
            event: Event::Executed { zxid: at, .. },
            ..
        } => *at != zxid,
        _ => true,
    });
    Some(())
}

pub fn two_leaders(history: &mut History, _: usize) -> Option<()> {
    let elected = places(history, |what| {
        matches!(
            what,
            What::Said {
                event: Event::Elected { .. },
                ..
            }
        )
    });
    let mut again = history.moments[*elected.first()?].clone();
    if let What::Said {
        server,
        event: Event::Elected { leader, .. },
    } = &mut again.what
    {
        (*server, *leader) = (ServerId(2), ServerId(2));
    }
    history.moments.insert(elected[0] + 1, again);
    Some(())
}

pub fn late_effect(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, place) = acknowledged(history, nth)?;
    let at = history.moments[place].at + Duration::from_millis(1);
    let executed = executed(history).into_iter().find(|place| {
        matches!(history.moments[*place].what,
            What::Said { event: Event::Executed { zxid: of, .. }, .. } if of == zxid)
    })?;
    let mut moment = history.moments.remove(executed);
    moment.at = at;
    let later = history.moments.iter().position(|other| other.at > at)?;
    history.moments.insert(later, moment);
    Some(())
}

/// What should go by itself stays for ever.
pub fn nothing_goes(history: &mut History, _: usize) -> Option<()> {
    let moments = history.moments.iter();
    let reaps: BTreeSet<Zxid> = moments
        .filter_map(|moment| match &moment.what {
            What::Saving { zxid, txn, .. } if matches!(txn.action, Action::Reap { .. }) => {
                Some(*zxid)
            }
            _ => None,
        })
        .collect();
    for zxid in &reaps {
        change_txn(history, *zxid, |txn| {
            txn.action = Action::Reap { paths: Vec::new() };
        });
    }
    (!reaps.is_empty()).then_some(())
}
