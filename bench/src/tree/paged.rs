//! The tree of althing-core, as it is.

use std::sync::Arc;
use std::time::Duration;

use althing_core::codec::snapshot::{SnapshotDecoder, SnapshotEncoder};
use althing_core::config::{HardLimits, Settings};
use althing_core::ids::{SessionId, Zxid};
use althing_core::store::store::Store;
use althing_core::time::WallTime;
use althing_core::tree::data::Data;
use althing_core::tree::op::Op;
use althing_core::tree::stat::Stat;
use althing_core::tree::tree::{Context, Tree};

use super::cpu_time;
use super::structure::Structure;

/// Bytes of one piece of a snapshot.
const PIECE: usize = 256 * 1024;

#[derive(Clone, Default)]
pub struct Paged(Tree);

impl Structure for Paged {
    fn execute(&mut self, op: &Op) {
        let context = Context {
            zxid: Zxid(7),
            wall: WallTime(7),
            session: Some(SessionId(1)),
            identities: &[],
            data_bytes_max: 1 << 20,
            hard_limits: HardLimits::Advised,
        };
        let mut changes = Vec::new();
        self.0
            .execute(&context, op, &mut changes)
            .expect("an operation of a measurement");
    }

    fn get(&self, path: &str) -> (Option<Data>, Stat) {
        self.0.data(path, &[]).expect("a znode that is there")
    }

    fn children(&self, path: &str) -> Vec<Arc<str>> {
        self.0.children(path, &[]).expect("a znode that is there").0
    }
}

/// Time to write a snapshot into memory, and to read it back.
pub fn snapshot(paged: &Paged) -> Option<(Duration, Duration)> {
    let tree = paged.0.clone();
    let (members, sessions) = (Default::default(), Default::default());
    let store = Store::from_parts(Zxid(7), Settings::default(), members, sessions, tree);
    let start = cpu_time();
    let mut encoder = SnapshotEncoder::new(store);
    let mut pieces = Vec::new();
    let mut piece = Vec::with_capacity(2 * PIECE);
    while encoder.next(PIECE, &mut piece) {
        pieces.push(std::mem::replace(&mut piece, Vec::with_capacity(2 * PIECE)));
    }
    let writing = cpu_time() - start;
    let start = cpu_time();
    let mut decoder = SnapshotDecoder::new();
    for piece in &pieces {
        decoder.feed(piece).expect("what was written is read");
    }
    let back = decoder.finish().expect("what was written is read");
    let reading = cpu_time() - start;
    assert_eq!(back.tree().digest(), paged.0.digest());
    Some((writing, reading))
}
