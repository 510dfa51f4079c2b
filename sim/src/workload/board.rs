//! What the processes of a story let its teller know, outside the simulated world: the teller sees
//! everything at once and at no cost, as no program in that world could.

use std::sync::Arc;
use std::time::Duration;

use althing_client::watch;

use crate::testbed::bed::{Bed, Goal};

/// How often the teller looks who has left for good, which nobody tells it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A value that all of a story's processes see and change. A handle: all clones are the same board.
#[derive(Debug)]
pub struct Board<T>(Arc<watch::Sender<T>>);

impl<T> Clone for Board<T> {
    fn clone(&self) -> Board<T> {
        Board(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> Board<T> {
    /// A board that shows `value`.
    pub fn new(value: T) -> Board<T> {
        Board(Arc::new(watch::Sender::new(value)))
    }

    /// Changes what it shows.
    pub fn note(&self, change: impl FnOnce(&mut T)) {
        self.0.send_modify(change);
    }

    /// What it shows, as `look` sees it.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Ends when `holds`.
    pub async fn until(&self, holds: impl FnMut(&T) -> bool) {
        let mut shown = self.0.subscribe();
        // It cannot end otherwise: this board is a sender.
        let _held = shown.wait_for(holds).await;
    }

    /// Ends when `holds`, which is also asked again every now and then: it may depend on who is
    /// still there.
    pub async fn until_with(&self, bed: &Bed, mut holds: impl FnMut(&T) -> bool) {
        let mut shown = self.0.subscribe();
        while !holds(&shown.borrow_and_update()) {
            tokio::select! {
                biased;
                _changed = shown.changed() => {}
                () = bed.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Ends when everybody has `done` what is owed of them. Whoever was killed and does not come
    /// back owes nothing any more.
    pub async fn until_paid(
        &self,
        bed: &Bed,
        mut debts: Vec<Debt>,
        done: impl Fn(&T, &str) -> bool,
    ) {
        self.until_with(bed, |shown| {
            let paid = |debt: &mut Debt| done(shown, &debt.who) || bed.is_down(&debt.who);
            for debt in debts.extract_if(.., paid) {
                debt.goal.reached();
            }
            debts.is_empty()
        })
        .await;
    }
}

/// A goal that one process has to reach.
pub struct Debt {
    /// The process.
    pub who: Arc<str>,
    /// Its goal.
    pub goal: Goal,
}

/// The same goal for each of several processes: `what` follows their names in the verdict.
pub fn debts(bed: &Bed, names: &[Arc<str>], what: &str) -> Vec<Debt> {
    let debt = |who: &Arc<str>| Debt {
        who: Arc::clone(who),
        goal: bed.goal(format!("{who} {what}")),
    };
    names.iter().map(debt).collect()
}

/// `client-1`, `client-2` and so on.
pub fn numbered(kind: &str, count: u32) -> Vec<Arc<str>> {
    (1..=count)
        .map(|number| Arc::from(format!("{kind}-{number}")))
        .collect()
}
