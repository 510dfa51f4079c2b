//! What the players of a story let its teller know, outside the simulated world: the teller sees
//! everything at once and at no cost, as no program in that world could.

use std::sync::Arc;
use std::time::Duration;

use althing_client::watch;

use crate::world::stage::{Goal, Stage};

/// How often the teller looks who has left for good, which nobody tells it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A value that all of a story's players see and change. A handle: all clones are the same board.
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
    pub async fn until_with(&self, stage: &Stage, mut holds: impl FnMut(&T) -> bool) {
        let mut shown = self.0.subscribe();
        while !holds(&shown.borrow_and_update()) {
            tokio::select! {
                biased;
                _changed = shown.changed() => {}
                () = stage.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Ends when everybody has `done` what is owed of them. Whoever was killed and does not come
    /// back owes nothing any more.
    pub async fn until_paid(
        &self,
        stage: &Stage,
        mut debts: Vec<Debt>,
        done: impl Fn(&T, &str) -> bool,
    ) {
        self.until_with(stage, |shown| {
            let paid = |debt: &mut Debt| done(shown, &debt.who) || stage.is_down(&debt.who);
            for debt in debts.extract_if(.., paid) {
                debt.goal.reached();
            }
            debts.is_empty()
        })
        .await;
    }
}

/// A goal that one player has to reach.
pub struct Debt {
    /// The player.
    pub who: Arc<str>,
    /// Its goal.
    pub goal: Goal,
}

/// The same goal for each of several players: `what` follows their names in the verdict.
pub fn debts(stage: &Stage, names: &[Arc<str>], what: &str) -> Vec<Debt> {
    let debt = |who: &Arc<str>| Debt {
        who: Arc::clone(who),
        goal: stage.goal(format!("{who} {what}")),
    };
    names.iter().map(debt).collect()
}

/// `client-1`, `client-2` and so on.
pub fn numbered(kind: &str, count: u32) -> Vec<Arc<str>> {
    (1..=count)
        .map(|number| Arc::from(format!("{kind}-{number}")))
        .collect()
}
