//! Executing any transaction that decodes is total: whatever was agreed, no server panics on it,
//! now or at replay, and two servers make the same of it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::collection::vec as many;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::codec::record::{decode_record, encode_record};
use crate::config::Settings;
use crate::ids::{Epoch, Zxid};
use crate::membership::Membership;
use crate::quorum::log::Record;
use crate::store::store::Store;
use crate::store::txn::{Action, Entry, Origin, Txn};
use crate::strategies;
use crate::tree::tree::Tree;

/// How a random transaction is brought nearer to one that a server would propose: drawn at random
/// alone, hardly any would name a session that there is.
#[derive(Clone, Debug)]
enum Aim {
    /// It stays as it is.
    AtRandom,
    /// It is the next write of a session that is open, and the sessions that it names are open.
    AtSession(Index),
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![
        1 => Just(Aim::AtRandom),
        5 => any::<Index>().prop_map(Aim::AtSession),
    ]
}

/// Where the log begins: mostly at its beginning, sometimes where counters are exhausted.
fn beginning() -> impl Strategy<Value = Zxid> {
    prop_oneof![
        Just(Zxid::ZERO),
        (0..Epoch::MAX.0 - 200, u32::MAX - 20..=u32::MAX)
            .prop_map(|(epoch, counter)| Zxid::new(Epoch(epoch), counter)),
    ]
}

fn aimed(aim: &Aim, mut txn: Txn, store: &Store) -> Txn {
    let Aim::AtSession(index) = aim else {
        return txn;
    };
    if store.sessions().is_empty() {
        return txn;
    }
    let nth = index.index(store.sessions().len());
    let (id, session) = store.sessions().iter().nth(nth).expect("it is counted");
    txn.origin = Some(Origin {
        session: *id,
        attachment: session.attachment,
        sequence: session.sequence + 1,
    });
    match &mut txn.action {
        Action::Attach {
            session: named,
            password,
            ..
        } => (*named, *password) = (*id, session.password),
        Action::CloseSession { session: named, .. } => *named = *id,
        _ => {}
    }
    txn
}

/// The position after what `store` executed last; an epoch is opened where the counter ends.
fn next_position(store: &Store, opens: bool) -> Zxid {
    match store.applied().next() {
        Some(next) if !opens => next,
        _ => Zxid::new(store.applied().epoch().next(), 0),
    }
}

/// Executes `txn` as a server that replays its log does, and as one that holds it in memory.
fn execute_twice(first: &mut Store, second: &mut Store, txn: Txn) -> Result<(), TestCaseError> {
    let opens = matches!(txn.action, Action::OpenEpoch { .. });
    let entry = Entry {
        zxid: next_position(first, opens),
        txn: Arc::new(txn),
    };
    let mut bytes = Vec::new();
    encode_record(&Record::Entry(entry.clone()), &mut bytes);
    let Ok(Record::Entry(replayed)) = decode_record(&bytes) else {
        return Err(TestCaseError::fail("a record does not come back"));
    };
    let (mut changes, mut changes_replayed) = (Vec::new(), Vec::new());
    let outcome = first.execute(&entry, &mut changes);
    prop_assert_eq!(second.execute(&replayed, &mut changes_replayed), outcome);
    prop_assert_eq!(changes, changes_replayed);
    prop_assert_eq!(first.digest(), second.digest());
    Ok(())
}

fn store_at(beginning: Zxid) -> Store {
    let sessions = Default::default();
    Store::from_parts(
        beginning,
        Settings::default(),
        Membership::default(),
        sessions,
        Tree::new(),
    )
}

proptest! {
    #[test]
    fn no_transaction_panics(
        beginning in beginning(),
        steps in many((strategies::txn(), aim()), 0..60),
    ) {
        let (mut first, mut second) = (store_at(beginning), store_at(beginning));
        for (txn, aim) in steps {
            let txn = aimed(&aim, txn, &first);
            execute_twice(&mut first, &mut second, txn)?;
        }
    }

    /// What still decodes after damage, for want of a checksum, does no harm beyond itself.
    #[test]
    fn no_damaged_transaction_panics(
        before in many((strategies::txn(), aim()), 0..20),
        damaged in many(
            strategies::damaged(strategies::record().prop_map(|record| {
                let mut bytes = Vec::new();
                encode_record(&record, &mut bytes);
                bytes
            })),
            1..10,
        ),
    ) {
        let (mut first, mut second) = (store_at(Zxid::ZERO), store_at(Zxid::ZERO));
        for (txn, aim) in before {
            let txn = aimed(&aim, txn, &first);
            execute_twice(&mut first, &mut second, txn)?;
        }
        for bytes in damaged {
            if let Ok(Record::Entry(entry)) = decode_record(&bytes) {
                execute_twice(&mut first, &mut second, (*entry.txn).clone())?;
            }
        }
    }
}
