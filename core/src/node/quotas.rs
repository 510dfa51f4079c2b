//! What is noted of quotas: by the server whose client has run into one, so that an ensemble counts
//! everything once.

use crate::code::Code;
use crate::node::effect::Outbox;
use crate::node::event::Event;
use crate::node::node::Node;
use crate::store::txn::{Action, Entry, Outcome};
use crate::tree::op::{Change, ChangeKind, Op};
use crate::tree::path::Path;
use crate::tree::usage::Measure;

impl Node {
    /// Notes which quotas a transaction has exceeded, or was refused for.
    pub(super) fn note_quotas(
        &self,
        entry: &Entry,
        changes: &[Change],
        outcome: &Outcome,
        out: &mut Outbox,
    ) {
        for change in changes {
            self.note_excesses(change, out);
        }
        let refused = match (&entry.txn.action, outcome) {
            (Action::Write(op), Outcome::Written(Err(Code::QuotaExceeded))) => Some(op),
            (
                Action::Multi(ops),
                Outcome::NoneWritten {
                    index,
                    code: Code::QuotaExceeded,
                },
            ) => ops.get(*index),
            _ => None,
        };
        if let Some(path) = refused.and_then(grown) {
            out.note(Event::QuotaRefused { path });
        }
    }

    /// Whoever sets data changes no count.
    fn note_excesses(&self, change: &Change, out: &mut Outbox) {
        let counts = match change.kind {
            ChangeKind::Created => true,
            ChangeKind::DataSet => false,
            ChangeKind::Deleted => return,
        };
        for excess in self.store.tree().excesses(change.path.as_str()) {
            if counts || excess.measure == Measure::Bytes {
                out.note(Event::QuotaExceeded { excess });
            }
        }
    }
}

/// What an operation makes, or makes larger. The number of a sequential znode is not known: it was
/// not created.
fn grown(op: &Op) -> Option<Path> {
    match op {
        Op::Create(create) => Some(create.place.path()),
        Op::SetData { path, .. } => Some(path.clone()),
        _ => None,
    }
}
