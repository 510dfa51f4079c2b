//! What lasts in a run: roles and epochs of servers, times in which a process was down, faults in
//! force, saves under way, and how far each server has executed.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId, Zxid};
use althing_core::node::event::Event;

use crate::history::What;
use crate::plan::Plan;
use crate::report::scene::{LaneKind, Scene, Source};

/// What a server is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Its process does not run.
    Down,
    /// It reads its disk.
    Starting,
    /// It knows of no leader.
    Looking,
    /// It stands for election, on trial or really.
    Candidate,
    /// It follows.
    Follower,
    /// It follows and has no vote.
    Learner,
    /// It leads.
    Leader,
}

impl Role {
    /// The name by which drawings know it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Down => "down",
            Role::Starting => "starting",
            Role::Looking => "looking",
            Role::Candidate => "candidate",
            Role::Follower => "follower",
            Role::Learner => "learner",
            Role::Leader => "leader",
        }
    }
}

/// A server in one role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reigning {
    /// Its lane.
    pub lane: usize,
    /// From when.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
    /// As what.
    pub role: Role,
    /// In which epoch, as far as it is known.
    pub epoch: Epoch,
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blow {
    /// Its place in the plan.
    pub index: usize,
    /// Its kind.
    pub kind: &'static str,
    /// What it was.
    pub detail: String,
    /// From when.
    pub from: Duration,
    /// Until when; not at all, if it is over at once.
    pub to: Option<Duration>,
    /// Whom it struck.
    pub lanes: Vec<usize>,
    /// The point at which it fell.
    pub point: usize,
}

/// A save under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Save {
    /// The disk's lane.
    pub lane: usize,
    /// When it was asked for.
    pub from: Duration,
    /// When it was durable.
    pub to: Duration,
    /// Up to where.
    pub zxid: Zxid,
}

/// Everything that lasts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spans {
    /// Servers in their roles.
    pub roles: Vec<Reigning>,
    /// Faults, in the order in which they fell.
    pub faults: Vec<Blow>,
    /// Saves.
    pub saves: Vec<Save>,
    /// Per lane of a server: when it had executed up to where.
    pub executed: BTreeMap<usize, Vec<(Duration, Zxid)>>,
}

/// Finds everything that lasts in a run of `plan`.
pub fn find(plan: &Plan, scene: &Scene<'_>) -> Spans {
    let mut spans = Spans::default();
    let mut now: BTreeMap<usize, Reigning> = BTreeMap::new();
    let mut saving: BTreeMap<ServerId, Vec<(Zxid, Duration)>> = BTreeMap::new();
    for (index, point) in scene.points.iter().enumerate() {
        let Source::Moment(what) = point.source else {
            continue;
        };
        turn(plan, scene, (point.at, what), &mut now, &mut spans.roles);
        match what {
            What::Saving { server, zxid, .. } => {
                saving.entry(*server).or_default().push((*zxid, point.at));
            }
            What::Cut { server, after } => {
                let asked = saving.entry(*server).or_default();
                asked.retain(|(zxid, _)| zxid <= after);
            }
            What::Started { server, .. } | What::Killed { server } => {
                saving.remove(server);
            }
            What::Durable { server, zxid } => {
                let asked = saving.entry(*server).or_default();
                let first = asked.iter().find(|(asked, _)| asked <= zxid).copied();
                asked.retain(|(asked, _)| asked > zxid);
                spans.saves.extend(first.map(|(_, from)| Save {
                    lane: scene.disk(*server),
                    from,
                    to: point.at,
                    zxid: *zxid,
                }));
            }
            What::Said {
                server,
                event: Event::Executed { zxid, .. } | Event::Installed { zxid, .. },
            } => {
                let executed = spans.executed.entry(scene.server(*server)).or_default();
                executed.push((point.at, *zxid));
            }
            What::Struck {
                index: fault,
                kind,
                detail,
            } => spans.faults.push(Blow {
                index: *fault,
                kind,
                detail: detail.clone(),
                from: point.at,
                to: None,
                lanes: struck(scene, kind, detail),
                point: index,
            }),
            What::Healed { index: fault, .. } => {
                let mut blows = spans.faults.iter_mut().rev();
                if let Some(blow) = blows.find(|blow| blow.index == *fault) {
                    blow.to = Some(point.at);
                }
            }
            _ => {}
        }
    }
    let to = scene.ended;
    spans
        .roles
        .extend(now.into_values().map(|last| Reigning { to, ..last }));
    spans
}

/// Ends the role that this server had, and begins another, if this is about roles.
fn turn(
    plan: &Plan,
    scene: &Scene<'_>,
    (at, what): (Duration, &What),
    now: &mut BTreeMap<usize, Reigning>,
    roles: &mut Vec<Reigning>,
) {
    let Some((server, role, epoch)) = role_of(plan, what) else {
        return;
    };
    let lane = scene.server(server);
    let epoch = epoch.or_else(|| now.get(&lane).map(|now| now.epoch));
    let next = Reigning {
        lane,
        from: at,
        to: at,
        role,
        epoch: epoch.unwrap_or_default(),
    };
    if let Some(last) = now.insert(lane, next) {
        roles.push(Reigning { to: at, ..last });
    }
}

fn role_of(plan: &Plan, what: &What) -> Option<(ServerId, Role, Option<Epoch>)> {
    let found = match what {
        What::Started { server, .. } => (*server, Role::Starting, None),
        What::Recovered { server, ballot, .. } => (*server, Role::Looking, Some(ballot.epoch)),
        What::Killed { server } | What::Stopped { server, .. } => (*server, Role::Down, None),
        What::Said { server, event } => match event {
            Event::Canvassed { .. } => (*server, Role::Candidate, None),
            Event::Campaigned { epoch } => (*server, Role::Candidate, Some(*epoch)),
            Event::Elected { epoch, leader } if leader == server => {
                (*server, Role::Leader, Some(*epoch))
            }
            Event::Followed { epoch, .. } => match plan.learners.contains(&server.0) {
                true => (*server, Role::Learner, Some(*epoch)),
                false => (*server, Role::Follower, Some(*epoch)),
            },
            Event::Deposed { .. } | Event::Isolated { .. } | Event::ReadOnlyBegun => {
                (*server, Role::Looking, None)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(found)
}

/// The lanes that a fault strikes, as its words tell: those it names, or all servers.
fn struck(scene: &Scene<'_>, kind: &str, detail: &str) -> Vec<usize> {
    let named = scene.named(detail);
    if !named.is_empty() {
        return named;
    }
    let all = || 0..scene.lanes.len();
    let servers = all().filter(|lane| scene.lanes[*lane].kind == LaneKind::Server);
    let numbers = detail
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    match (kind, numbers) {
        ("split", Some((numbers, _))) => {
            let numbers = numbers
                .split(',')
                .filter_map(|number| number.trim().parse().ok());
            numbers
                .map(|number| scene.server(ServerId(number)))
                .collect()
        }
        _ => servers.collect(),
    }
}
