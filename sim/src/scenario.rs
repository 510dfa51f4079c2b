//! Scenario files: a plan, and optionally what a seed draws. Read strictly, with the file, the
//! line, the column and the key of whatever is wrong; printed so that what is printed can be read.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeTable;

use crate::figures;
use crate::key_path::{KeyPath, Unsound};
use crate::plan::{Plan, Workload};
use crate::soundness::{check_plan, check_swarm};
use crate::swarm::Swarm;
use crate::whereabouts::{key_at, span_of};

/// A scenario, as its file says it.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What is the same for every seed.
    pub plan: Plan,
    /// What a seed draws.
    pub swarm: Option<Swarm>,
}

/// Why a scenario file is not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The file.
    pub file: String,
    /// Counts from 1; the line and column of what is wrong.
    pub line: usize,
    /// Counts from 1, in characters.
    pub column: usize,
    /// The key it is about; empty for what is no TOML at all.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// The line itself.
    pub source_line: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        let margin = self.line.to_string();
        writeln!(f, "{}", self.message)?;
        writeln!(f, "  {margin} | {}", self.source_line)?;
        let blank = " ".repeat(margin.len());
        write!(f, "  {blank} | {}^", " ".repeat(self.column - 1))
    }
}

impl std::error::Error for Refused {}

impl Scenario {
    /// Reads the text of the scenario file `file`, whose name without `.toml` is `name`.
    pub fn parse(text: &str, file: &str, name: &str) -> Result<Scenario, Refused> {
        let draft = Draft::read(text, file, name)?;
        if matches!(draft.plan.workload, Workload::Service { .. }) {
            let message =
                "is a test's own story, which only the test can play: see docs/testbed.md";
            return Err(draft.refused(&KeyPath::new("workload.service"), message));
        }
        draft.checked()
    }

    /// Refuses what names something that does not exist, or has a figure beyond its limits.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn check(&self) -> Result<(), Unsound> {
        check_plan(&self.plan)?;
        match &self.swarm {
            Some(swarm) => {
                check_swarm(&self.plan, swarm)?;
                figures::check_figures(&self.plan, &swarm.figures)
            }
            None => Ok(()),
        }
    }
}

/// A scenario file that was read, and not yet checked.
pub struct Draft<'a> {
    text: &'a str,
    file: &'a str,
    document: Spanned<DeTable<'a>>,
    /// What it says.
    pub plan: Plan,
    /// What a seed draws.
    pub swarm: Option<Swarm>,
}

impl<'a> Draft<'a> {
    /// Reads the text of the scenario file `file`, whose name without `.toml` is `name`.
    pub fn read(text: &'a str, file: &'a str, name: &str) -> Result<Draft<'a>, Refused> {
        let document = DeTable::parse(text)
            .map_err(|error| refused(text, file, String::new(), error.span(), error.message()))?;
        let ungrammatical = |error: toml::de::Error| {
            // What is missing from the whole file stands nowhere.
            let span = error.span().filter(|span| !span.is_empty());
            let key = span.map(|span| key_at(document.get_ref(), &span));
            let key = key.unwrap_or_default().to_string();
            refused(text, file, key, error.span(), error.message())
        };
        let mut table = document.clone();
        let swarm = table.get_mut().remove("swarm");
        let mut plan =
            Plan::deserialize(toml::de::Deserializer::from(table)).map_err(ungrammatical)?;
        let swarm = swarm
            .map(|swarm| Swarm::deserialize(toml::de::ValueDeserializer::from(swarm)))
            .transpose()
            .map_err(ungrammatical)?;
        if plan.name.is_empty() {
            plan.name = name.to_owned();
        }
        Ok(Draft {
            text,
            file,
            document,
            plan,
            swarm,
        })
    }

    /// The scenario, if it is sound.
    pub fn checked(self) -> Result<Scenario, Refused> {
        let scenario = Scenario {
            plan: self.plan.clone(),
            swarm: self.swarm.clone(),
        };
        match scenario.check() {
            Ok(()) => Ok(scenario),
            Err(unsound) => Err(self.refused(&unsound.key, &unsound.message)),
        }
    }

    /// Why it is not taken, shown where that stands.
    pub fn refused(&self, key: &KeyPath, message: &str) -> Refused {
        let span = span_of(self.document.get_ref(), key);
        refused(self.text, self.file, key.to_string(), span, message)
    }
}

