//! Appends to the log: groups of records, one write and one sync each.

use althing_core::ids::{Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::Record;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::disk::Disk;
use crate::storage::error::StorageError;

/// What the log is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogJob {
    /// Append the record, make it durable and answer `Saved(ticket)`, or `Refused(ticket)`.
    Save {
        /// Names the save in its answer.
        ticket: Ticket,
        /// What to append.
        record: Record,
    },
    /// The node has stepped a `Refused`: what is asked for from here on no longer builds on what
    /// was refused. Until this arrives every save after a refused one is refused too. Whoever
    /// steps the node sends it after each `Refused` that was stepped, before the saves that this
    /// step asks for; one too many does no harm.
    Resume,
    /// A snapshot at this position is durable: what only older snapshots need may go.
    Prune {
        /// The snapshot's position.
        up_to: Zxid,
    },
}

/// Appends to the log.
#[derive(Debug)]
pub struct LogWriter<D: Disk> {
    disk: D,
}

impl<D: Disk> LogWriter<D> {
    /// Does the jobs in their order; ends well when their channel closes.
    ///
    /// # Errors
    /// If anything but want of space goes wrong: then nobody knows what is durable, and the server
    /// must stop.
    pub async fn run(
        self,
        jobs: UnboundedReceiver<LogJob>,
        answer: impl FnMut(Input) + Send,
    ) -> Result<(), StorageError> {
        let _ = (jobs, answer, &self.disk);
        todo!()
    }
}
