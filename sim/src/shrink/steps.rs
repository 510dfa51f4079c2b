//! What is taken away from a plan: pure functions from a plan to a smaller one. Whatever is left
//! keeps its meaning: its hour, and the streams of randomness that it draws from.

use std::collections::BTreeSet;

use crate::cast;
use crate::cue::Cue;
use crate::numbers::Numbers;
use crate::plan::{
    Direction, DiskSpeed, Fault, FaultKind, Heals, Plan, Weather, Which, Who, Workload,
};
use crate::server_settings::ServerSettings;
use crate::soundness::check_plan;
use crate::span::Span;
use crate::swarm::Kind;

/// The plan if it is sound.
pub fn sound(plan: Plan) -> Option<Plan> {
    check_plan(&plan).is_ok().then_some(plan)
}

/// The same plan, whose faults say themselves what their randomness is called by: they mean the
/// same wherever they stand.
pub fn named(plan: &Plan) -> Plan {
    let mut named = plan.clone();
    for (place, fault) in named.faults.iter_mut().enumerate() {
        fault.id = Some(plan.fault_id(place));
    }
    named
}

/// The plan with only those of its faults that stand at these places. What was cued by one that is
/// gone falls at the hour that this meant.
pub fn with_faults(plan: &Plan, kept: &BTreeSet<usize>) -> Plan {
    let faults = kept.iter().filter_map(|place| {
        let when = cue(plan, *place, kept);
        let falls = match &when {
            Cue::At { at } => *at <= plan.lasts,
            Cue::On { after, .. } => *after <= plan.lasts,
            Cue::Then { then } => *then <= plan.lasts,
        };
        let fault = Fault {
            when,
            ..plan.faults[*place].clone()
        };
        falls.then_some(fault)
    });
    Plan {
        faults: faults.collect(),
        ..plan.clone()
    }
}

fn cue(plan: &Plan, place: usize, kept: &BTreeSet<usize>) -> Cue {
    let when = plan.faults[place].when.clone();
    let Cue::Then { then } = when else {
        return when;
    };
    if place == 0 || kept.contains(&(place - 1)) {
        return when;
    }
    let later = |span: Span| Span(span.0 + then.0);
    match cue(plan, place - 1, kept) {
        Cue::At { at } => Cue::At { at: later(at) },
        Cue::On { on, nth, after } => Cue::On {
            on,
            nth,
            after: later(after),
        },
        Cue::Then { then } => Cue::Then { then: later(then) },
    }
}

/// The first act ends here, and with it what would fall later.
pub fn ending_at(plan: &Plan, lasts: Span) -> Option<Plan> {
    if lasts >= plan.lasts {
        return None;
    }
    let shorter = Plan {
        lasts,
        ..plan.clone()
    };
    // By the hour that a chain of cues comes to.
    let falls = |place: &usize| match cue(plan, *place, &BTreeSet::new()) {
        Cue::At { at } => at <= lasts,
        Cue::On { .. } | Cue::Then { .. } => true,
    };
    let kept = (0..plan.faults.len()).filter(falls).collect();
    sound(with_faults(&shorter, &kept))
}

/// The plan in which these clients do not come onto the stage.
pub fn without_clients(plan: &Plan, absent: &[String]) -> Plan {
    let mut smaller = plan.clone();
    smaller.absent = absent.to_vec();
    smaller.operations.retain(|name, _| !absent.contains(name));
    smaller
}

/// The plan in which clients do only these operations.
pub fn with_operations(plan: &Plan, everybody: &[String], kept: &[(String, u32)]) -> Plan {
    let mut smaller = plan.clone();
    for name in everybody {
        smaller.operations.insert(name.clone(), Numbers::default());
    }
    for (name, number) in kept {
        let numbers = smaller.operations.entry(name.clone()).or_default();
        numbers.0.insert(*number);
    }
    smaller
}

/// The plan with only the servers up to this number, and no word of the others.
pub fn with_servers(plan: &Plan, servers: u8) -> Option<Plan> {
    let there = |number: &u8| *number <= servers;
    let mut smaller = plan.clone();
    smaller.servers = servers;
    smaller.learners.retain(there);
    smaller
        .groups
        .iter_mut()
        .for_each(|group| group.retain(there));
    smaller.groups.retain(|group| !group.is_empty());
    smaller.weights.truncate(usize::from(servers));
    for fault in &mut smaller.faults {
        match &mut fault.what {
            FaultKind::Split { servers: side, .. } => side.retain(there),
            FaultKind::Reconfigure { voters, learners } => {
                voters.retain(there);
                learners.retain(there);
            }
            _ => {}
        }
    }
    let places = smaller.faults.iter().enumerate();
    let kept = places.filter(|(_, fault)| is_possible(&fault.what, servers));
    let kept = kept.map(|(place, _)| place).collect();
    sound(with_faults(&smaller, &kept))
}

