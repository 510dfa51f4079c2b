//! Verdicts: what a campaign comes to, in one line for people and one exit code for machines.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::campaign::{Red, Tally};
use crate::cast;
use crate::plan::{Expects, Plan};
use crate::scenario;

/// From this many seeds on a campaign must reach everything that its scenario is about; fewer are a
/// look at single runs, and a seed need not draw everything.
pub const CAMPAIGN_SEEDS_MIN: u64 = 5;

/// Violations of one red seed that are told in full: what follows the first is often its echo.
const VIOLATIONS_TOLD_MAX: usize = 3;
/// Red seeds that are told in full; the others are listed.
pub const REDS_TOLD_MAX: usize = 3;

/// What a campaign comes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Nothing is wrong, and what the scenario is about has happened.
    Green,
    /// Nothing was played: the campaign was stopped before.
    Unplayed,
    /// Nothing is wrong, but something that the scenario is about never happened.
    Vacuous,
    /// A rule was broken.
    Red,
    /// Two runs of one seed differed.
    NonDeterministic,
}

impl Verdict {
    /// What `tally` comes to, of a campaign with `plan`'s scenario.
    pub fn of(plan: &Plan, tally: &Tally) -> Verdict {
        if !tally.flaky.is_empty() {
            Verdict::NonDeterministic
        } else if !tally.reds.is_empty() {
            Verdict::Red
        } else if tally.seeds == 0 {
            Verdict::Unplayed
        } else if tally.seeds >= CAMPAIGN_SEEDS_MIN && !missing(plan, tally).is_empty() {
            Verdict::Vacuous
        } else {
            Verdict::Green
        }
    }

    /// The process's exit code: 0 green, 1 red or vacuous, 3 non-deterministic. 2 is bad input.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Green | Verdict::Unplayed => 0,
            Verdict::Vacuous | Verdict::Red => 1,
            Verdict::NonDeterministic => 3,
        }
    }

    /// In capitals, for the beginning of a line.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Green => "GREEN",
            Verdict::Unplayed => "UNPLAYED",
            Verdict::Vacuous => "VACUOUS",
            Verdict::Red => "RED",
            Verdict::NonDeterministic => "NON-DETERMINISTIC",
        }
    }
}

/// What the scenario is about and was never reached.
fn missing<'a>(plan: &'a Plan, tally: &Tally) -> Vec<&'a str> {
    let reached = tally.reached(&plan.reaches);
    let never = reached.into_iter().filter(|(_, count)| *count == 0);
    never.map(|(name, _)| name).collect()
}

/// The event that verdicts count as an election.
const ELECTED: &str = "elected";

/// The line of one scenario; `width` is that of the longest name.
pub fn line(plan: &Plan, tally: &Tally, width: usize) -> String {
    let word = Verdict::of(plan, tally).word();
    let name = &plan.name;
    let figures = format!(
        "{:>6}  {:>9} simulated  {:>9} events/s  {:>6}",
        seeds(tally.seeds),
        span(tally.simulated),
        grouped(rate(tally.events, tally.busy)),
        ratio(tally),
    );
    let mut line = format!("{word:<8} {name:<width$}  {figures}");
    let mut faults = tally.faults();
    let own = tally.reached(cast::own_faults(&plan.workload));
    faults.extend(own.into_iter().filter(|(_, count)| *count > 0));
    let faults = match faults.is_empty() {
        true => "none".to_owned(),
        false => list(faults),
    };
    write!(line, "   faults: {faults}").expect("text can be written");
    if !plan.reaches.is_empty() {
        let reached = list(tally.reached(&plan.reaches));
        write!(line, "   reached: {reached}").expect("text can be written");
    }
    let outages = [
        ("without service", tally.unavailable, tally.unavailable_max),
        ("without a leader", tally.leaderless, tally.leaderless_max),
    ];
    for (what, sum, worst) in outages {
        if worst > Duration::ZERO {
            let mean = sum / u32::try_from(tally.seeds.max(1)).unwrap_or(u32::MAX);
            let (mean, worst) = (span(mean), span(worst));
            write!(line, "   {what}: {mean} on average, {worst} at worst").expect(TEXT);
        }
    }
    // One server alone elects itself at each start: that tells nothing.
    if plan.servers > 1
        && let Some(elections) = tally.counts.get(ELECTED)
    {
        write!(line, "   elections: {}", grouped(*elections)).expect(TEXT);
    }
    if plan.expects == Expects::UnavailableNeverWrong {
        line.push_str("   (may refuse, never lie)");
    }
    line
}

