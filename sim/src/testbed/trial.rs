//! A trial: one test over many seeds. It is rehearsed once without faults, which shows what the
//! test declares, and that the test does not fail by itself.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use crate::backstage::Recording;
use crate::campaign::{Flaky, Orders, Outcome, RED_SEEDS_MAX, Red, Repeat, Tally, campaign};
use crate::cast;
use crate::draw::draw;
use crate::performance::{Performance, judged};
use crate::plan::{Expects, Heals, Plan, Workload};
use crate::run;
use crate::scenario::{Draft, Refused, Scenario};
use crate::seeds::{Seeds, Selection};
use crate::span::Span;
use crate::swarm::{CLIENTS, Swarm};
use crate::testbed::bed::Bed;
use crate::testbed::ending::Ending;
use crate::testbed::report::{Report, Teller};
use crate::testbed::roster::Roster;
use crate::testbed::wishes::{Timeline, Wishes};
use crate::world::caught::Caught;

/// What the seeds of a trial draw unless it is told otherwise.
const SWARM: &str = include_str!("swarm.toml");
/// Seeds that are played unless the test says otherwise: about a second for a small service.
const SEEDS_DEFAULT: Range<u64> = 0..20;
/// Servers unless the test says otherwise: the smallest ensemble that survives a death.
const SERVERS_DEFAULT: u8 = 3;
/// Either act unless the test says otherwise: several faults of a kind, and several sessions.
const ACT_DEFAULT: Span = Span::secs(30);

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Faults {
    /// What each seed draws.
    Swarm,
    /// Nothing.
    None,
    /// What a scenario file says.
    File(PathBuf),
}

/// Why a trial is not played.
#[derive(Debug, thiserror::Error)]
pub enum Unplayable {
    /// The scenario cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The scenario is none, or does not fit the test.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The scenario tells a story of the simulator's own.
    #[error("{}: the scenario of a test has `[workload.service]`", .0.display())]
    ForeignStory(PathBuf),
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
}

/// What plays a seed again, as a command.
type Command = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// A test and how it is played. Each setting gives the trial back.
#[derive(Clone)]
pub struct Trial {
    name: String,
    source: PathBuf,
    folder: PathBuf,
    servers: u8,
    lasts: Span,
    settles: Span,
    faults: Faults,
    seeds: Range<u64>,
    real_time_max: Option<Duration>,
    jobs: usize,
    plan: Option<PathBuf>,
    timeline: Timeline,
    shrinks_for: Duration,
    command: Command,
}

impl Trial {
    /// A trial with this name, as verdicts have it: three servers, 20 seeds that draw faults, two
    /// acts of 30 s.
    pub fn new(name: impl Into<String>) -> Trial {
        let name = name.into();
        let test = name.clone();
        Trial {
            source: PathBuf::from(&name),
            folder: PathBuf::new(),
            servers: SERVERS_DEFAULT,
            lasts: ACT_DEFAULT,
            settles: ACT_DEFAULT,
            faults: Faults::Swarm,
            seeds: SEEDS_DEFAULT,
            real_time_max: None,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            plan: None,
            timeline: Timeline::Around,
            shrinks_for: Duration::ZERO,
            command: Arc::new(move |seed| format!("seed {seed} of {test}")),
            name,
        }
    }

    /// The file in which the test is written.
    pub fn source(mut self, source: impl Into<PathBuf>) -> Trial {
        self.source = source.into();
        self
    }

    /// The folder from which the paths of scenarios are read; the working directory if it is left
    /// out.
    pub fn folder(mut self, folder: &Path) -> Trial {
        self.folder = folder.to_owned();
        self
    }

    /// How many servers the ensemble has.
    pub fn servers(mut self, servers: u8) -> Trial {
        self.servers = servers;
        self
    }

    /// The seeds that are played.
    pub fn seeds(mut self, seeds: Range<u64>) -> Trial {
        self.seeds = seeds;
        self
    }

    /// How long faults fall.
    pub fn lasts(mut self, lasts: Duration) -> Trial {
        self.lasts = Span(lasts);
        self
    }

