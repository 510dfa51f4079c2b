//! The folder of a red seed, which explains itself to whoever opens it: what is wrong, how to see
//! it again, the plan, the least of the plan that is red, and the timeline of its run.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::backstage::Recording;
use crate::campaign::Red;
use crate::history::Violation;
use crate::performance::{Performance, perform_recorded};
use crate::plan::Plan;
use crate::red::nearby::Nearby;
use crate::report::write::{self, PAGE, SEQUENCE, TRACE};
use crate::scenario;
use crate::shrink::shrink::Shrunk;
use crate::timeline::{self, Colours, Detail, View};
use crate::verdict::{grouped, saved_plan};

/// The plan that the seed drew.
pub const PLAN: &str = "plan.toml";
/// The least of it that is red for the same reason.
pub const SHRUNK: &str = "shrunk.toml";
const README: &str = "README.md";
const TIMELINE: &str = "timeline.txt";

/// Lines of the timeline at most: a shrunk run rarely has as many.
const LINES_MAX: usize = 5_000;

/// What is known of a red seed.
pub struct Report<'a> {
    /// The scenario's file, as the user would write it.
    pub file: &'a Path,
    /// The seed, its violations and its plan.
    pub red: &'a Red,
    /// Its run.
    pub performance: &'a Performance,
    /// What shrinking has left, the run of that, and how it fares under other seeds.
    pub shrunk: Option<(&'a Shrunk, &'a Performance, Nearby)>,
    /// The state of the code, if it is known.
    pub commit: Option<&'a str>,
    /// The folder, as the user would write it.
    pub shown: &'a Path,
}

/// How a red seed of the scenario with this name is called among the kept ones.
pub fn stem(name: &str, seed: u64) -> String {
    format!("{name}-{seed}")
}

/// Writes the folder of this seed below `folder`, anew if it was there.
///
/// # Errors
/// If it cannot be written.
pub fn write(folder: &Path, report: &Report<'_>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let plan = &report.red.plan;
    fs::write(folder.join(README), readme(report))?;
    fs::write(folder.join(PLAN), saved_plan(report.file, report.red))?;
    let shrunk = folder.join(SHRUNK);
    match &report.shrunk {
        Some((shrunk_to, performance, _)) => {
            fs::write(&shrunk, shrunk_plan(report, shrunk_to))?;
            let file = report.shown.join(SHRUNK);
            show(folder, &file, &shrunk_to.plan, report.red.seed, performance)
        }
        None => {
            if shrunk.exists() {
                // Of an earlier campaign: it would explain another run.
                fs::remove_file(&shrunk)?;
            }
            let file = report.shown.join(PLAN);
            show(folder, &file, plan, report.red.seed, report.performance)
        }
    }
}

/// Everything in the folder that shows the run itself: of the shrunk plan if there is one.
/// `file` is the plan's, as the user would write it.
fn show(
    folder: &Path,
    file: &Path,
    plan: &Plan,
    seed: u64,
    performance: &Performance,
) -> io::Result<()> {
    let violations = &performance.outcome.violations;
    let view = View {
        window: None,
        only: Vec::new(),
        lines_max: LINES_MAX,
        detail: Detail::Story,
        colours: Colours::None,
    };
    let head = format!("{} under seed {seed}\n\n", plan.name);
    let timeline = timeline::draw(&performance.history, violations, &view);
    fs::write(folder.join(TIMELINE), head + &timeline)?;
    // Campaigns do not record what a page shows: it is played once more.
    let again = perform_recorded(plan, seed, Recording::Backstage);
    let is_same = again.outcome.digest == performance.outcome.digest;
    let command = format!("cargo sim replay {} --seed {seed}", file.display());
    let drawn = write::Report {
        plan,
        seed,
        command: &command,
        history: &performance.history,
        backstage: match is_same {
            true => &again.backstage,
            // Somebody else's play, or code that is not deterministic.
            false => &performance.backstage,
        },
        violations,
        around: None,
    };
    write::write(folder, &drawn)
}

fn shrunk_plan(report: &Report<'_>, shrunk: &Shrunk) -> String {
    let (seed, file) = (report.red.seed, report.file.display());
    let violation = shrunk.culprit.find(&shrunk.outcome).expect("it is red");
    let detail = violation.detail.replace(['\n', '\r'], " ");
    format!(
        "# What is left of the plan that seed {seed} draws from {file}: it breaks {} under the\n\
         # same seed. {}\n# {detail}\n\n{}",
        violation.invariant,
        shrunk.line(),
        scenario::print(&shrunk.plan)
    )
}

const TEXT: &str = "text can be written";

