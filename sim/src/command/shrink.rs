//! `cargo sim shrink`: one red seed, made as small as it can be.

use std::collections::BTreeSet;
use std::io::Write;

use crate::campaign::Red;
use crate::command::arguments::{ShrinkOptions, jobs};
use crate::command::failure::Failure;
use crate::command::keep::Keeper;
use crate::command::signals::stop_on_signals;
use crate::draw;
use crate::library::{Entry, Library};
use crate::performance::Perform;
use crate::red::commit::commit;
use crate::verdict::{self, Verdict};

/// Shrinks what `seed` draws from the entry, and tells where it is.
pub fn shrink(
    library: &Library,
    entry: &Entry,
    seed: u64,
    options: &ShrinkOptions,
    threads: Option<usize>,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let stop = stop_on_signals()?;
    let plan = draw::draw(&entry.scenario, seed);
    let violations = perform(&plan, seed).outcome.violations;
    if violations.is_empty() {
        writeln!(
            out,
            "GREEN {} seed={seed}: there is nothing to shrink",
            plan.name
        )?;
        return Ok(Verdict::Green);
    }
    let red = Red {
        seed,
        violations,
        plan,
        kept: None,
    };
    out.write_all(verdict::failures(&red.plan.name, &red).as_bytes())?;
    out.flush()?;
    let mut keeper = Keeper {
        library,
        perform,
        jobs: jobs(threads)?,
        options,
        stop: &stop,
        commit: commit(library.root()),
        shrunk: BTreeSet::new(),
    };
    for note in keeper.keep(entry, &red) {
        writeln!(out, "       {note}")?;
    }
    Ok(Verdict::Red)
}
