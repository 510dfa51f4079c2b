//! `cargo sim run`: campaigns over scenarios, with progress, verdict lines and saved plans.

use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::{self, Orders, Red, Repeat, Tally};
use crate::command::arguments::{CampaignOptions, jobs, seeds};
use crate::command::failure::Failure;
use crate::command::signals::stop_on_signals;
use crate::library::{Entry, Library};
use crate::performance::Perform;
use crate::plan::Plan;
use crate::verdict::{self, Verdict};

/// Plays `entries`, one after the other; returns the gravest verdict.
pub fn play(
    library: &Library,
    entries: Vec<Entry>,
    options: &CampaignOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let stop = stop_on_signals()?;
    let width = entries
        .iter()
        .map(|entry| entry.scenario.plan.name.len())
        .max()
        .unwrap_or(0);
    let mut total = Tally::default();
    let mut verdicts = Vec::new();
    let mut time_left = options.lasts;
    for (index, entry) in entries.iter().enumerate() {
        let waiting = u32::try_from(entries.len() - index).expect("there are few scenarios");
        let orders = Orders {
            seeds: seeds(options)?,
            jobs: jobs(options)?,
            repeat: match options.twice {
                true => Repeat::Always,
                false => Repeat::IfRed,
            },
            // What a scenario leaves of its share falls to those that come after it.
            real_time_max: time_left.map(|left| left / waiting),
            stop: &stop,
        };
        let tally = campaign_with_progress(entry, &orders, perform);
        time_left = time_left.map(|left| left.saturating_sub(tally.real));
        total.add_figures(&tally);
        let plan = &entry.scenario.plan;
        verdicts.push(Verdict::of(plan, &tally));
        writeln!(out, "{}", verdict::line(plan, &tally, width))?;
        let saved = |red: &Red| save(library, entry, red);
        out.write_all(verdict::findings(plan, &tally, &entry.file, &saved).as_bytes())?;
        out.flush()?;
    }
    writeln!(out, "{}", verdict::summary(&total, &verdicts))?;
    if stop.load(Ordering::Relaxed) {
        writeln!(
            out,
            "Stopped before the end: this is what was learnt until then."
        )?;
    }
    Ok(verdicts.into_iter().max().unwrap_or(Verdict::Unplayed))
}

fn campaign_with_progress(entry: &Entry, orders: &Orders<'_>, perform: &Perform) -> Tally {
    // It draws on the standard error, and only if that is a terminal.
    let bar = match orders.real_time_max {
        None => ProgressBar::new(orders.seeds.end - orders.seeds.start),
        Some(_) => ProgressBar::new_spinner(),
    };
    let template = match orders.real_time_max {
        None => "{prefix} [{bar:30}] {pos}/{len} seeds, {elapsed}{msg}",
        Some(_) => "{prefix} {spinner} {pos} seeds, {elapsed}{msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right");
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(entry.scenario.plan.name.clone());
    bar.enable_steady_tick(Duration::from_millis(200));
    let play = |plan: &Plan, seed: u64| perform(plan, seed).outcome;
    let tally = campaign::campaign(&entry.scenario, orders, &play, &mut |tally| {
        bar.set_position(tally.seeds);
        let findings = tally.reds.len() + tally.flaky.len();
        if findings > 0 {
            bar.set_message(format!(", {findings} RED"));
        }
    });
    bar.finish_and_clear();
    tally
}

fn save(library: &Library, entry: &Entry, red: &Red) -> Option<String> {
    let folder = library.red_folder();
    let file = folder.join(format!("{}-{}.toml", entry.scenario.plan.name, red.seed));
    let text = verdict::saved_plan(&entry.file, red);
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
    match written {
        Ok(()) => Some(library.short(&file).display().to_string()),
        Err(error) => {
            eprintln!("warning: {} cannot be written: {error}", file.display());
            None
        }
    }
}
