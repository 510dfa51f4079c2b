//! What a trial comes to: the verdict, and for a red seed what was broken, the command that plays
//! it again, the plan that it drew, and what happened around it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::campaign::{Flaky, Outcome, Red, Tally};
use crate::performance::Performance;
use crate::plan::Plan;
use crate::red::folder::stem;
use crate::report::write;
use crate::shrink::search::Budget;
use crate::shrink::shrink::shrink;
use crate::testbed::unsteady;
use crate::testbed::wishes::{self, Timeline};
use crate::timeline::{self, Colours, Detail, View};
use crate::verdict::{self, Verdict};

/// How far around a violation the timeline reaches: as far as it stays short enough to be read.
const AROUND: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_secs(3),
    Duration::from_secs(1),
    Duration::from_millis(300),
    Duration::from_millis(100),
    Duration::from_millis(30),
];
/// Lines of a timeline around a violation.
const LINES_MAX: usize = 60;
/// Red seeds whose timeline is told; one shows what to look for.
const TIMELINES_MAX: usize = 1;

/// What a trial comes to.
#[derive(Clone, Debug)]
pub struct Report {
    name: String,
    verdict: Verdict,
    tally: Tally,
    text: String,
}

impl Report {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What the seeds came to, in figures and findings.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// All of it, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The invariant that the first red seed broke first.
    pub fn broken(&self) -> Option<&'static str> {
        let red = self.tally.reds.first()?;
        red.violations.first().map(|violation| violation.invariant)
    }

    /// Prints it.
    ///
    /// # Panics
    /// If it is not green, which is how a test fails.
    pub fn must_be_green(&self) {
        print!("{}", self.text);
        let (name, word) = (&self.name, self.verdict.word());
        let green = matches!(self.verdict, Verdict::Green | Verdict::Unplayed);
        assert!(green, "{name} is {word}: the report is above");
    }
}

/// Tells what a trial comes to.
pub(super) struct Teller<'a> {
    /// The file in which the test is written.
    pub(super) source: &'a Path,
    /// What plays one seed again.
    pub(super) command: &'a dyn Fn(u64) -> String,
    /// Plays a seed again, for its history.
    pub(super) perform: &'a (dyn Fn(&Plan, u64) -> Performance + Sync),
    /// The same with everything written down, for the page.
    pub(super) recorded: &'a dyn Fn(&Plan, u64) -> Performance,
    /// How much of the timeline is told.
    pub(super) timeline: Timeline,
    /// How long the first red plan is made smaller, at most.
    pub(super) shrinks_for: Duration,
    /// On so many threads.
    pub(super) jobs: usize,
}

