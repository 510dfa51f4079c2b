//! Ctrl-C and SIGTERM, which end a command early and keep what it has learnt.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::command::failure::Failure;

/// The exit code when a second Ctrl-C ends everything at once, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// A flag that Ctrl-C and SIGTERM set; the second Ctrl-C ends the process at once.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let register = || -> io::Result<()> {
        let armed = Arc::clone(&stop);
        signal_hook::flag::register_conditional_shutdown(SIGINT, EXIT_INTERRUPTED, armed)?;
        signal_hook::flag::register(SIGINT, Arc::clone(&stop))?;
        signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
        Ok(())
    };
    register().map_err(|error| Failure::Input(format!("signals cannot be caught: {error}")))?;
    Ok(stop)
}
