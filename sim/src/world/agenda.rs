//! What shall happen when: sleepers to be woken and acts to be done, in true time.
//!
//! One task drives it. Compared with the sleeps of the runtime beneath: a sleep that is dropped is
//! forgotten at once instead of waking its task at its hour, there is no floor of a millisecond,
//! and an act, such as the arrival of a packet, needs no task of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use madsim::time::{Sleep, TimeHandle};

/// The hour of an entry in nanoseconds, and its number among all entries, which orders those of one
/// hour.
type Key = (u64, u64);

/// A task that waits, by the addresses in its waker. An alarm that held the waker itself would hold
/// the task that holds the alarm.
type Waiter = (usize, usize);

enum Entry {
    Wake(Waker),
    Act(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Entries {
    due: BTreeMap<Key, Entry>,
    next_number: u64,
    /// The earliest hour at which the driver will wake by itself.
    armed: Option<u64>,
    driver: Option<Waker>,
}

struct Shared {
    time: TimeHandle,
    entries: Mutex<Entries>,
}

/// A handle; all clones are the same agenda.
#[derive(Clone)]
pub struct Agenda {
    shared: Arc<Shared>,
}

impl Agenda {
    /// An empty one. Must be called inside the runtime; [`Agenda::drive`] must be spawned.
    #[expect(
        clippy::new_without_default,
        reason = "it takes the clock of the current runtime"
    )]
    pub fn new() -> Agenda {
        Agenda {
            shared: Arc::new(Shared {
                time: TimeHandle::current(),
                entries: Mutex::default(),
            }),
        }
    }

    /// True time since the run began.
    pub fn now(&self) -> Duration {
        self.shared.time.elapsed()
    }

    /// Does `act` at `hour`, or at once if that has passed; in the driver's task, never within this
    /// call.
    pub fn at(&self, hour: Duration, act: impl FnOnce() + Send + 'static) {
        self.insert(hour, Entry::Act(Box::new(act)));
    }

    /// Ends at `hour`.
    pub fn sleep_until(&self, hour: Duration) -> Alarm {
        Alarm {
            agenda: self.clone(),
            hour,
            waits: None,
        }
    }

    /// Ends after `delay`.
    pub fn sleep(&self, delay: Duration) -> Alarm {
        self.sleep_until(self.now() + delay)
    }

    /// Forgets everything, so that nothing that was to happen keeps its owners alive.
    pub fn clear(&self) {
        let forgotten = std::mem::take(&mut *self.entries());
        drop(forgotten);
    }

    /// Does what is due, for ever.
    pub async fn drive(self) {
        let time = &self.shared.time;
        let origin = time.now_instant() - time.elapsed();
        let mut sleep = std::pin::pin!(time.sleep_until(origin));
        // The runtime's timers cannot be taken back: one that is set and no later will do.
        let mut set = BTreeSet::new();
        std::future::poll_fn(|context| {
            self.entries().driver = Some(context.waker().clone());
            let Some(hour) = self.do_what_is_due() else {
                return Poll::<()>::Pending;
            };
            let now = self.now();
            while set.first().is_some_and(|hour| *hour <= now) {
                set.pop_first();
            }
            if set.first().is_some_and(|set| *set <= hour) {
                return Poll::Pending;
            }
            Sleep::reset(sleep.as_mut(), origin + hour);
            match sleep.as_mut().poll(context) {
                // The clock has moved since: look again.
                Poll::Ready(()) => context.waker().wake_by_ref(),
                Poll::Pending => drop(set.insert(hour)),
            }
            Poll::Pending
        })
        .await;
    }

    /// The hour for which the driver has to arm itself, if it has to.
    fn do_what_is_due(&self) -> Option<Duration> {
        let mut entries = self.entries();
        // Until this is done, nobody needs to wake the driver.
        entries.armed = Some(0);
        loop {
            let now = nanos(self.now());
            match entries.due.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let entry = first.remove();
                    drop(entries);
                    match entry {
                        Entry::Wake(waker) => waker.wake(),
                        Entry::Act(act) => act(),
                    }
                    entries = self.entries();
                }
                Some(first) => {
                    let hour = first.key().0;
                    entries.armed = Some(hour);
                    return Some(Duration::from_nanos(hour));
                }
                None => {
                    entries.armed = None;
                    return None;
                }
            }
        }
    }

    fn insert(&self, hour: Duration, entry: Entry) -> Key {
        let hour = nanos(hour);
        let mut entries = self.entries();
        let key = (hour, entries.next_number);
        entries.next_number += 1;
        entries.due.insert(key, entry);
        if entries.armed.is_none_or(|armed| hour < armed) {
            entries.armed = Some(hour);
            if let Some(driver) = entries.driver.take() {
                drop(entries);
                driver.wake();
            }
        }
        key
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.shared
            .entries
            .lock()
            .expect("no panic within the agenda")
    }
}