    /// The time after the faults within which goals must be reached.
    pub fn settles(mut self, settles: Duration) -> Trial {
        self.settles = Span(settles);
        self
    }

    /// Nothing goes wrong.
    pub fn without_faults(mut self) -> Trial {
        self.faults = Faults::None;
        self
    }

    /// Servers, acts and faults are those of this scenario file.
    pub fn scenario(mut self, file: impl Into<PathBuf>) -> Trial {
        self.faults = Faults::File(file.into());
        self
    }

    /// How long the plan of a red seed is made smaller, at most; not at all if it is left out.
    pub fn shrinks_for(mut self, time: Duration) -> Trial {
        self.shrinks_for = time;
        self
    }

    /// The command that plays one seed of this trial, for the report.
    pub fn played_by(mut self, command: impl Fn(u64) -> String + Send + Sync + 'static) -> Trial {
        self.command = Arc::new(command);
        self
    }

    /// What the environment wishes goes before the settings.
    pub fn wishes(mut self, wishes: &Wishes) -> Trial {
        let wishes = wishes.clone();
        self.real_time_max = wishes.lasts.or(self.real_time_max);
        if let (Some(_), None) = (wishes.lasts, &wishes.seeds) {
            self.seeds = self.seeds.start..u64::MAX;
        }
        self.seeds = wishes.seeds.unwrap_or(self.seeds);
        self.jobs = wishes.jobs.unwrap_or(self.jobs);
        self.plan = wishes.plan.or(self.plan);
        self.timeline = wishes.timeline;
        self
    }

    /// Plays `story`: the rehearsal, then the seeds.
    ///
    /// # Errors
    /// [`Unplayable`]; what the seeds come to is in the report.
    pub fn play<F>(&self, story: impl Fn(Bed) -> F + Sync) -> Result<Report, Unplayable>
    where
        F: Future + 'static,
        F::Output: Ending,
    {
        let perform_recorded =
            |plan: &Plan, seed: u64, recording| perform(plan, seed, recording, &story).0;
        let perform = |plan: &Plan, seed: u64| perform_recorded(plan, seed, Recording::Stage);
        let teller = Teller {
            source: &self.source,
            command: &*self.command,
            perform: &perform,
            recorded: &|plan, seed| perform_recorded(plan, seed, Recording::Backstage),
            timeline: self.timeline,
            shrinks_for: self.shrinks_for,
            jobs: self.jobs,
        };
        let (scenario, tally) = match &self.plan {
            Some(file) => (self.saved(file)?, Tally::default()),
            None => {
                let draft = self.draft()?;
                let mut calm = draft.plan(&self.name);
                let (roster, tally) = rehearse(&mut calm, self.seeds.start, &story);
                if !tally.reds.is_empty() || !tally.flaky.is_empty() {
                    return Ok(teller.report(&calm, tally, &|_| calm.clone()));
                }
                (draft.completed(self, &roster)?, tally)
            }
        };
        let played = self.play_seeds(&scenario, &perform);
        let tally = Tally {
            events: played.events + tally.events,
            simulated: played.simulated + tally.simulated,
            ..played
        };
        Ok(teller.report(&scenario.plan, tally, &|seed| draw(&scenario, seed)))
    }

    /// Plays `story` as a program does: prints the report, or why there is none. The code is 0 if
    /// all is well, 2 if the trial cannot be played, and else what the verdict is.
    pub fn told<F>(&self, story: impl Fn(Bed) -> F + Sync) -> ExitCode
    where
        F: Future + 'static,
        F::Output: Ending,
    {
        match self.play(story) {
            Ok(report) => {
                print!("{}", report.text());
                ExitCode::from(report.verdict().exit_code())
            }
            Err(unplayable) => {
                eprintln!("error: {unplayable}");
                ExitCode::from(2)
            }
        }
    }