fn is_possible(what: &FaultKind, servers: u8) -> bool {
    let struck = struck(what).is_none_or(|number| number <= servers);
    let sides = match what {
        FaultKind::Split { servers: side, .. } => {
            !side.is_empty() && side.len() < usize::from(servers)
        }
        FaultKind::Reconfigure { voters, .. } => !voters.is_empty(),
        _ => true,
    };
    struck && sides && servers >= Kind::of(what).servers_min()
}

/// The number of the server that a fault names.
fn struck(what: &FaultKind) -> Option<u8> {
    let which = match what {
        FaultKind::Crash { who, .. }
        | FaultKind::Pause { who, .. }
        | FaultKind::Cut { who, .. }
        | FaultKind::SlowLink { who, .. }
        | FaultKind::Reset { who } => match who {
            Who::Server(which) => *which,
            Who::Client(_) => return None,
        },
        FaultKind::Stop { server, .. }
        | FaultKind::PowerLoss { server, .. }
        | FaultKind::Isolate { server, .. }
        | FaultKind::Bridge { server, .. }
        | FaultKind::SlowDisk { server, .. }
        | FaultKind::FullDisk { server, .. }
        | FaultKind::Restore { server, .. }
        | FaultKind::SyncError { server, .. }
        | FaultKind::BitRot { server, .. }
        | FaultKind::LostDisk { server, .. }
        | FaultKind::WallJump { server, .. }
        | FaultKind::ClockDrift { server, .. } => *server,
        FaultKind::RollingRestart { .. }
        | FaultKind::PowerCut { .. }
        | FaultKind::Split { .. }
        | FaultKind::Ring { .. }
        | FaultKind::PoisonedGossip { .. }
        | FaultKind::SilencedGossip { .. }
        | FaultKind::Reconfigure { .. }
        | FaultKind::Own { .. } => return None,
    };
    match which {
        Which::Number(number) => Some(number),
        Which::Leader | Which::Follower => None,
    }
}

/// Calmer surroundings, one thing at a time: weather, disks, settings and membership as they are by
/// default.
pub fn calmer(plan: &Plan) -> Vec<Plan> {
    let (weather, default) = (&plan.network, Weather::default());
    let mut calmer = vec![
        Plan {
            network: default.clone(),
            disk: DiskSpeed::default(),
            server: ServerSettings::default(),
            ..plan.clone()
        },
        Plan {
            network: default.clone(),
            ..plan.clone()
        },
        Plan {
            disk: DiskSpeed::default(),
            ..plan.clone()
        },
        Plan {
            server: ServerSettings::default(),
            ..plan.clone()
        },
        Plan {
            heals: Heals::Everything,
            ..plan.clone()
        },
        Plan {
            learners: Vec::new(),
            groups: Vec::new(),
            weights: Vec::new(),
            ..plan.clone()
        },
        Plan {
            weights: Vec::new(),
            ..plan.clone()
        },
    ];
    let weathers = [
        Weather {
            delay_min: default.delay_min,
            delay_mean: default.delay_mean,
            ..weather.clone()
        },
        Weather {
            loss: default.loss,
            ..weather.clone()
        },
        Weather {
            shuffle: default.shuffle,
            ..weather.clone()
        },
    ];
    calmer.extend(weathers.map(|network| Plan {
        network,
        ..plan.clone()
    }));
    changed(plan, calmer)
}

/// Smaller figures of the story, one at a time.
pub fn smaller_stories(plan: &Plan) -> Vec<Plan> {
    let mut smaller = Vec::new();
    let mut add = |change: &dyn Fn(&mut Workload, u32)| {
        for part in [0, 4, 2] {
            let mut other = plan.clone();
            change(&mut other.workload, part);
            smaller.push(other);
        }
    };
    let less = |figure: &mut u32, part: u32| {
        *figure = figure.checked_div(part).unwrap_or(1).max(1);
    };
    match plan.workload {
        Workload::Mix(_) => add(&|story, part| {
            if let Workload::Mix(mix) = story {
                less(&mut mix.znodes, part);
            }
        }),
        Workload::Rollout { .. } => add(&|story, part| {
            if let Workload::Rollout { files, .. } = story {
                less(files, part);
            }
        }),
        Workload::ServiceTree { .. }
        | Workload::Shard { .. }
        | Workload::Lock { .. }
        | Workload::Service { .. } => {}
    }
    smaller.extend(without_the_last_client(plan));
    changed(plan, smaller)
}