fn refused(
    text: &str,
    file: &str,
    key: String,
    span: Option<Range<usize>>,
    message: &str,
) -> Refused {
    let offset = span.map_or(0, |span| span.start).min(text.len());
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let source_line = text[line_start..].lines().next().unwrap_or_default();
    Refused {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: text[line_start..offset].chars().count() + 1,
        key,
        // Multi-line messages of the parser would break the form of the report.
        message: message.replace('\n', "; "),
        source_line: source_line.to_owned(),
    }
}

/// The value on one line, as it stands in a scenario file.
pub fn inline(value: &impl Serialize) -> String {
    let mut text = String::new();
    let serializer = toml::ser::ValueSerializer::new(&mut text);
    value
        .serialize(serializer)
        .expect("what is in a plan is a TOML value");
    text
}

/// The plan as the text of a scenario file. Each fault stands on two lines.
pub fn print(plan: &Plan) -> String {
    let mut head = plan.clone();
    let faults = std::mem::take(&mut head.faults);
    let mut text = toml::to_string(&head).expect("a plan is a TOML table");
    for fault in faults {
        let (when, what) = (inline(&fault.when), inline(&fault.what));
        text.push_str("\n[[faults]]\n");
        if let Some(id) = fault.id {
            text.push_str(&format!("id = {id}\n"));
        }
        text.push_str(&format!("when = {when}\nwhat = {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::cue::Cue;
    use crate::draw;
    use crate::plan::{FaultKind, Which};
    use crate::span::Span;
    use crate::swarm::Kind;

    const HEAD: &str = "lasts = \"60s\"\nsettles = \"30s\"\n";
    const LOCK: &str = "[workload.lock]\nclients = 3\nhold = \"1s\"\nsession = \"5s\"\n";

    fn refusal(text: &str) -> String {
        Scenario::parse(text, "x.toml", "x")
            .unwrap_err()
            .to_string()
    }

    fn first_line(text: &str) -> String {
        refusal(text).lines().next().unwrap().to_owned()
    }

    fn refuses_all(cases: &[(String, &str)]) {
        let mut wrong = String::new();
        for (text, expected) in cases {
            let found = first_line(text);
            if !found.starts_with(expected) {
                wrong.push_str(&format!("{found}\nis not\n{expected}\n\n"));
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn a_minimal_scenario_is_read() {
        let scenario = Scenario::parse(&format!("{HEAD}{LOCK}"), "x.toml", "x").unwrap();
        assert_eq!(scenario.plan.name, "x");
        assert_eq!(scenario.plan.servers, 1);
        assert_eq!(scenario.plan.lasts, Span::secs(60));
        assert_eq!(scenario.swarm, None);
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands() {
        let text = format!(
            "{HEAD}{LOCK}\n[[faults]]\nwhen = {{ at = \"1s\" }}\nwhat = {{ pause = {{ who = \"server-1\", lasts = 5 }} }}\n"
        );
        assert_eq!(
            refusal(&text),
            "x.toml:10:46: faults[0].what.pause.lasts: invalid type: integer `5`, expected a string\n  \
             10 | what = { pause = { who = \"server-1\", lasts = 5 } }\n     \
             |                                              ^"
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        let cases = [
            (
                format!("{HEAD}serverz = 3\n{LOCK}"),
                "x.toml:3:1: serverz: unknown field `serverz`",
            ),
            (
                format!("{HEAD}{LOCK}holds = \"1s\"\n"),
                "x.toml:7:1: workload.lock.holds: unexpected keys in table: holds",
            ),
            (
                format!("{HEAD}[workload.luck]\nclients = 3\n"),
                "x.toml:3:11: workload.luck: unknown variant `luck`",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.faults.crush]\n"),
                "x.toml:7:15: swarm.faults.crush: unknown variant `crush`",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.faults.crash]\never = \"1s\"\n"),
                "x.toml:8:1: swarm.faults.crash.ever: unknown field `ever`",
            ),
            (
                format!(
                    "{HEAD}{LOCK}[[faults]]\nwhen = {{ at = \"1s\", nth = 2 }}\nwhat = {{ reset = {{ who = \"client-1\" }} }}\n"
                ),
                "x.toml:8:8: faults[0].when: `nth` and `after` belong to a cue with `on`",
            ),
            (
                "lasts = \"60s\nsettles".to_owned(),
                "x.toml:2:8: key with no value",
            ),
            (HEAD.to_owned(), "x.toml:1:1: missing field `workload`"),
        ];
        refuses_all(&cases);
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let fault = |when: &str, what: &str| {
            format!("{HEAD}{LOCK}[[faults]]\nwhen = {{ {when} }}\nwhat = {{ {what} }}\n")
        };
        let reset = "reset = { who = \"client-1\" }";
        let cases = [
            (
                fault("at = \"1s\"", "crash = { who = \"server-2\" }"),
                "x.toml:9:20: faults[0].what.crash.who: there is no server 2: servers are numbered",
            ),
            (
                fault("at = \"1s\"", "full-disk = { server = 0, lasts = \"1s\" }"),
                "x.toml:9:24: faults[0].what.full-disk.server: there is no server 0",
            ),
            (
                fault("at = \"1s\"", "reset = { who = \"client-4\" }"),
                "x.toml:9:20: faults[0].what.reset.who: nobody is called `client-4`; the story's \
                 names are client-1, client-2, client-3, holder",
            ),
            (
                fault("at = \"61s\"", reset),
                "x.toml:8:10: faults[0].when.at: is after the end of the first act, which lasts 1m",
            ),
            (
                fault("on = \"lock-grunted\"", reset),
                "x.toml:8:10: faults[0].when.on: nothing is called `lock-grunted`; in this story",
            ),
            (
                fault("on = \"lock-granted\", nth = 0", reset),
                "x.toml:8:31: faults[0].when.nth: counts from 1",
            ),
            (
                fault("then = \"1s\"", reset),
                "x.toml:8:10: faults[0].when.then: no fault stands before the first",
            ),
            (
                fault(
                    "at = \"1s\"",
                    "pause = { who = \"holder\", lasts = \"0s\" }",
                ),
                "x.toml:9:36: faults[0].what.pause.lasts: must be from 1ms to",
            ),
            (
                format!("{HEAD}reaches = [\"watch-fired\", \"nothing\"]\n{LOCK}"),
                "x.toml:3:27: reaches[1]: nothing is called `nothing`",
            ),
            (
                format!("servers = 12\n{HEAD}{LOCK}"),
                "x.toml:1:1: servers: the number of servers is from 1 to 11",
            ),
            (
                format!("lasts = \"0s\"\nsettles = \"1s\"\n{LOCK}"),
                "x.toml:1:1: lasts: must be from 1ms to",
            ),
        ];
        refuses_all(&cases);
    }

    #[test]
    fn what_an_ensemble_cannot_do_is_refused() {
        let three = |fault: &str| {
            format!(
                "servers = 3\n{HEAD}{LOCK}[[faults]]\nwhen = {{ at = \"1s\" }}\nwhat = {{ {fault} }}\n"
            )
        };
        let cases = [
            (
                three("crash = { who = \"server-4\" }"),
                "x.toml:10:20: faults[0].what.crash.who: there is no server 4: servers are numbered",
            ),
            (
                three("slow-disk = { server = \"lead\", by = \"1s\", lasts = \"1s\" }"),
                "x.toml:10:33: faults[0].what.slow-disk.server: a server is a number, or `leader`",
            ),
            (
                three("ring = { lasts = \"1s\" }"),
                "x.toml:10:10: faults[0].what.ring: needs at least 4 servers",
            ),
            (
                three("split = { servers = [1, 1], lasts = \"1s\" }"),
                "x.toml:10:34: faults[0].what.split.servers[1]: server 1 is named twice",
            ),
            (
                three("split = { servers = [1, 2, 3], lasts = \"1s\" }"),
                "x.toml:10:20: faults[0].what.split.servers: nobody is on the other side",
            ),
            (
                three("isolate = { server = 1, lasts = \"1s\", flaps = \"1ms\" }"),
                "x.toml:10:48: faults[0].what.isolate.flaps: must be from 10ms to",
            ),
            (
                three("reconfigure = { voters = [] }"),
                "x.toml:10:26: faults[0].what.reconfigure.voters: names nobody",
            ),
            (
                three("reconfigure = { voters = [1], learners = [1] }"),
                "x.toml:10:52: faults[0].what.reconfigure.learners[0]: votes already",
            ),
            (
                format!(
                    "heals = \"quorum\"\n{}",
                    three("reconfigure = { voters = [1] }")
                ),
                "x.toml:11:10: faults[0].what.reconfigure: does not go together with",
            ),
            (
                format!("servers = 2\nlearners = [2, 1]\n{HEAD}{LOCK}"),
                "x.toml:2:1: learners: somebody has to vote",
            ),
            (
                format!("{HEAD}{LOCK}[network]\nshuffle = 0.6\n"),
                "x.toml:8:1: network.shuffle: is a share of what is sent, from 0 to 0.5",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.faults.stop]\nwhom = [\"clients\"]\n"),
                "x.toml:8:9: swarm.faults.stop.whom[0]: a fault of the kind `stop` strikes servers",
            ),
        ];
        refuses_all(&cases);
    }

    #[test]
    fn seeds_destroy_only_what_a_quorum_survives() {
        let scenario = everything();
        let (mut destroyed, mut changed) = (0, 0);
        for seed in 0..200 {
            let plan = draw::draw(&scenario, seed);
            let broken = |fault: &crate::plan::Fault| match fault.what {
                FaultKind::LostDisk {
                    server: Which::Number(number),
                    ..
                }
                | FaultKind::BitRot {
                    server: Which::Number(number),
                    ..
                } => Some(number),
                _ => None,
            };
            let broken: BTreeSet<u8> = plan.faults.iter().filter_map(broken).collect();
            assert!(broken.len() * 2 < usize::from(plan.servers), "{seed}");
            destroyed += broken.len();
            for fault in &plan.faults {
                let FaultKind::Reconfigure { voters, learners } = &fault.what else {
                    continue;
                };
                let lost = voters.iter().filter(|voter| broken.contains(voter));
                assert!(lost.count() * 2 < voters.len(), "{seed}");
                assert!(learners.iter().all(|learner| !voters.contains(learner)));
                changed += 1;
            }
        }
        assert!(destroyed > 100 && changed > 100, "{destroyed} {changed}");
    }

    #[test]
    fn a_swarm_out_of_its_range_is_refused() {
        let cases = [
            (
                format!("{HEAD}{LOCK}[swarm.faults.reset]\ndown = \"1s\"\n"),
                "x.toml:8:1: swarm.faults.reset.down: a fault of the kind `reset` has no `down`",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.faults.crash]\ndown = [\"2s\", \"1s\"]\n"),
                "x.toml:8:1: swarm.faults.crash.down: the least stands before the most",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.figures.workload.lock]\nclients = [0, 4]\n"),
                "x.toml:8:1: swarm.figures.workload.lock.clients: must be from 1 to",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.figures.workload.lock]\nclient = [1, 4]\n"),
                "x.toml:8:1: swarm.figures.workload.lock.client: unknown field `client`",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.figures.workload.shard]\nslaves = [1, 4]\n"),
                "x.toml:7:25: swarm.figures.workload.shard: the scenario has no table",
            ),
            (
                format!("{HEAD}{LOCK}[swarm.figures.lasts]\nleast = \"1s\"\n"),
                "x.toml:7:16: swarm.figures.lasts: the scenario has no table `lasts`",
            ),
        ];
        refuses_all(&cases);
    }

    const EVERYTHING: &str = r#"
servers = 5
lasts = "10m"
settles = "1m"
reaches = ["crash", "lock-granted"]

[workload.lock]
clients = 5
hold = "1s 500ms"
session = "5s"

[[faults]]
when = { on = "lock-granted", nth = 2, after = "100ms" }
what = { pause = { who = "holder", lasts = "10s" } }

[[faults]]
when = { then = "1s" }
what = { crash = { who = "client-2" } }

[swarm]
calm = 0.1

[swarm.figures.workload.lock]
clients = [5, 9]
hold = ["1ms", "10s"]

[swarm.figures.network]
loss = [0.0, 0.2]

[swarm.figures.server]
snapCount = [10, 1000]

[swarm.faults]
crash = {}
stop = {}
rolling-restart = {}
power-loss = {}
power-cut = {}
pause = {}
cut = {}
isolate = {}
split = {}
bridge = {}
ring = {}
reset = {}
slow-link = {}
slow-disk = {}
full-disk = {}
sync-error = {}
bit-rot = {}
lost-disk = {}
poisoned-gossip = {}
silenced-gossip = {}
reconfigure = {}
wall-jump = {}
clock-drift = {}
"#;

    fn everything() -> Scenario {
        Scenario::parse(EVERYTHING, "x.toml", "x").unwrap()
    }

    fn drawn_of(plan: &Plan, kind: Kind) -> Vec<&FaultKind> {
        // The first two are written, not drawn.
        let kinds = plan.faults[2..].iter().map(|fault| &fault.what);
        kinds.filter(|what| Kind::of(what) == kind).collect()
    }

    #[test]
    fn seeds_draw_every_kind_and_different_subsets() {
        let scenario = everything();
        let plans: Vec<Plan> = (0..100).map(|seed| draw::draw(&scenario, seed)).collect();
        // A test's own faults cannot be in a file that no test plays, and snapshots are restored in
        // the random mixture only.
        let here = |kind: &Kind| !matches!(kind, Kind::Own | Kind::Restore);
        for kind in Kind::ALL.into_iter().filter(here) {
            let with = plans.iter().filter(|plan| !drawn_of(plan, kind).is_empty());
            assert!((20..80).contains(&with.count()), "{kind:?}");
        }
        let kinds_of = |plan: &Plan| {
            let drawn = |kind: &Kind| !drawn_of(plan, *kind).is_empty();
            Kind::ALL.into_iter().filter(drawn).count()
        };
        assert!(plans.iter().any(|plan| kinds_of(plan) == 0), "no calm seed");
        assert!(
            plans.iter().any(|plan| kinds_of(plan) == 1),
            "no single seed"
        );
        assert!(plans.iter().all(|plan| plan.server.snap_count.is_some()));
    }

    #[test]
    fn a_kind_that_is_taken_away_does_not_change_the_others() {
        let scenario = everything();
        let mut compared = 0;
        for taken in Kind::ALL {
            let mut fewer = scenario.clone();
            fewer.swarm.as_mut().unwrap().faults.remove(&taken);
            for seed in 0..20 {
                let (all, rest) = (draw::draw(&scenario, seed), draw::draw(&fewer, seed));
                assert!(drawn_of(&rest, taken).is_empty());
                if drawn_of(&all, taken).len() == all.faults.len() - 2 {
                    // A seed of this kind alone draws another kind instead.
                    continue;
                }
                for kind in Kind::ALL.into_iter().filter(|kind| *kind != taken) {
                    assert_eq!(
                        drawn_of(&all, kind),
                        drawn_of(&rest, kind),
                        "{seed} {kind:?}"
                    );
                    compared += drawn_of(&all, kind).len();
                }
                assert_eq!(all.workload, rest.workload);
                assert_eq!(all.network, rest.network);
            }
        }
        assert!(compared > 1_000, "{compared}");
    }

    #[test]
    fn figures_have_streams_of_their_own() {
        let scenario = everything();
        let mut fewer = scenario.clone();
        let figures = &mut fewer.swarm.as_mut().unwrap().figures;
        figures.remove("network");
        for seed in 0..20 {
            let (all, rest) = (draw::draw(&scenario, seed), draw::draw(&fewer, seed));
            assert_eq!(rest.network, scenario.plan.network);
            assert_ne!(all.network, rest.network);
            assert_eq!(all.workload, rest.workload);
        }
    }

    #[test]
    fn a_printed_fault_stands_on_two_lines() {
        let mut plan = everything().plan;
        plan.faults.truncate(1);
        let text = print(&plan);
        let expected = "[[faults]]\n\
            when = { on = \"lock-granted\", nth = 2, after = \"100ms\" }\n\
            what = { pause = { who = \"holder\", lasts = \"10s\" } }\n";
        let tail = &text[text.find("[[faults]]").unwrap()..];
        assert_eq!(tail, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_drawn_plan_is_a_scenario(seed: u64) {
            let plan = draw::draw(&everything(), seed);
            prop_assert_eq!(&plan, &draw::draw(&everything(), seed));
            let text = print(&plan);
            let read = Scenario::parse(&text, "drawn.toml", "drawn").map_err(|refused| {
                TestCaseError::fail(format!("{refused}\n{text}"))
            })?;
            prop_assert_eq!(&read.plan, &plan);
            prop_assert_eq!(read.swarm, None);
            // And drawing from it changes nothing, whatever the seed.
            let again = Scenario { plan: read.plan, swarm: None };
            prop_assert_eq!(draw::draw(&again, seed ^ 1), plan);
        }

        #[test]
        fn no_text_makes_the_reader_panic(cut in 0..EVERYTHING.len(), junk in "\\PC{0,4}") {
            if EVERYTHING.is_char_boundary(cut) {
                let text = format!("{}{junk}{}", &EVERYTHING[..cut], &EVERYTHING[cut..]);
                if let Err(refused) = Scenario::parse(&text, "x.toml", "x") {
                    prop_assert!(refused.to_string().contains("x.toml:"));
                }
            }
        }

        #[test]
        fn drawn_times_lie_in_the_first_act(seed: u64) {
            let plan = draw::draw(&everything(), seed);
            for fault in &plan.faults[2..] {
                let Cue::At { at } = fault.when else { panic!("{fault:?}") };
                prop_assert!(at < plan.lasts);
            }
        }
    }
}
