//! The drive's one sleep, which is set anew in each turn.

use std::future::Future;
use std::pin::Pin;

use althing_core::time::Instant;

use crate::shell::Shell;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A sleep that is kept for as long as it is early enough: deadlines mostly move away, and to wake
/// once in vain is cheaper than a new sleep for each turn.
#[derive(Default)]
pub struct Alarm {
    sleep: Option<(Instant, Sleep)>,
}

impl Alarm {
    /// It is to ring at `at`, or earlier.
    pub fn set(&mut self, shell: &impl Shell, at: Option<Instant>) {
        match (&self.sleep, at) {
            (_, None) => self.sleep = None,
            (Some((set, _)), Some(at)) if *set <= at => {}
            (_, Some(at)) => {
                let shell = shell.clone();
                let sleep: Sleep = Box::pin(async move { shell.sleep_until(at).await });
                self.sleep = Some((at, sleep));
            }
        }
    }

    /// Ends when it rings; never, if it is not set.
    pub async fn rings(&mut self) {
        match &mut self.sleep {
            Some((_, sleep)) => sleep.await,
            None => std::future::pending().await,
        }
        self.sleep = None;
    }
}
