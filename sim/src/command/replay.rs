//! `cargo sim replay`: one seed twice, its timeline, and where the two runs part if they do.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::campaign::{Flaky, Outcome, Red, Tally};
use crate::command::arguments::ViewOptions;
use crate::command::failure::Failure;
use crate::draw;
use crate::history::{History, Moment};
use crate::library::Entry;
use crate::performance::Perform;
use crate::span::Span;
use crate::timeline::{self, Colours, Detail, View};
use crate::verdict::{self, Verdict};

/// Plays one seed twice; prints the first run's timeline, and what is wrong.
pub fn replay(
    entry: &Entry,
    seed: u64,
    options: &ViewOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let plan = draw::draw(&entry.scenario, seed);
    let first = perform(&plan, seed);
    let second = perform(&plan, seed);
    let view = view(options, &first.outcome);
    if let Some((from, to)) = view.window {
        writeln!(
            out,
            "From {} to {} of {}:",
            Span(from),
            Span(to),
            Span(first.outcome.simulated)
        )?;
    }
    let violations = &first.outcome.violations;
    out.write_all(timeline::draw(&first.history, violations, &view).as_bytes())?;
    let mut tally = Tally {
        seeds: 1,
        simulated: first.outcome.simulated,
        events: first.outcome.events,
        ..Tally::default()
    };
    let file = PathBuf::from(&entry.file);
    let same = first.outcome.digest == second.outcome.digest
        && first.outcome.violations == second.outcome.violations;
    if !same {
        tally.flaky.push(Flaky {
            seed,
            digests: [first.outcome.digest, second.outcome.digest],
        });
        writeln!(out, "{}", first_difference(&first.history, &second.history))?;
    } else if !violations.is_empty() {
        tally.reds.push(Red {
            seed,
            violations: violations.clone(),
            plan: plan.clone(),
            kept: None,
        });
    }
    let verdict = Verdict::of(&plan, &tally);
    writeln!(
        out,
        "{} {} seed={seed}: {} simulated, {} events, digest {:032x}, the same twice: {}",
        verdict.word(),
        plan.name,
        Span(Duration::from_millis(
            first.outcome.simulated.as_millis() as u64
        )),
        verdict::grouped(first.outcome.events),
        first.outcome.digest,
        if same { "yes" } else { "NO" },
    )?;
    let nothing = |_: &Red| Vec::new();
    out.write_all(verdict::findings(&plan, &tally, &file, &nothing).as_bytes())?;
    Ok(verdict)
}

fn view(options: &ViewOptions, outcome: &Outcome) -> View {
    let first_violation = outcome.violations.first().map(|violation| violation.at);
    let middle = options
        .around
        .or(first_violation.filter(|_| !options.whole));
    let window = middle.map(|at| {
        let to = (at + options.within).min(outcome.simulated.max(at));
        (at.saturating_sub(options.within), to)
    });
    View {
        window,
        only: options.only.clone(),
        lines_max: options.lines,
        detail: match options.everything {
            true => Detail::Everything,
            false => Detail::Story,
        },
        colours: match io::stdout().is_terminal() {
            true => Colours::Ansi,
            false => Colours::None,
        },
    }
}

fn first_difference(first: &History, second: &History) -> String {
    let (a, b) = (&first.moments, &second.moments);
    let index = a.iter().zip(b).position(|(a, b)| a != b);
    let index = index.unwrap_or(a.len().min(b.len()));
    let told = |moments: &[Moment]| match moments.get(index) {
        Some(moment) => format!("{moment:?}"),
        None => "nothing more".to_owned(),
    };
    format!(
        "The two runs differ from moment {index} on:\n  first:  {}\n  second: {}",
        told(a),
        told(b)
    )
}
