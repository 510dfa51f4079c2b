//! A history of the service's own: what its processes say they did, in the order of the true time,
//! with invariants over it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::testbed::bed::{Bed, Process};
use crate::testbed::invariant::{Judgement, judgement};

/// One thing that a process did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<T> {
    /// When, in true time.
    pub at: Duration,
    /// The process.
    pub who: Arc<str>,
    /// The how manieth life of it.
    pub life: u32,
    /// What it did.
    pub what: T,
}

type Judge<T> = Box<dyn FnMut(&Entry<T>) -> Judgement + Send>;

struct Pages<T> {
    entries: Vec<Entry<T>>,
    judges: Vec<(&'static str, Judge<T>)>,
}

/// What the service did, as its processes record it, outside the simulated world: recording costs
/// no time, is never lost, and is not seen by the service. Each entry stands in the timeline, and
/// can be cued on and counted by the ledger's name. A handle: all clones are the same ledger.
///
/// ```
/// use std::collections::BTreeSet;
/// use std::time::Duration;
///
/// use althing_sim::testbed::bed::Bed;
/// use althing_sim::testbed::trial::Trial;
///
/// /// A payment with this number was made.
/// #[derive(Debug)]
/// struct Paid(u64);
///
/// async fn nothing_is_paid_twice(bed: Bed) {
///     let payments = bed.ledger::<Paid>("paid");
///     let mut seen = BTreeSet::new();
///     payments.always("paid once", move |entry| match seen.insert(entry.what.0) {
///         true => Ok(()),
///         false => Err(format!("{} pays {} again", entry.who, entry.what.0)),
///     });
///     payments.finally("somebody paid", |entries| match entries {
///         [] => Err("nobody paid anything".to_owned()),
///         _ => Ok(()),
///     });
///     let book = payments.clone();
///     bed.process("cashier", move |process| {
///         let book = book.clone();
///         async move { book.record(&process, Paid(u64::from(process.life))) }
///     });
/// }
///
/// let calm = Trial::new("payments").without_faults().lasts(Duration::from_secs(5)).seeds(0..1);
/// calm.play(nothing_is_paid_twice).expect("a trial").must_be_green();
/// ```
pub struct Ledger<T> {
    name: &'static str,
    bed: Bed,
    pages: Arc<Mutex<Pages<T>>>,
}

impl<T> Clone for Ledger<T> {
    fn clone(&self) -> Ledger<T> {
        Ledger {
            name: self.name,
            bed: self.bed.clone(),
            pages: Arc::clone(&self.pages),
        }
    }
}

impl Bed {
    /// An empty ledger, by whose `name` plans cue on its entries and count them.
    pub fn ledger<T: fmt::Debug + Send + 'static>(&self, name: &'static str) -> Ledger<T> {
        self.roster().marks.insert(name.to_owned());
        Ledger {
            name,
            bed: self.clone(),
            pages: Arc::new(Mutex::new(Pages {
                entries: Vec::new(),
                judges: Vec::new(),
            })),
        }
    }
}

impl<T: fmt::Debug + Send + 'static> Ledger<T> {
    /// `process` did `what`, now.
    pub fn record(&self, process: &Process, what: T) {
        process.mark(self.name, format!("{what:?}"));
        let entry = Entry {
            at: process.now(),
            who: Arc::clone(&process.name),
            life: process.life,
            what,
        };
        // Not locked meanwhile: an invariant may read the ledger.
        let mut judges = std::mem::take(&mut self.pages().judges);
        // At the first entry that breaks it an invariant has said what it has to say.
        judges.retain_mut(|(invariant, judge)| match judgement(|| judge(&entry)) {
            Ok(()) => true,
            Err(how) => {
                self.bed.violate(invariant, how);
                false
            }
        });
        let mut pages = self.pages();
        judges.append(&mut pages.judges);
        pages.judges = judges;
        pages.entries.push(entry);
    }

    /// An invariant that is judged at each entry from now on, as it is recorded. It keeps in its
    /// closure what it has to remember. The first entry that breaks it makes the run red.
    pub fn always(
        &self,
        invariant: &'static str,
        judge: impl FnMut(&Entry<T>) -> Judgement + Send + 'static,
    ) {
        self.pages().judges.push((invariant, Box::new(judge)));
    }

    /// An invariant over all entries, judged when the run is over; see [`Bed::finally`].
    pub fn finally(
        &self,
        invariant: &'static str,
        judge: impl FnOnce(&[Entry<T>]) -> Judgement + Send + 'static,
    ) {
        let pages = Arc::clone(&self.pages);
        self.bed.finally(invariant, move || {
            judge(&pages.lock().expect(UNBROKEN).entries)
        });
    }

    /// What `look` makes of the entries so far.
    pub fn read<R>(&self, look: impl FnOnce(&[Entry<T>]) -> R) -> R {
        look(&self.pages().entries)
    }

    fn pages(&self) -> MutexGuard<'_, Pages<T>> {
        self.pages.lock().expect(UNBROKEN)
    }
}

const UNBROKEN: &str = "panics of invariants are caught";
