//! Panics of simulated processes: they end a process and become a violation, not the run's end.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

thread_local! {
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on the panics of this thread are kept for the run's report instead of printed.
pub fn keep_panics_of_this_thread() {
    set_hook();
    SIMULATES.set(true);
}

/// Does the work; a panic of it is its result, and is not printed.
///
/// # Errors
/// What the panic said, and where.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    set_hook();
    let before = SIMULATES.replace(true);
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    SIMULATES.set(before);
    done.map_err(|payload| message(&*payload))
}

fn set_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match SIMULATES.get() {
            true => LAST.set(Some(describe(info))),
            false => before(info),
        }));
    });
}

/// What the last panic of this thread said and where, or what its payload says.
pub fn message(payload: &(dyn Any + Send)) -> String {
    LAST.take().unwrap_or_else(|| text(payload).to_owned())
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    match info.location() {
        Some(place) => format!(
            "{} ({}:{})",
            text(info.payload()),
            place.file(),
            place.line()
        ),
        None => text(info.payload()).to_owned(),
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// A future whose panic is its result.
pub struct Caught<F> {
    future: Pin<Box<F>>,
}

impl<F: Future> Caught<F> {
    /// Catches the panics of `future`.
    pub fn new(future: F) -> Caught<F> {
        Caught {
            future: Box::pin(future),
        }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut();
        // A future that has panicked is dropped, never polled again.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(message(&*payload))),
        }
    }
}