fn list(counts: Vec<(&str, u64)>) -> String {
    let items = counts
        .into_iter()
        .map(|(name, count)| format!("{name} {}", grouped(count)));
    items.collect::<Vec<_>>().join(", ")
}

/// What has to be said below the line: what is missing, broken or undecided, and how to see it
/// again. `file` is the scenario's, as the user would write it; `noted` is what there is to say of
/// a red seed besides.
pub fn findings(
    plan: &Plan,
    tally: &Tally,
    file: &Path,
    noted: &dyn Fn(&Red) -> Vec<String>,
) -> String {
    let file = file.display();
    let mut text = String::new();
    text.push_str(&never_reached(plan, tally));
    for flaky in &tally.flaky {
        let (seed, [a, b]) = (flaky.seed, flaky.digests);
        let name = &plan.name;
        writeln!(
            text,
            "  NON-DETERMINISTIC {name} seed={seed}: digests {a:032x} and {b:032x}"
        )
        .expect(TEXT);
        writeln!(text, "       cargo sim replay {file} --seed {seed}").expect(TEXT);
    }
    for red in tally.reds.iter().take(REDS_TOLD_MAX) {
        text.push_str(&failures(&plan.name, red));
        let seed = red.seed;
        match &red.kept {
            Some(kept) => writeln!(text, "       cargo sim replay {kept} --seed {seed}"),
            None => writeln!(text, "       cargo sim replay {file} --seed {seed}"),
        }
        .expect(TEXT);
        for note in noted(red) {
            writeln!(text, "       {note}").expect(TEXT);
        }
    }
    if tally.reds.len() > REDS_TOLD_MAX {
        let others = tally.reds.iter().skip(REDS_TOLD_MAX);
        let others: Vec<String> = others.map(|red| red.seed.to_string()).collect();
        writeln!(text, "  and red as well: seeds {}", others.join(", ")).expect(TEXT);
    }
    text
}

/// The lines of what a vacuous campaign never reached.
pub fn never_reached(plan: &Plan, tally: &Tally) -> String {
    let mut text = String::new();
    if Verdict::of(plan, tally) == Verdict::Vacuous {
        for name in missing(plan, tally) {
            writeln!(text, "  never reached: {name}, in {}", seeds(tally.seeds)).expect(TEXT);
        }
    }
    text
}

const TEXT: &str = "text can be written";

/// The lines that begin with FAIL.
pub fn failures(name: &str, red: &Red) -> String {
    let mut text = String::new();
    for violation in red.violations.iter().take(VIOLATIONS_TOLD_MAX) {
        let (invariant, seed, detail) = (violation.invariant, red.seed, &violation.detail);
        let at = violation.at.as_secs_f64();
        writeln!(
            text,
            "  FAIL {invariant} {name} seed={seed} at t={at:.3}s: {detail}"
        )
        .expect(TEXT);
    }
    if red.violations.len() > VIOLATIONS_TOLD_MAX {
        let more = red.violations.len() - VIOLATIONS_TOLD_MAX;
        writeln!(text, "       and {more} more, later").expect(TEXT);
    }
    text
}

/// A red seed's plan, as a scenario file that says where it comes from.
pub fn saved_plan(file: &Path, red: &Red) -> String {
    let first = &red.violations[0];
    let (file, seed, invariant) = (file.display(), red.seed, first.invariant);
    let detail = first.detail.replace(['\n', '\r'], " ");
    format!(
        "# Drawn by seed {seed} of {file}, which breaks {invariant}: {detail}\n\n{}",
        scenario::print(&red.plan)
    )
}

