//! The faults: whom they strike, when, and for how long.

use crate::cue::Cue;
use crate::key_path::{KeyPath, Unsound, refuse};
use crate::plan::{Fault, FaultKind, Heals, Plan, Which, Workload};
use crate::soundness::bounds::{magnitude, within_at};
use crate::soundness::names::{check_name, check_own, check_set, check_which, check_who};
use crate::soundness::{ACT_MAX, DRIFT_PPM_MAX, FLAPS_MIN, JUMP_MS_MAX};
use crate::span::Span;
use crate::swarm::Kind;

#[allow(
    clippy::too_many_lines,
    reason = "one arm for each kind, and no two share a thought"
)]
pub(super) fn check_fault(plan: &Plan, index: usize, fault: &Fault) -> Result<(), Unsound> {
    let here = KeyPath::new("faults").key(&index.to_string());
    check_cue(plan, index, &fault.when, &here.key("when"))?;
    let kind = Kind::of(&fault.what);
    let what = here.key("what").key(kind.name());
    let long = |key: &str, span: &Span| within_at(what.key(key), *span, Span::millis(1), ACT_MAX);
    let down = |down: &Option<Span>| match down {
        Some(down) => long("down", down),
        None => Ok(()),
    };
    if plan.servers < kind.servers_min() {
        let message = format!("needs at least {} servers", kind.servers_min());
        return refuse(what, message);
    }
    let struck = |which: &Which| check_which(plan, *which, what.key("server"));
    match &fault.what {
        FaultKind::Crash { who, down: until } => {
            check_who(plan, who, &what)?;
            down(until)
        }
        FaultKind::Stop {
            server,
            down: until,
        }
        | FaultKind::PowerLoss {
            server,
            down: until,
        }
        | FaultKind::SyncError {
            server,
            down: until,
        } => {
            struck(server)?;
            down(until)
        }
        FaultKind::RollingRestart { down: until, gap } => {
            long("down", until)?;
            long("gap", gap)
        }
        FaultKind::PowerCut { down: until } => down(until),
        FaultKind::Pause { who, lasts } | FaultKind::Cut { who, lasts, .. } => {
            check_who(plan, who, &what)?;
            long("lasts", lasts)
        }
        FaultKind::Isolate { .. }
        | FaultKind::Split { .. }
        | FaultKind::Bridge { .. }
        | FaultKind::Ring { .. } => check_partition(plan, &fault.what, &what),
        FaultKind::Reset { who } => check_who(plan, who, &what),
        FaultKind::SlowLink { who, by, lasts } => {
            check_who(plan, who, &what)?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::SlowDisk { server, by, lasts } => {
            struck(server)?;
            long("by", by)?;
            long("lasts", lasts)
        }
        FaultKind::FullDisk { server, lasts } => {
            struck(server)?;
            long("lasts", lasts)
        }
        FaultKind::Restore { server, lasts } => {
            if !matches!(plan.workload, Workload::Mix(_)) {
                let message = "goes with the workload `mix` only: other stories do not bear that \
                               what they have written is taken back";
                return refuse(what.key("kind"), message);
            }
            struck(server)?;
            long("lasts", lasts)
        }
        FaultKind::BitRot {
            server,
            down: until,
            ..
        }
        | FaultKind::LostDisk {
            server,
            down: until,
        } => {
            struck(server)?;
            long("down", until)
        }
        FaultKind::PoisonedGossip { lasts } | FaultKind::SilencedGossip { lasts } => {
            long("lasts", lasts)
        }
        FaultKind::Reconfigure { voters, learners } => check_members(plan, voters, learners, &what),
        FaultKind::WallJump { server, by_ms } => {
            struck(server)?;
            magnitude(what.key("by_ms"), *by_ms, JUMP_MS_MAX)
        }
        FaultKind::ClockDrift { server, ppm } => {
            struck(server)?;
            magnitude(what.key("ppm"), i64::from(*ppm), DRIFT_PPM_MAX)
        }
        FaultKind::Own { name, lasts } => {
            check_own(plan, name, what.key("name"))?;
            match lasts {
                Some(lasts) => long("lasts", lasts),
                None => Ok(()),
            }
        }
    }
}

fn check_cue(plan: &Plan, index: usize, cue: &Cue, here: &KeyPath) -> Result<(), Unsound> {
    match cue {
        Cue::At { at } if *at > plan.lasts => {
            let message = format!(
                "is after the end of the first act, which lasts {}",
                plan.lasts
            );
            refuse(here.key("at"), message)
        }
        Cue::At { .. } => Ok(()),
        Cue::On { nth: 0, .. } => refuse(here.key("nth"), "counts from 1"),
        Cue::On { on, after, .. } => {
            check_name(plan, on, here.key("on"))?;
            within_at(here.key("after"), *after, Span::default(), ACT_MAX)
        }
        Cue::Then { .. } if index == 0 => {
            refuse(here.key("then"), "no fault stands before the first")
        }
        Cue::Then { then } => within_at(here.key("then"), *then, Span::default(), ACT_MAX),
    }
}

fn check_partition(plan: &Plan, fault: &FaultKind, what: &KeyPath) -> Result<(), Unsound> {
    let (lasts, flaps) = match fault {
        FaultKind::Isolate {
            server,
            lasts,
            flaps,
            ..
        }
        | FaultKind::Bridge {
            server,
            lasts,
            flaps,
            ..
        } => {
            check_which(plan, *server, what.key("server"))?;
            (lasts, flaps)
        }
        FaultKind::Split {
            servers,
            lasts,
            flaps,
            ..
        } => {
            check_set(plan, servers, &what.key("servers"))?;
            if servers.len() >= usize::from(plan.servers) {
                return refuse(what.key("servers"), "nobody is on the other side");
            }
            (lasts, flaps)
        }
        FaultKind::Ring { lasts, flaps, .. } => (lasts, flaps),
        other => unreachable!("{} is no partition", other.name()),
    };
    within_at(what.key("lasts"), *lasts, Span::millis(1), ACT_MAX)?;
    match flaps {
        Some(flaps) => within_at(what.key("flaps"), *flaps, FLAPS_MIN, ACT_MAX),
        None => Ok(()),
    }
}

fn check_members(
    plan: &Plan,
    voters: &[u8],
    learners: &[u8],
    what: &KeyPath,
) -> Result<(), Unsound> {
    if plan.heals == Heals::Quorum || !plan.groups.is_empty() {
        return refuse(
            what.clone(),
            "does not go together with `heals = \"quorum\"` or `groups`: of which members is not \
             known",
        );
    }
    check_set(plan, voters, &what.key("voters"))?;
    if learners.is_empty() {
        return Ok(());
    }
    check_set(plan, learners, &what.key("learners"))?;
    match learners.iter().position(|learner| voters.contains(learner)) {
        Some(index) => refuse(
            what.key("learners").key(&index.to_string()),
            "votes already",
        ),
        None => Ok(()),
    }
}
