//! `cargo sim merge`: the result files of several shards, as one campaign.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::campaign::{Red, Tally};
use crate::command::failure::Failure;
use crate::results::{Results, Unjoined};
use crate::verdict::{self, Verdict};

/// Joins the files and prints what they come to; writes it to `joined` if that is asked for.
pub fn merge(
    files: &[PathBuf],
    joined: Option<&Path>,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let (first, others) = files.split_first().expect("clap asks for one");
    let mut results = Results::read(first)?;
    for file in others {
        results.join(Results::read(file)?, &file.display().to_string())?;
    }
    if let Some(joined) = joined {
        results.write(joined)?;
    }
    let verdict = tell(&results, out)?;
    if results.stopped {
        writeln!(
            out,
            "A shard was stopped before its end: this is what was learnt until then."
        )?;
    }
    Ok(verdict)
}

fn tell(results: &Results, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let names = results.scenarios.iter().map(|played| played.name.len());
    let width = names.max().unwrap_or(0);
    let (mut total, mut verdicts) = (Tally::default(), Vec::new());
    for played in &results.scenarios {
        let (scenario, tally) = played.tally().map_err(|error| Unjoined::Malformed {
            file: played.file.clone(),
            error,
        })?;
        let plan = &scenario.plan;
        verdicts.push(Verdict::of(plan, &tally));
        writeln!(out, "{}", verdict::line(plan, &tally, width))?;
        let nothing = |_: &Red| Vec::new();
        let findings = verdict::findings(plan, &tally, Path::new(&played.file), &nothing);
        out.write_all(findings.as_bytes())?;
        total.add_figures(&tally);
    }
    writeln!(out, "{}", verdict::summary(&total, &verdicts))?;
    Ok(verdicts.into_iter().max().unwrap_or(Verdict::Unplayed))
}