    /// The campaign; its first seed is played twice even if it is green.
    fn play_seeds(
        &self,
        scenario: &Scenario,
        perform: &(dyn Fn(&Plan, u64) -> Performance + Sync),
    ) -> Tally {
        let stop = AtomicBool::new(false);
        let orders = Orders {
            seeds: Selection::Range(Seeds::range(self.seeds.start, self.seeds.end)),
            jobs: self.jobs,
            repeat: Repeat::IfRed,
            real_time_max: self.real_time_max,
            findings_max: RED_SEEDS_MAX,
            stop: &stop,
        };
        let first = self.seeds.start;
        let first_digest = Mutex::new(None);
        let play = |plan: &Plan, seed: u64| -> Outcome {
            let outcome = perform(plan, seed).outcome;
            if seed == first {
                *first_digest.lock().expect("no panic within") = Some(outcome.digest);
            }
            outcome
        };
        let mut tally = campaign(scenario, &orders, &play, &mut |_| {});
        let first_digest = first_digest.into_inner().expect("no panic within");
        let known = tally.reds.iter().map(|red| red.seed);
        let known: BTreeSet<u64> = known.chain(tally.flaky.iter().map(|f| f.seed)).collect();
        if let Some(digest) = first_digest.filter(|_| !known.contains(&first)) {
            let again = perform(&draw(scenario, first), first).outcome;
            tally.events += again.events;
            tally.simulated += again.simulated;
            if again.digest != digest {
                tally.flaky.push(Flaky {
                    seed: first,
                    digests: [digest, again.digest],
                });
            }
        }
        tally
    }

    /// The scenario as far as it is known before the rehearsal.
    fn draft(&self) -> Result<Premise, Unplayable> {
        match &self.faults {
            Faults::File(file) => Ok(Premise::Written(self.read(file)?)),
            faults => Ok(Premise::Set {
                plan: Box::new(Plan {
                    name: self.name.clone(),
                    servers: self.servers,
                    learners: Vec::new(),
                    groups: Vec::new(),
                    weights: Vec::new(),
                    lasts: self.lasts,
                    settles: self.settles,
                    reaches: Vec::new(),
                    expects: Expects::Service,
                    heals: Heals::Everything,
                    workload: Roster::default().workload(),
                    network: Default::default(),
                    disk: Default::default(),
                    server: Default::default(),
                    absent: Vec::new(),
                    operations: Default::default(),
                    faults: Vec::new(),
                }),
                draws: *faults == Faults::Swarm,
            }),
        }
    }

    /// The plan in `file`, which some trial of this test has saved.
    fn saved(&self, file: &Path) -> Result<Scenario, Unplayable> {
        let written = self.read(file)?;
        let draft = written.draft(&self.name)?;
        Ok(draft.checked()?)
    }

    fn read(&self, file: &Path) -> Result<Written, Unplayable> {
        // From where the command was given, or else from the package.
        let found = match file.is_file() {
            true => file.to_owned(),
            false => self.folder.join(file),
        };
        let text = fs::read_to_string(&found).map_err(|error| Unplayable::File {
            file: found.clone(),
            error,
        })?;
        let name = file.display().to_string();
        let written = Written { file: name, text };
        match written.draft(&self.name)?.plan.workload {
            Workload::Service { .. } => Ok(written),
            _ => Err(Unplayable::ForeignStory(file.to_owned())),
        }
    }
}

/// The text of a scenario file.
struct Written {
    file: String,
    text: String,
}

impl Written {
    fn draft(&self, name: &str) -> Result<Draft<'_>, Refused> {
        Draft::read(&self.text, &self.file, name)
    }
}

/// What is known of the scenario before the rehearsal.
enum Premise {
    /// By the trial's settings.
    Set { plan: Box<Plan>, draws: bool },
    /// By a file.
    Written(Written),
}

impl Premise {
    /// The plan without faults.
    fn plan(&self, name: &str) -> Plan {
        let plan = match self {
            Premise::Set { plan, .. } => (**plan).clone(),
            Premise::Written(written) => {
                let draft = written.draft(name).expect("it was read before");
                draft.plan
            }
        };
        Plan {
            workload: Roster::default().workload(),
            reaches: Vec::new(),
            faults: Vec::new(),
            ..plan
        }
    }