/// The last line of a campaign over several scenarios.
pub fn summary(total: &Tally, verdicts: &[Verdict]) -> String {
    let count = |wanted: Verdict| {
        verdicts
            .iter()
            .filter(|verdict| **verdict == wanted)
            .count()
    };
    let mut words = vec![format!("{} green", count(Verdict::Green))];
    for other in [
        Verdict::Vacuous,
        Verdict::Red,
        Verdict::NonDeterministic,
        Verdict::Unplayed,
    ] {
        if count(other) > 0 {
            words.push(format!("{} {}", count(other), other.word()));
        }
    }
    format!(
        "{}: {}.  {}, {} simulated in {} of processor time ({} real): {}, {} events/s",
        counted(verdicts.len() as u64, "scenario"),
        words.join(", "),
        seeds(total.seeds),
        span(total.simulated),
        span(total.busy),
        span(total.real),
        ratio(total),
        grouped(rate(total.events, total.busy)),
    )
}

fn seeds(count: u64) -> String {
    counted(count, "seed")
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", grouped(count)),
    }
}

fn rate(count: u64, time: Duration) -> u64 {
    match time.as_secs_f64() {
        0.0 => 0,
        seconds => (count as f64 / seconds) as u64,
    }
}

fn ratio(tally: &Tally) -> String {
    let simulated = u64::try_from(tally.simulated.as_millis()).unwrap_or(u64::MAX);
    format!("{}x", grouped(rate(simulated, tally.busy * 1000)))
}

