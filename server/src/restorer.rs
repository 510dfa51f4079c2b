//! Sets the znodes of an ensemble that serves clients back to what a snapshot holds, from one of
//! its servers: it looks for what differs, orders part after part of the way there, and looks again
//! until nothing differs. Whatever gets lost on the way, or is changed by clients meanwhile, is
//! found by the next look.

use althing_core::config::LEVEL_RESTORING;
use althing_core::ids::Zxid;
use althing_core::time::Duration;
use althing_core::tree::op::Op;
use althing_core::tree::path::Path;
use althing_core::tree::restoring::Restoration;
use althing_core::tree::tree::Tree;
use thiserror::Error;

use crate::desk::Desk;
use crate::shell::{Order, Shell};

/// How long after an order it is looked whether it is done: about a sync and a round trip.
const GLANCE: Duration = Duration::from_millis(3);

/// How long a part may take: an election passes meanwhile.
const PART_MAX: Duration = Duration::from_secs(2);

/// How long the parts may take that come after one that is late: the next look finds what is left.
const LATER_MAX: Duration = Duration::from_millis(100);

/// How long there may be no progress: what differs after that is changed again by somebody.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// What was restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// At this position, nothing differed from the snapshot.
    pub zxid: Zxid,
    /// How many changes were ordered.
    pub changes: usize,
}

/// Why a snapshot is not restored, or only in part.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RestoreError {
    /// The server is ending, or too busy.
    #[error("the server does not answer in time")]
    Unserved,
    /// The leader was not told to.
    #[error(
        "the leader does not restore snapshots: tell all servers to (admin_restore; \
         admin.restore.enabled in a zoo.cfg) and restart them one after the other"
    )]
    Disabled,
    /// Clients undo it, there is no leader, or a znode does not fit.
    #[error(
        "{left} changes are left, the first at {first}: there is no leader, clients write \
         there, or it does not fit into the limits of this ensemble"
    )]
    Stalled {
        /// How many changes are left.
        left: usize,
        /// Where the first is.
        first: Path,
    },
}

/// What one look finds.
struct Found {
    tree: Tree,
    applied: Zxid,
    is_enabled: bool,
}

/// Goes the way from what there is to `wanted`; ends as soon as one look finds no difference.
///
/// # Errors
/// If that cannot be done. Then part of it may be done; to try again harms nothing.
pub async fn restore(
    desk: &Desk,
    shell: &impl Shell,
    wanted: &Tree,
) -> Result<Restored, RestoreError> {
    let mut changes = 0;
    let mut fewest = usize::MAX;
    let mut stalls_at = shell.now().clock.after(STALL_MAX);
    loop {
        let found = look(desk, shell).await?;
        if !found.is_enabled {
            return Err(RestoreError::Disabled);
        }
        let way = found.tree.way_to(wanted);
        drop(found.tree);
        let left = way.iter().map(Restoration::len).sum();
        let Some(first) = way.first().and_then(first_of) else {
            let zxid = found.applied;
            return Ok(Restored { zxid, changes });
        };
        if left < fewest {
            fewest = left;
            stalls_at = shell.now().clock.after(STALL_MAX);
        } else if shell.now().clock >= stalls_at {
            return Err(RestoreError::Stalled { left, first });
        }
        let mut patience = PART_MAX;
        for part in way {
            let count = part.len();
            match go(desk, shell, part, patience).await? {
                true => changes += count,
                // It may be the only one that cannot be done.
                false => patience = LATER_MAX,
            }
            if patience == LATER_MAX && shell.now().clock >= stalls_at {
                break;
            }
        }
    }
}

async fn look(desk: &Desk, shell: &impl Shell) -> Result<Found, RestoreError> {
    let found = desk.look(shell, |view| {
        let store = view.node.store();
        Found {
            tree: store.tree().clone(),
            applied: store.applied(),
            is_enabled: store.settings().feature_level >= LEVEL_RESTORING,
        }
    });
    found.await.ok_or(RestoreError::Unserved)
}

/// Orders one part; tells whether it is done in time.
async fn go(
    desk: &Desk,
    shell: &impl Shell,
    part: Restoration,
    patience: Duration,
) -> Result<bool, RestoreError> {
    desk.order(Order::Restore(part.clone()));
    let late = shell.now().clock.after(patience);
    let mut part = Some(part);
    while let Some(asked) = part.take() {
        shell.sleep_until(shell.now().clock.after(GLANCE)).await;
        let looked = desk.look(shell, move |view| {
            let is_past = view.node.store().tree().is_past(&asked);
            (!is_past).then_some(asked)
        });
        part = looked.await.ok_or(RestoreError::Unserved)?;
        if part.is_some() && shell.now().clock >= late {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where a part changes something first.
fn first_of(part: &Restoration) -> Option<Path> {
    let of_op = |op: &Op| match op {
        Op::Create(create) => create.place.path(),
        Op::Delete { path, .. }
        | Op::SetData { path, .. }
        | Op::SetAcl { path, .. }
        | Op::Check { path, .. } => path.clone(),
    };
    let counted = || part.counts.first().map(|(path, _)| path.clone());
    part.ops.first().map(of_op).or_else(counted)
}