    /// The scenario, for a test that declares what is in `roster`.
    fn completed(self, trial: &Trial, roster: &Roster) -> Result<Scenario, Unplayable> {
        match self {
            Premise::Set { plan, draws } => {
                let plan = complete(*plan, roster);
                let swarm = draws.then(|| {
                    let mut swarm: Swarm = toml::from_str(SWARM).expect("it is right");
                    if roster.processes.is_empty() {
                        spare_clients(&mut swarm);
                    }
                    Swarm {
                        own: roster.faults.clone(),
                        ..swarm
                    }
                });
                let scenario = Scenario { plan, swarm };
                scenario.check().map_err(|unsound| {
                    Unplayable::Settings(format!("{}: {}", unsound.key, unsound.message))
                })?;
                Ok(scenario)
            }
            Premise::Written(written) => {
                let mut draft = written.draft(&trial.name)?;
                draft.plan = complete(draft.plan, roster);
                Ok(draft.checked()?)
            }
        }
    }
}

/// Where there are no processes, only servers are struck.
fn spare_clients(swarm: &mut Swarm) {
    swarm.faults.retain(|kind, ranges| {
        let mut whom = ranges.or(kind.ranges()).whom;
        if let Some(names) = &mut whom {
            names.retain(|name| name != CLIENTS);
        }
        ranges.whom = whom;
        ranges.whom.as_ref().is_none_or(|names| !names.is_empty())
    });
}

fn complete(plan: Plan, roster: &Roster) -> Plan {
    let mut reaches = plan.reaches;
    let required = roster.required.iter();
    let missing: Vec<String> = required
        .filter(|name| !reaches.contains(name))
        .cloned()
        .collect();
    reaches.extend(missing);
    Plan {
        workload: roster.workload(),
        reaches,
        ..plan
    }
}

/// Plays the test twice without faults. `plan` gets what the test declares.
fn rehearse<F>(plan: &mut Plan, seed: u64, story: &(impl Fn(Bed) -> F + Sync)) -> (Roster, Tally)
where
    F: Future + 'static,
    F::Output: Ending,
{
    let (first, mut roster) = perform(plan, seed, Recording::Stage, story);
    let (second, _) = perform(plan, seed, Recording::Stage, story);
    let known = cast::names(&plan.workload);
    let reached = first.outcome.counts.keys();
    let own = reached.filter(|name| !known.contains(&name.as_str()));
    roster.marks.extend(own.cloned());
    plan.workload = roster.workload();
    let mut tally = Tally {
        seeds: 1,
        events: first.outcome.events + second.outcome.events,
        simulated: first.outcome.simulated + second.outcome.simulated,
        ..Tally::default()
    };
    let (first, second) = (first.outcome, second.outcome);
    if first.digest != second.digest || first.violations != second.violations {
        tally.flaky.push(Flaky {
            seed,
            digests: [first.digest, second.digest],
        });
    } else if !first.violations.is_empty() {
        tally.reds.push(Red {
            seed,
            violations: first.violations,
            plan: plan.clone(),
            kept: None,
        });
    }
    (roster, tally)
}

/// One run of the test, and what it declared.
fn perform<F>(
    plan: &Plan,
    seed: u64,
    recording: Recording,
    story: &(impl Fn(Bed) -> F + Sync),
) -> (Performance, Roster)
where
    F: Future + 'static,
    F::Output: Ending,
{
    let declared: Mutex<Arc<Mutex<Roster>>> = Mutex::default();
    let run = run::run_story_recorded(plan, seed, recording, |bed| {
        *declared.lock().expect("no panic within") = bed.shared_roster();
        let told = story(bed.clone());
        async move {
            let told = Caught::new(told).await;
            match told.map(Ending::failure) {
                Ok(None) => {}
                Ok(Some(error)) => bed.violate("A1 assertion", format!("the test: {error}")),
                Err(panic) => bed.violate("A1 assertion", format!("the test: {panic}")),
            }
        }
    });
    let declared = declared.into_inner().expect("no panic within");
    let roster = declared.lock().expect("no panic within").clone();
    (judged(plan, run), roster)
}