/// With a comma before every third digit from the end.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two units at most: `1h 12m`, `3m 20s`, `12.3s`, `450ms`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{}.{}s", seconds, time.subsec_millis() / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", grouped(seconds / 3600), seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::campaign::Flaky;
    use crate::history::Violation;
    use crate::scenario::Scenario;

    fn plan() -> Plan {
        let text = "lasts = \"60s\"\nsettles = \"30s\"\nreaches = [\"session-expired\", \"elected\"]\n\
                    [workload.mix]\nclients = 3\nrest = \"1s\"\nznodes = 9\nsession = \"5s\"\n";
        Scenario::parse(text, "scenarios/x.toml", "second-death")
            .unwrap()
            .plan
    }

    fn tally(seeds: u64, expired: u64) -> Tally {
        let counts = [
            ("crash", 40),
            ("pause", 12),
            ("elected", 1092),
            ("session-expired", expired),
        ];
        Tally {
            seeds,
            simulated: Duration::from_secs(4_335),
            events: 2_184_000,
            busy: Duration::from_secs(7),
            real: Duration::from_secs(4),
            counts: counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name.to_owned(), count))
                .collect::<BTreeMap<_, _>>(),
            ..Tally::default()
        }
    }

    fn red(seed: u64, violations: usize) -> Red {
        let violation = |index| Violation {
            invariant: "V3 no watch lost",
            at: Duration::from_millis(12_345 + index as u64),
            detail: "client-1 was not told of /a".to_owned(),
            session: None,
        };
        Red {
            seed,
            violations: (0..violations).map(violation).collect(),
            plan: plan(),
            kept: None,
        }
    }

    fn told(tally: &Tally) -> String {
        let noted = |red: &Red| vec![format!("folder: target/red/second-death-{}", red.seed)];
        findings(
            &plan(),
            tally,
            Path::new("scenarios/second-death.toml"),
            &noted,
        )
    }

    #[test]
    fn green() {
        assert_eq!(
            line(&plan(), &tally(40, 52), 14),
            "GREEN    second-death    40 seeds     1h 12m simulated    312,000 events/s    619x   \
             faults: crash 40, pause 12   reached: session-expired 52, elected 1,092"
        );
        assert_eq!(told(&tally(40, 52)), "");
        assert_eq!(Verdict::of(&plan(), &tally(40, 52)).exit_code(), 0);
    }

    #[test]
    fn without_service() {
        let mut tally = tally(10, 1);
        tally.unavailable = Duration::from_secs(50);
        tally.unavailable_max = Duration::from_millis(7_250);
        let mut plan = plan();
        plan.expects = Expects::UnavailableNeverWrong;
        plan.reaches.clear();
        let line = line(&plan, &tally, 0);
        let end = "pause 12   without service: 5.0s on average, 7.2s at worst   \
                   (may refuse, never lie)";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_campaign_that_misses_what_it_is_about_is_vacuous() {
        let tally = tally(CAMPAIGN_SEEDS_MIN, 0);
        assert_eq!(Verdict::of(&plan(), &tally), Verdict::Vacuous);
        assert_eq!(Verdict::of(&plan(), &tally).exit_code(), 1);
        assert!(line(&plan(), &tally, 0).starts_with("VACUOUS  second-death  5 seeds"));
        assert!(line(&plan(), &tally, 0).ends_with("reached: session-expired 0, elected 1,092"));
        assert_eq!(
            told(&tally),
            "  never reached: session-expired, in 5 seeds\n"
        );
    }

    #[test]
    fn a_look_at_a_single_seed_is_not_vacuous() {
        assert_eq!(Verdict::of(&plan(), &tally(1, 0)), Verdict::Green);
        assert_eq!(Verdict::of(&plan(), &tally(0, 0)), Verdict::Unplayed);
    }

    #[test]
    fn red_tells_what_and_how_to_see_it_again() {
        let mut tally = tally(40, 52);
        tally.reds = vec![red(7, 5), red(9, 1)];
        assert_eq!(Verdict::of(&plan(), &tally).exit_code(), 1);
        assert_eq!(
            told(&tally),
            "  FAIL V3 no watch lost second-death seed=7 at t=12.345s: client-1 was not told of /a\n\
             \x20 FAIL V3 no watch lost second-death seed=7 at t=12.346s: client-1 was not told of /a\n\
             \x20 FAIL V3 no watch lost second-death seed=7 at t=12.347s: client-1 was not told of /a\n\
             \x20      and 2 more, later\n\
             \x20      cargo sim replay scenarios/second-death.toml --seed 7\n\
             \x20      folder: target/red/second-death-7\n\
             \x20 FAIL V3 no watch lost second-death seed=9 at t=12.345s: client-1 was not told of /a\n\
             \x20      cargo sim replay scenarios/second-death.toml --seed 9\n\
             \x20      folder: target/red/second-death-9\n"
        );
        tally.reds = (1..=6).map(|seed| red(seed, 1)).collect();
        assert!(told(&tally).ends_with("  and red as well: seeds 4, 5, 6\n"));
    }

    #[test]
    fn non_deterministic_outranks_red() {
        let mut tally = tally(40, 52);
        tally.reds = vec![red(7, 1)];
        tally.flaky = vec![Flaky {
            seed: 3,
            digests: [1, 2],
        }];
        assert_eq!(Verdict::of(&plan(), &tally), Verdict::NonDeterministic);
        assert_eq!(Verdict::of(&plan(), &tally).exit_code(), 3);
        assert!(told(&tally).starts_with(
            "  NON-DETERMINISTIC second-death seed=3: digests 00000000000000000000000000000001 \
             and 00000000000000000000000000000002\n       cargo sim replay \
             scenarios/second-death.toml --seed 3\n  FAIL"
        ));
    }

    #[test]
    fn a_saved_plan_is_a_scenario() {
        let text = saved_plan(Path::new("scenarios/second-death.toml"), &red(7, 1));
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "# Drawn by seed 7 of scenarios/second-death.toml, which breaks V3 no watch lost: \
             client-1 was not told of /a"
        );
        let read = Scenario::parse(&text, "red.toml", "red").unwrap();
        assert_eq!(read.plan, plan());
    }

    #[test]
    fn the_summary_counts_verdicts() {
        let verdicts = [Verdict::Green, Verdict::Red, Verdict::Green];
        assert_eq!(
            summary(&tally(1_200, 1), &verdicts),
            "3 scenarios: 2 green, 1 RED.  1,200 seeds, 1h 12m simulated in 7.0s of processor time \
             (4.0s real): 619x, 312,000 events/s"
        );
    }

    #[test]
    fn figures_are_for_people() {
        let texts = [0, 7, 999, 1_000, 312_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "312,000", "1,234,567"]);
        let texts = [450, 12_345, 200_000, 4_335_000, 5_000_000_000]
            .map(|millis| span(Duration::from_millis(millis)));
        assert_eq!(texts, ["450ms", "12.3s", "3m 20s", "1h 12m", "1,388h 53m"]);
    }
}
