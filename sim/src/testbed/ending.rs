//! How the function of a test ends.

use std::fmt::Debug;

/// What a test's function may return: nothing, or a `Result` whose error makes the run red.
pub trait Ending {
    /// What went wrong, if anything did.
    fn failure(self) -> Option<String>;
}

impl Ending for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Debug> Ending for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}