/// The plan whose story has one client less, if the last of them is absent anyway.
fn without_the_last_client(plan: &Plan) -> Option<Plan> {
    let mut smaller = plan.clone();
    let count = match &mut smaller.workload {
        Workload::ServiceTree { readers, .. } | Workload::Rollout { readers, .. } => readers,
        Workload::Shard { slaves, .. } => slaves,
        Workload::Lock { clients, .. } => clients,
        Workload::Mix(mix) => &mut mix.clients,
        Workload::Service { .. } => return None,
    };
    *count -= 1;
    let left = cast::clients(&smaller.workload);
    let before = cast::clients(&plan.workload);
    let gone: Vec<&String> = before.iter().filter(|name| !left.contains(name)).collect();
    if gone.is_empty() || !gone.iter().all(|name| plan.absent.contains(name)) {
        return None;
    }
    smaller.absent.retain(|name| left.contains(name));
    let strikes_nobody = |fault: &Fault| match &fault.what {
        FaultKind::Crash { who, .. }
        | FaultKind::Pause { who, .. }
        | FaultKind::Cut { who, .. }
        | FaultKind::SlowLink { who, .. }
        | FaultKind::Reset { who } => gone.iter().any(|name| *who == Who::Client((*name).clone())),
        _ => false,
    };
    let places = smaller.faults.iter().enumerate();
    let kept = places.filter(|(_, fault)| !strikes_nobody(fault));
    let kept = kept.map(|(place, _)| place).collect();
    Some(with_faults(&smaller, &kept))
}

/// Shorter and simpler faults, one change at a time.
pub fn shorter_faults(plan: &Plan) -> Vec<Plan> {
    let mut shorter = Vec::new();
    for (place, fault) in plan.faults.iter().enumerate() {
        for what in shorter_kinds(&fault.what) {
            let mut other = plan.clone();
            other.faults[place].what = what;
            shorter.push(other);
        }
    }
    changed(plan, shorter)
}

fn shorter_kinds(what: &FaultKind) -> Vec<FaultKind> {
    let mut shorter = Vec::new();
    let mut simple = what.clone();
    match &mut simple {
        FaultKind::Isolate { flaps, .. }
        | FaultKind::Split { flaps, .. }
        | FaultKind::Bridge { flaps, .. }
        | FaultKind::Ring { flaps, .. } => *flaps = None,
        _ => {}
    }
    shorter.push(simple.clone());
    match &mut simple {
        FaultKind::Cut { direction, .. }
        | FaultKind::Isolate { direction, .. }
        | FaultKind::Split { direction, .. }
        | FaultKind::Bridge { direction, .. }
        | FaultKind::Ring { direction, .. } => *direction = Direction::Both,
        _ => {}
    }
    shorter.push(simple);
    let figures = spans(&mut what.clone()).len();
    for figure in 0..figures {
        let span = *spans(&mut what.clone())[figure];
        for less in shorter_spans(span) {
            let mut other = what.clone();
            *spans(&mut other)[figure] = less;
            shorter.push(other);
        }
    }
    shorter.retain(|other| other != what);
    shorter
}

/// The times of a fault that may be shorter. One that lasts to the end of the act stays so.
fn spans(what: &mut FaultKind) -> Vec<&mut Span> {
    match what {
        FaultKind::Crash { down, .. }
        | FaultKind::Stop { down, .. }
        | FaultKind::PowerLoss { down, .. }
        | FaultKind::PowerCut { down }
        | FaultKind::SyncError { down, .. } => down.iter_mut().collect(),
        FaultKind::Own { lasts, .. } => lasts.iter_mut().collect(),
        FaultKind::RollingRestart { down, gap } => vec![down, gap],
        FaultKind::BitRot { down, .. } | FaultKind::LostDisk { down, .. } => vec![down],
        FaultKind::SlowLink { by, lasts, .. } | FaultKind::SlowDisk { by, lasts, .. } => {
            vec![by, lasts]
        }
        FaultKind::Pause { lasts, .. }
        | FaultKind::Cut { lasts, .. }
        | FaultKind::Isolate { lasts, .. }
        | FaultKind::Split { lasts, .. }
        | FaultKind::Bridge { lasts, .. }
        | FaultKind::Ring { lasts, .. }
        | FaultKind::FullDisk { lasts, .. }
        | FaultKind::Restore { lasts, .. }
        | FaultKind::PoisonedGossip { lasts }
        | FaultKind::SilencedGossip { lasts } => vec![lasts],
        FaultKind::Reset { .. }
        | FaultKind::Reconfigure { .. }
        | FaultKind::WallJump { .. }
        | FaultKind::ClockDrift { .. } => Vec::new(),
    }
}

/// Round times below this one, the shortest first, and its half.
pub fn shorter_spans(span: Span) -> Vec<Span> {
    let round = [100, 1_000, 5_000, 10_000, 30_000].map(Span::millis);
    let mut shorter: Vec<Span> = round.into_iter().filter(|round| *round < span).collect();
    let half = Span::millis(u64::try_from(span.0.as_millis() / 2).expect("spans are checked"));
    if half > Span::millis(1) && !shorter.contains(&half) {
        shorter.push(half);
        shorter.sort_unstable();
    }
    shorter
}

/// Those of `others` that are sound and are another plan.
fn changed(plan: &Plan, others: Vec<Plan>) -> Vec<Plan> {
    let others = others.into_iter().filter(|other| other != plan);
    others.filter_map(sound).collect()
}