/// Since the run began; hours that no run comes to are one.
fn nanos(hour: Duration) -> u64 {
    u64::try_from(hour.as_nanos()).unwrap_or(u64::MAX)
}

fn waiter(waker: &Waker) -> Waiter {
    (
        waker.data().addr(),
        std::ptr::from_ref(waker.vtable()).addr(),
    )
}

/// Ends at its hour. See [`Agenda::sleep_until`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Alarm {
    agenda: Agenda,
    hour: Duration,
    /// Its entry, and whom that wakes.
    waits: Option<(Key, Waiter)>,
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.agenda.now() >= self.hour {
            return Poll::Ready(());
        }
        let waiter = waiter(context.waker());
        if let Some((key, waits)) = self.waits {
            // Before its hour nobody takes the entry away, unless the run is over; and it holds the
            // task, so no other one can have come to its address.
            if waits == waiter {
                return Poll::Pending;
            }
            let mut entries = self.agenda.entries();
            if let Some(Entry::Wake(waker)) = entries.due.get_mut(&key) {
                waker.clone_from(context.waker());
                drop(entries);
                self.waits = Some((key, waiter));
                return Poll::Pending;
            }
        }
        let entry = Entry::Wake(context.waker().clone());
        let key = self.agenda.insert(self.hour, entry);
        self.waits = Some((key, waiter));
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some((key, _)) = self.waits {
            // Dropped outside the lock: a waker's end can end a task, and with it other alarms.
            let entry = self.agenda.entries().due.remove(&key);
            drop(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use madsim::Config;
    use madsim::runtime::Runtime;

    use super::*;

    fn with_an_agenda<F: Future<Output = ()>>(test: impl FnOnce(Agenda) -> F + Send) {
        std::thread::scope(|scope| {
            let world = || {
                Runtime::with_seed_and_config(1, Config::default()).block_on(async {
                    let agenda = Agenda::new();
                    madsim::task::spawn(agenda.clone().drive());
                    test(agenda).await;
                });
            };
            scope.spawn(world).join().expect("the test passes");
        });
    }

    #[test]
    fn acts_are_done_at_their_hours_in_their_order() {
        with_an_agenda(|agenda| async move {
            let done = Arc::new(Mutex::new(Vec::new()));
            for (name, millis) in [("c", 30), ("a", 10), ("d", 30), ("b", 20)] {
                let (done, at) = (done.clone(), agenda.clone());
                agenda.at(Duration::from_millis(millis), move || {
                    done.lock()
                        .expect("no panic")
                        .push((name, at.now().as_millis()));
                });
            }
            agenda.sleep(Duration::from_millis(40)).await;
            let done = done.lock().expect("no panic");
            assert_eq!(*done, [("a", 10), ("b", 20), ("c", 30), ("d", 30)]);
        });
    }

    #[test]
    fn a_sleep_may_be_shorter_than_a_millisecond_and_ends_on_time() {
        with_an_agenda(|agenda| async move {
            let begun = agenda.now();
            agenda.sleep(Duration::from_micros(30)).await;
            let took = agenda.now() - begun;
            assert!((30..60).contains(&took.as_micros()), "{took:?}");
        });
    }

    #[test]
    fn a_sleep_that_is_dropped_is_forgotten() {
        with_an_agenda(|agenda| async move {
            for _ in 0..100 {
                tokio::select! {
                    biased;
                    () = agenda.sleep(Duration::from_secs(1000)) => unreachable!("it is later"),
                    () = agenda.sleep(Duration::from_millis(5)) => {}
                }
            }
            assert_eq!(agenda.entries().due.len(), 0);
        });
    }
}
