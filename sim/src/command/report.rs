//! `cargo sim report`, and `--report` after a run: the page of one seed.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::backstage::Recording;
use crate::command::arguments::CampaignOptions;
use crate::command::failure::Failure;
use crate::draw;
use crate::library::{Entry, Library};
use crate::performance::perform_recorded;
use crate::report::write::{self, PAGE, Report};
use crate::verdict::Verdict;

/// Where reports go unless a folder is given, beside the folder of red seeds.
const FOLDER: &str = "report";

/// Writes the report of each scenario's seed, if that is wanted.
pub fn reports(
    library: &Library,
    entries: &[Entry],
    options: &CampaignOptions,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let (true, Some(seed)) = (options.report, options.seed) {
        for entry in entries {
            report(library, entry, seed, None, None, out)?;
        }
    }
    Ok(())
}

/// Plays one seed, with everything recorded, and writes its report.
pub fn report(
    library: &Library,
    entry: &Entry,
    seed: u64,
    folder: Option<PathBuf>,
    around: Option<Duration>,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let plan = draw::draw(&entry.scenario, seed);
    let played = perform_recorded(&plan, seed, Recording::Backstage);
    let folder = folder.unwrap_or_else(|| {
        let red = library.red_folder();
        let all = red.parent().map_or_else(|| red.clone(), PathBuf::from);
        all.join(FOLDER).join(format!("{}-{seed}", plan.name))
    });
    let command = format!("cargo sim replay {} --seed {seed}", entry.file.display());
    let report = Report {
        plan: &plan,
        seed,
        command: &command,
        history: &played.history,
        backstage: &played.backstage,
        violations: &played.outcome.violations,
        around,
    };
    write::write(&folder, &report)?;
    let page = library.short(&folder.join(PAGE));
    writeln!(out, "{}", page.display())?;
    Ok(match played.outcome.violations.is_empty() {
        true => Verdict::Green,
        false => Verdict::Red,
    })
}
