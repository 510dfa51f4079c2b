//! The leader's snapshot for a server whose log ends before the leader's begins: read and sent in
//! pieces, and gone on with where it was interrupted.

use alloc::vec::Vec;

use crate::ids::{Epoch, ServerId, Zxid};
use crate::quorum::act::{Act, Fact};
use crate::quorum::message::{Extent, Message};
use crate::quorum::reign::{Pace, Progress};
use crate::quorum::replica::Replica;

impl Replica {
    /// Sends a snapshot, or goes on with it; makes one first if there is none that will do.
    pub(super) fn begin_transfer(&mut self, to: ServerId) {
        let (snapshot, base) = (self.snapshot, self.window.base());
        let Some(progress) = self.progress(to) else {
            return;
        };
        let Pace::Transfer { zxid, offset, .. } = &mut progress.pace else {
            return;
        };
        if *zxid < base {
            if snapshot < base {
                self.acts.push(Act::MakeSnapshot);
                return;
            }
            (*zxid, *offset) = (snapshot, 0);
        }
        let (zxid, offset) = (*zxid, *offset);
        self.tell(Fact::TransferBegun(to, zxid, offset));
        self.acts.push(Act::ReadChunk { to, zxid, offset });
    }

    /// A new snapshot of this server is durable: who waited for one gets it.
    pub fn transfer_waiting(&mut self) {
        let Some(reign) = &self.reign else {
            return;
        };
        let waits = |progress: &Progress| matches!(progress.pace, Pace::Transfer { zxid, .. } if zxid == Zxid::ZERO);
        let waiting = reign.others.iter().filter(|(_, progress)| waits(progress));
        let waiting: Vec<ServerId> = waiting.map(|(server, _)| *server).collect();
        waiting.into_iter().for_each(|to| self.begin_transfer(to));
    }

    /// A piece of the snapshot was read.
    pub fn chunk_read(
        &mut self,
        to: ServerId,
        zxid: Zxid,
        offset: u64,
        bytes: Vec<u8>,
        extent: Extent,
    ) {
        let epoch = self.ballot.epoch;
        let Some(progress) = self.progress(to) else {
            return;
        };
        let expected = matches!(progress.pace, Pace::Transfer { zxid: of, offset: at, .. }
            if of == zxid && at == offset);
        if expected {
            let chunk = Message::Chunk {
                epoch,
                zxid,
                offset,
                bytes,
                extent,
            };
            self.send(to, chunk);
        }
    }

    /// The snapshot is gone: another one will do.
    pub fn chunk_missed(&mut self, to: ServerId, missed: Zxid) {
        if self.snapshot == missed {
            self.snapshot = Zxid::ZERO;
        }
        let Some(progress) = self.progress(to) else {
            return;
        };
        if let Pace::Transfer { zxid, offset, .. } = &mut progress.pace
            && *zxid == missed
        {
            (*zxid, *offset) = (Zxid::ZERO, 0);
            self.begin_transfer(to);
        }
    }

    /// A server has stored a piece of a snapshot.
    pub(super) fn chunk_taken_heard(
        &mut self,
        from: ServerId,
        epoch: Epoch,
        taken: Zxid,
        stored: u64,
    ) {
        let Some(progress) = self.answered_by(from, epoch) else {
            return;
        };
        let Pace::Transfer {
            zxid,
            offset,
            silence,
        } = &mut progress.pace
        else {
            return;
        };
        if *zxid == taken {
            *silence = 0;
            *offset = stored;
            let (zxid, offset) = (*zxid, *offset);
            self.acts.push(Act::ReadChunk {
                to: from,
                zxid,
                offset,
            });
        }
    }
}