impl Teller<'_> {
    /// What `tally`, of `plan`'s scenario, comes to. `drawn` is what a seed draws.
    pub(super) fn report(&self, plan: &Plan, tally: Tally, drawn: &dyn Fn(u64) -> Plan) -> Report {
        let verdict = Verdict::of(plan, &tally);
        let mut text = verdict::line(plan, &tally, 0);
        text.push('\n');
        text.push_str(&verdict::never_reached(plan, &tally));
        for flaky in &tally.flaky {
            self.tell_flaky(&mut text, &drawn(flaky.seed), flaky);
        }
        for (index, red) in tally.reds.iter().enumerate() {
            self.tell_red(&mut text, red);
            if index < TIMELINES_MAX {
                self.tell_what_happened(&mut text, red);
            }
        }
        Report {
            name: plan.name.clone(),
            verdict,
            tally,
            text,
        }
    }

    fn tell_flaky(&self, text: &mut String, plan: &Plan, flaky: &Flaky) {
        let (seed, [a, b]) = (flaky.seed, flaky.digests);
        let name = &plan.name;
        let told = format!("seed={seed}: digests {a:032x} and {b:032x}");
        writeln!(text, "  NON-DETERMINISTIC {name} {told}").expect(TEXT);
        writeln!(text, "       {}", (self.command)(seed)).expect(TEXT);
        let runs = [(); 2].map(|()| (self.perform)(plan, seed).history);
        text.push_str(&unsteady::explain(&runs[0], &runs[1]));
    }

    fn tell_red(&self, text: &mut String, red: &Red) {
        text.push_str(&verdict::failures(&red.plan.name, red));
        let command = (self.command)(red.seed);
        writeln!(text, "       {command}").expect(TEXT);
        self.save(text, red, "");
    }

    /// The page and the timeline, of as small a plan as can be found.
    fn tell_what_happened(&self, text: &mut String, red: &Red) {
        let mut plan = red.plan.clone();
        if !self.shrinks_for.is_zero() {
            let outcome = (self.perform)(&plan, red.seed).outcome;
            if !outcome.violations.is_empty() {
                plan = self.shrink(text, red, &outcome);
            }
        }
        // What happens is the same if more of it is written down.
        let performance = (self.recorded)(&plan, red.seed);
        self.draw(text, &plan, red.seed, &performance);
        text.push_str(&self.timeline(&performance));
    }

    fn shrink(&self, text: &mut String, red: &Red, outcome: &Outcome) -> Plan {
        let stop = AtomicBool::new(false);
        let budget = Budget {
            real_time_max: self.shrinks_for,
            trials_max: u64::MAX,
            jobs: self.jobs,
            stop: &stop,
        };
        let play = |plan: &Plan, seed: u64| (self.perform)(plan, seed).outcome;
        let shrunk = shrink(&red.plan, red.seed, outcome, &budget, &play, &|_| {});
        writeln!(text, "       {}", shrunk.line()).expect(TEXT);
        let smaller = Red {
            seed: red.seed,
            violations: shrunk.outcome.violations,
            plan: shrunk.plan,
            kept: None,
        };
        self.save(text, &smaller, "-shrunk");
        smaller.plan
    }

    /// Draws a run as `cargo sim report` does, into a folder beside its plan.
    fn draw(&self, text: &mut String, plan: &Plan, seed: u64, performance: &Performance) {
        let folder = red_folder().join(stem(&plan.name, seed));
        let drawn = write::Report {
            plan,
            seed,
            command: &(self.command)(seed),
            history: &performance.history,
            backstage: &performance.backstage,
            violations: &performance.outcome.violations,
            around: None,
        };
        match write::write(&folder, &drawn) {
            Ok(()) => {
                let page = folder.join(write::PAGE);
                writeln!(text, "       page: {}", page.display()).expect(TEXT);
            }
            Err(error) => writeln!(text, "       the page is not written: {error}").expect(TEXT),
        }
    }

    fn timeline(&self, performance: &Performance) -> String {
        let violations = &performance.outcome.violations;
        let draw = |window| {
            let view = View {
                window,
                only: Vec::new(),
                lines_max: usize::MAX,
                detail: Detail::Story,
                colours: Colours::None,
            };
            timeline::draw(&performance.history, violations, &view)
        };
        let first = violations.first().map(|violation| violation.at);
        let Some(at) = first.filter(|_| self.timeline == Timeline::Around) else {
            return draw(None);
        };
        let views = AROUND.map(|around| Some((at.saturating_sub(around), at + around)));
        let drawn = views.into_iter().map(draw);
        let mut narrower = drawn.skip_while(|text| text.lines().count() > LINES_MAX);
        narrower
            .next()
            .unwrap_or_else(|| draw(views[views.len() - 1]))
    }

    fn save(&self, text: &mut String, red: &Red, what: &str) {
        let folder = red_folder();
        let file = folder.join(format!("{}{what}.toml", stem(&red.plan.name, red.seed)));
        let plan = verdict::saved_plan(self.source, red);
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, plan));
        match written {
            Ok(()) => {
                let (variable, file) = (wishes::PLAN, file.display());
                writeln!(text, "       plan: {file} ({variable}={file} plays it)").expect(TEXT);
            }
            Err(error) => writeln!(text, "       the plan is not saved: {error}").expect(TEXT),
        }
    }
}

/// Where the plans of red seeds are saved: in the folder into which cargo has built this program.
fn red_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let profile = program.ancestors().find(|folder| {
        let name = folder.file_name().unwrap_or_default();
        name == "deps" || name == "examples"
    });
    let target = profile.and_then(|folder| folder.ancestors().nth(2));
    let target = target.map_or_else(std::env::temp_dir, Path::to_owned);
    target.join("althing-sim").join("red")
}

const TEXT: &str = "text can be written";
