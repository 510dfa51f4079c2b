//! A value that others watch, like tokio's `watch`, with one difference: whoever waits is woken in
//! the order in which they began to wait.
//!
//! Tokio wakes the watchers of a value in a random order, so what a program does could depend on it
//! and be something else the next time; a simulation must be able to repeat it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

/// A value and who watches it: one who changes it, and one who watches.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Nobody is left who could change the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody is left who could change the value")
    }
}

impl std::error::Error for Closed {}

#[derive(Debug)]
struct State<T> {
    value: T,
    /// Counts the changes.
    version: u64,
    senders: usize,
    receivers: usize,
}

#[derive(Debug)]
struct Shared<T> {
    state: RwLock<State<T>>,
    /// The value changed, or the last sender is gone.
    changed: Notify,
    /// The last receiver is gone.
    unwatched: Notify,
}

impl<T> Shared<T> {
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value as it is at this moment. Until it is dropped the value cannot change, so it must not
/// be kept.
#[derive(Debug)]
pub struct Ref<'a, T>(RwLockReadGuard<'a, State<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// Changes the value. All clones change the same one.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// A value that nobody watches yet.
    pub fn new(value: T) -> Sender<T> {
        let state = State {
            value,
            version: 0,
            senders: 1,
            receivers: 0,
        };
        Sender(Arc::new(Shared {
            state: RwLock::new(state),
            changed: Notify::new(),
            unwatched: Notify::new(),
        }))
    }

    /// Somebody who watches from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.0.write();
        state.receivers += 1;
        Receiver {
            seen: state.version,
            shared: Arc::clone(&self.0),
        }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.read())
    }

    /// Puts another value in its place, and returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut before = value;
        self.send_modify(|value| std::mem::swap(value, &mut before));
        before
    }

    /// Changes the value.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Lets `modify` change the value; whoever watches learns of it if it says so, and so does the
    /// caller.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.0.write();
        let modified = modify(&mut state.value);
        if modified {
            state.version += 1;
            drop(state);
            self.0.changed.notify_waiters();
        }
        modified
    }

    /// Ends when nobody watches.
    pub async fn closed(&self) {
        loop {
            let unwatched = self.0.unwatched.notified();
            if self.0.read().receivers == 0 {
                return;
            }
            unwatched.await;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.write().senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.write();
            state.senders -= 1;
            state.senders
        };
        if left == 0 {
            self.0.changed.notify_waiters();
        }
    }
}

/// Watches the value. A clone has seen what the original has.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Receiver<T> {
    /// The value. It does not count as seen.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.read();
        self.seen = state.version;
        Ref(state)
    }

    /// Waits for a value that was not seen; it counts as seen then. Nothing is lost if the call is
    /// given up.
    ///
    /// # Errors
    /// [`Closed`], if there will be none.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.read();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.senders == 0 {
                    return Err(Closed);
                }
            }
            changed.await;
        }
    }

    /// Waits until the value is one that `holds`, which is asked of the present one first.
    ///
    /// # Errors
    /// [`Closed`], if there will be none.
    pub async fn wait_for(
        &mut self,
        mut holds: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.read();
                if holds(&state.value) {
                    self.seen = state.version;
                    return Ok(Ref(state));
                }
                if state.senders == 0 {
                    return Err(Closed);
                }
            }
            changed.await;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.write().receivers += 1;
        Receiver {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.write();
            state.receivers -= 1;
            state.receivers
        };
        if left == 0 {
            self.shared.unwatched.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::{Context, Wake, Waker};

    use super::*;

    /// Writes down that it was woken.
    struct Sleeper {
        number: usize,
        woken: Arc<Mutex<Vec<usize>>>,
    }

    impl Wake for Sleeper {
        fn wake(self: Arc<Sleeper>) {
            self.woken.lock().unwrap().push(self.number);
        }
    }

    #[test]
    fn whoever_waits_is_woken_in_order() {
        let sender = Sender::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut receivers: Vec<_> = (0..100).map(|_| sender.subscribe()).collect();
        let mut waits: Vec<_> = receivers
            .iter_mut()
            .map(|receiver| Box::pin(receiver.changed()))
            .collect();
        for (number, wait) in waits.iter_mut().enumerate() {
            let woken = Arc::clone(&woken);
            let waker = Waker::from(Arc::new(Sleeper { number, woken }));
            let polled = wait.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        sender.send_replace(1);
        let in_order: Vec<_> = (0..100).collect();
        assert_eq!(*woken.lock().unwrap(), in_order);
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed() {
        let (sender, mut receiver) = channel(1);
        sender.send_modify(|value| *value += 1);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 2);
        assert!(!sender.send_if_modified(|_| false));
        sender.send_replace(3);
        assert_eq!(*receiver.clone().borrow_and_update(), 3);
        assert_eq!(
            receiver.changed().await,
            Ok(()),
            "the clone saw it, not this one"
        );
    }

    #[tokio::test]
    async fn both_ends_learn_that_the_other_is_gone() {
        let (sender, mut receiver) = channel(1);
        let second = sender.clone();
        sender.send_replace(2);
        drop(sender);
        drop(second);
        assert_eq!(
            receiver.changed().await,
            Ok(()),
            "the last value is told first"
        );
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(
            receiver.wait_for(|value| *value == 1).await.err(),
            Some(Closed)
        );
        assert_eq!(
            receiver
                .wait_for(|value| *value == 2)
                .await
                .map(|value| *value),
            Ok(2)
        );

        let (sender, receiver) = channel(1);
        let waiting = tokio::spawn(async move { sender.closed().await });
        tokio::task::yield_now().await;
        drop(receiver);
        waiting.await.unwrap();
    }
}