fn readme(report: &Report<'_>) -> String {
    let (red, shown) = (report.red, report.shown.display());
    let first = &red.violations[0];
    let (name, seed) = (&red.plan.name, red.seed);
    let mut text = format!("# {} in {name} with seed {seed}\n\n", first.invariant);
    for violation in &red.violations {
        writeln!(text, "    {}", failure(report, violation)).expect(TEXT);
    }
    let commit = report.commit.unwrap_or("not known");
    writeln!(text, "\nCommit: {commit}\n").expect(TEXT);
    let file = match &red.kept {
        Some(kept) => kept.clone(),
        None => report.file.display().to_string(),
    };
    writeln!(
        text,
        "See it again:\n\n    cargo sim replay {file} --seed {seed}"
    )
    .expect(TEXT);
    if let Some((shrunk, _, nearby)) = &report.shrunk {
        let path = PathBuf::from(report.shown).join(SHRUNK);
        let path = path.display();
        writeln!(
            text,
            "    cargo sim replay {path} --seed {seed}   # {}",
            shrunk.line()
        )
        .expect(TEXT);
        writeln!(text, "\nIs it a race? The shrunk plan is {nearby}.").expect(TEXT);
    }
    text.push_str("\n| file | what it is |\n|---|---|\n");
    writeln!(text, "| `{PLAN}` | what the seed drew, a scenario itself |").expect(TEXT);
    let of = match &report.shrunk {
        Some(_) => {
            let least = "the least of it that is red for the same reason";
            writeln!(text, "| `{SHRUNK}` | {least}, a scenario itself |").expect(TEXT);
            "of the shrunk run"
        }
        None => "of the run",
    };
    writeln!(text, "| `{TIMELINE}` | the timeline {of} |").expect(TEXT);
    let drawn = "drawn, with what the violation goes back to";
    writeln!(
        text,
        "| `{PAGE}` | a page {of}, {drawn}: open it in a browser |"
    )
    .expect(TEXT);
    writeln!(text, "| `{TRACE}` | a trace {of}, for Perfetto |").expect(TEXT);
    writeln!(
        text,
        "| `{SEQUENCE}` | a diagram {of}, for an issue, in Mermaid |"
    )
    .expect(TEXT);
    writeln!(
        text,
        "\nLater campaigns of this scenario try this seed first as long as {shown} is there."
    )
    .expect(TEXT);
    text
}

/// One line: the invariant, the seed, the time, and how manieth of everything that happened it was.
fn failure(report: &Report<'_>, violation: &Violation) -> String {
    let (name, seed) = (&report.red.plan.name, report.red.seed);
    let moments = &report.performance.history.moments;
    let event = moments.partition_point(|moment| moment.at <= violation.at) as u64;
    format!(
        "FAIL {} {name} seed={seed} at t={:.3}s (event {} of {}): {}",
        violation.invariant,
        violation.at.as_secs_f64(),
        grouped(event),
        grouped(moments.len() as u64),
        violation.detail.replace(['\n', '\r'], " "),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::campaign::Outcome;
    use crate::draw::draw;
    use crate::performance::perform;
    use crate::scenario::Scenario;
    use crate::shrink::search::Budget;
    use crate::shrink::shrink::shrink;

    /// Nobody's goals can be reached within its second act.
    const HOPELESS: &str = "servers = 1\nlasts = \"3s\"\nsettles = \"1ms\"\n\
                            [workload.lock]\nclients = 3\nhold = \"1s\"\nsession = \"4s\"\n\
                            [swarm.faults.crash]\nchance = 1.0\nevery = \"1s\"\n";
    const SEED: u64 = 5;

    fn shrunk(red: &Red, outcome: &Outcome) -> Shrunk {
        let stop = AtomicBool::new(false);
        let budget = Budget {
            real_time_max: Duration::from_secs(20),
            trials_max: 8,
            jobs: 1,
            stop: &stop,
        };
        let play = |plan: &Plan, seed: u64| perform(plan, seed).outcome;
        shrink(&red.plan, red.seed, outcome, &budget, &play, &|_| {})
    }

    /// What is replayed by the command that the folder's readme gives for a file of this name.
    fn replayed(folder: &Path, name: &str) -> Performance {
        let readme = fs::read_to_string(folder.join(README)).expect("the readme");
        let file = folder.join(name);
        let command = format!("cargo sim replay {} --seed {SEED}", file.display());
        assert!(readme.contains(&command), "no `{command}`:\n{readme}");
        let text = fs::read_to_string(&file).expect("a plan");
        let scenario = Scenario::parse(&text, name, "hopeless").expect("a scenario");
        perform(&draw(&scenario, SEED), SEED)
    }

    #[test]
    fn the_folder_names_what_is_broken_and_its_plans_play_the_same_again() {
        let scenario = Scenario::parse(HOPELESS, "hopeless.toml", "hopeless").expect("a scenario");
        let plan = draw(&scenario, SEED);
        let performance = perform(&plan, SEED);
        let violations = performance.outcome.violations.clone();
        let first = violations.first().expect("it is red");
        let folder = std::env::temp_dir().join(format!("althing-red-{}", std::process::id()));
        let red = Red {
            seed: SEED,
            violations: violations.clone(),
            plan,
            // The readme then names the plan that lies beside it.
            kept: Some(folder.join(PLAN).display().to_string()),
        };
        let least = shrunk(&red, &performance.outcome);
        let smallest = perform(&least.plan, SEED);
        let report = Report {
            file: Path::new("hopeless.toml"),
            red: &red,
            performance: &performance,
            shrunk: Some((&least, &smallest, Nearby { played: 4, red: 4 })),
            commit: Some("0123456789ab"),
            shown: &folder,
        };
        write(&folder, &report).expect("it is written");
        let readme = fs::read_to_string(folder.join(README)).expect("the readme");
        let verdict = format!("FAIL {} hopeless seed={SEED} at t=", first.invariant);
        assert!(readme.contains(&verdict), "{readme}");
        for file in [README, PLAN, SHRUNK, TIMELINE, PAGE, TRACE, SEQUENCE] {
            assert!(
                readme.contains(&format!("`{file}`")) || file == README,
                "{file}: {readme}"
            );
            let bytes = fs::metadata(folder.join(file)).expect(file).len();
            assert!(bytes > 0, "{file} is empty");
        }
        let whole = replayed(&folder, PLAN).outcome;
        assert_eq!(whole.digest, performance.outcome.digest);
        assert_eq!(whole.violations, violations);
        let again = replayed(&folder, SHRUNK).outcome;
        assert_eq!(again.digest, smallest.outcome.digest);
        // Another campaign did not shrink it: what it says must not be that of an older one.
        let unshrunk = Report {
            shrunk: None,
            ..report
        };
        write(&folder, &unshrunk).expect("it is written");
        assert!(!folder.join(SHRUNK).exists());
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
