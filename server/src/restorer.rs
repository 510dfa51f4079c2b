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

/// How long a part may take before the way is looked for anew: an election passes meanwhile.
const PART_MAX: Duration = Duration::from_secs(2);

/// The pause before a look after one that found no less to do than those before.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// A znode's data is larger than this ensemble allows; nothing was changed.
    #[error("the data of {path} has {bytes} bytes, and {max} are allowed here")]
    TooLarge {
        /// Which.
        path: Path,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: u32,
    },
    /// There is no leader.
    #[error("there is no leader")]
    Leaderless,
    /// Clients undo it.
    #[error("{left} changes are left, the first at {first}: clients write there")]
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
    data_bytes_max: u32,
    is_enabled: bool,
}

/// Goes the way from what there is to `wanted`; ends as soon as one look finds no difference.
///
/// Before each look a part goes the same way that changes nothing: when this server has executed
/// it, it has executed everything that was agreed before, and nothing of what was ordered before
/// can still come. So what is found is not older than the request, and what is told stays.
///
/// # Errors
/// If that cannot be done. Then part of it may be done; to try again harms nothing.
pub async fn restore(
    desk: &Desk,
    shell: &impl Shell,
    wanted: &Tree,
) -> Result<Restored, RestoreError> {
    let mut orders = Orders {
        desk,
        shell,
        mark: u64::from_le_bytes(*shell.entropy().0.first_chunk().expect("more than eight")),
    };
    let (mut changes, mut fewest) = (0, usize::MAX);
    let mut stalls_at = shell.now().clock.after(STALL_MAX);
    loop {
        if !look(desk, shell).await?.is_enabled {
            return Err(RestoreError::Disabled);
        }
        if !orders.give(Restoration::default()).await? {
            match shell.now().clock < stalls_at {
                true => continue,
                false => return Err(RestoreError::Leaderless),
            }
        }
        let found = look(desk, shell).await?;
        let way = found.tree.way_to(wanted);
        drop(found.tree);
        let left = way.iter().map(Restoration::len).sum();
        let Some(first) = way.first().and_then(first_of) else {
            let zxid = found.applied;
            return Ok(Restored { zxid, changes });
        };
        if let Some(too_large) = too_large(&way, found.data_bytes_max) {
            return Err(too_large);
        }
        if left < fewest {
            fewest = left;
            stalls_at = shell.now().clock.after(STALL_MAX);
        } else if shell.now().clock >= stalls_at {
            return Err(RestoreError::Stalled { left, first });
        } else {
            shell.sleep_until(shell.now().clock.after(PAUSE)).await;
        }
        for part in way {
            let count = part.len();
            match orders.give(part).await? {
                true => changes += count,
                false => break,
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
            data_bytes_max: store.settings().data_bytes_max,
            is_enabled: store.settings().feature_level >= LEVEL_RESTORING,
        }
    });
    found.await.ok_or(RestoreError::Unserved)
}

/// Gives one order after the other.
struct Orders<'a, S> {
    desk: &'a Desk,
    shell: &'a S,
    /// That of the last order.
    mark: u64,
}

impl<S: Shell> Orders<'_, S> {
    /// Orders one part; tells whether it is executed in time.
    async fn give(&mut self, part: Restoration) -> Result<bool, RestoreError> {
        self.mark = self.mark.wrapping_add(1);
        let mark = self.mark;
        self.desk
            .order(Order::Restore(Restoration { mark, ..part }));
        let late = self.shell.now().clock.after(PART_MAX);
        while self.shell.now().clock < late {
            let glance = self.shell.now().clock.after(GLANCE);
            self.shell.sleep_until(glance).await;
            let looked = self.desk.look(self.shell, |view| view.node.restored());
            if looked.await.ok_or(RestoreError::Unserved)? == mark {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first data that cannot be there.
fn too_large(way: &[Restoration], max: u32) -> Option<RestoreError> {
    let data = way
        .iter()
        .flat_map(|part| &part.ops)
        .filter_map(|op| match op {
            Op::Create(create) => Some((create.place.path(), create.data.as_ref()?.len())),
            Op::SetData { path, data, .. } => Some((path.clone(), data.as_ref()?.len())),
            Op::Delete { .. } | Op::SetAcl { .. } | Op::Check { .. } => None,
        });
    let mut large = data.filter(|(_, bytes)| *bytes > max as usize);
    large
        .next()
        .map(|(path, bytes)| RestoreError::TooLarge { path, bytes, max })
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
