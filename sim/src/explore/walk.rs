//! Guided walks: where there are too many states to see all, random ways are taken from cloned
//! worlds, and whatever comes to a new shape is kept to branch from later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use althing_core::ids::Epoch;

use crate::explore::action::Action;
use crate::explore::bounds::Kind;
use crate::explore::choices::choices;
use crate::explore::demand::demand;
use crate::explore::digest::Digest;
use crate::explore::lab::Lab;
use crate::explore::search::{Limits, Tally, Verdict, follow};
use crate::explore::visited::Visited;
use crate::explore::world::World;
use crate::random::Stream;
use crate::stopwatch::Stopwatch;

/// Steps of a walk before another place to branch from is drawn.
const STEPS: usize = 24;
/// Worlds that are kept to branch from; each takes some kilobytes.
const KEPT_MAX: usize = 20_000;
/// Once in so many walks everything is mended and progress demanded.
const DEMAND_EVERY: u64 = 16;
/// Of that many places that are drawn the one from which the fewest walks began is taken.
const DRAWN: usize = 4;

/// The way to a world, shared with the ways that branch from it.
#[derive(Debug)]
struct Way {
    before: Option<Arc<Way>>,
    action: Action,
}

struct Place {
    world: World,
    way: Option<Arc<Way>>,
    walks: u32,
}

/// Walks until a limit is reached or something breaks.
pub fn walk(first: World, seed: u64, limits: &Limits<'_>) -> Tally {
    let stopwatch = Stopwatch::start();
    let mut random = Stream::named(seed, "walks");
    let mut lab = Lab::counting();
    let mut shapes = BTreeSet::from([shape(&first)]);
    let mut states = Visited::new();
    let mut places = vec![Place {
        world: first,
        way: None,
        walks: 0,
    }];
    let (mut walks, mut transitions, mut depth) = (0_u64, 0, 0);
    let verdict = loop {
        if let Some(reason) = gives_up(&states, limits, &stopwatch) {
            break Verdict::Partial(reason);
        }
        walks += 1;
        let start = draw(&mut places, &mut random);
        let (mut world, mut way) = (places[start].world.clone(), places[start].way.clone());
        let mut broken = None;
        for _ in 0..STEPS {
            let Some(action) = pick(&world, &mut random) else {
                break;
            };
            transitions += 1;
            way = Some(Arc::new(Way {
                before: way,
                action,
            }));
            match follow(&world, &action, &mut lab) {
                Ok(next) => world = next,
                Err(violation) => {
                    broken = Some(violation);
                    break;
                }
            }
            states.insert(world.fingerprint());
            if shapes.insert(shape(&world)) && places.len() < KEPT_MAX {
                places.push(Place {
                    world: world.clone(),
                    way: way.clone(),
                    walks: 0,
                });
            }
        }
        let actions = actions(way.as_ref());
        depth = depth.max(actions.len());
        let broken = broken.or_else(|| match walks % DEMAND_EVERY {
            0 => demand(&world).err(),
            _ => None,
        });
        if let Some(violation) = broken {
            break Verdict::Broken(actions, violation);
        }
    };
    Tally {
        states: states.len(),
        beyond: shapes.len() as u64,
        transitions,
        depth,
        real: stopwatch.real(),
        busy: stopwatch.busy(),
        bytes: states.bytes(),
        notes: lab.notes,
        verdict,
    }
}

fn gives_up(states: &Visited, limits: &Limits<'_>, stopwatch: &Stopwatch) -> Option<&'static str> {
    if limits.stop.load(Ordering::Relaxed) {
        return Some("stopped");
    }
    if states.len() >= limits.states_max {
        return Some("count of states");
    }
    if states.bytes() > limits.bytes_max {
        return Some("memory");
    }
    limits.is_out_of_time(stopwatch).then_some("time")
}

fn draw(places: &mut [Place], random: &mut Stream) -> usize {
    let drawn = (0..DRAWN).map(|_| random.index(places.len()));
    let start = drawn.min_by_key(|index| places[*index].walks);
    let start = start.expect("some are drawn");
    places[start].walks += 1;
    start
}

/// One of the things that can happen; what goes wrong is rarer than what goes on.
fn pick(world: &World, random: &mut Stream) -> Option<Action> {
    let choices = choices(world);
    let weight = |action: &Action| match action.kind() {
        None => 12,
        Some(Kind::Ask | Kind::Open | Kind::Election | Kind::Beat) => 4,
        Some(_) => 1,
    };
    let total: u64 = choices.iter().map(weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = random.below(total);
    choices.into_iter().find(|action| {
        let weight = weight(action);
        let is_it = left < weight;
        left = left.saturating_sub(weight);
        is_it
    })
}

fn actions(way: Option<&Arc<Way>>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut at = way;
    while let Some(way) = at {
        actions.push(way.action);
        at = way.before.as_ref();
    }
    actions.reverse();
    actions
}

/// What of a state makes it unlike others that only differ in names and messages: who plays which
/// part in which epoch, of which epochs the logs are, and what is executed.
fn shape(world: &World) -> u128 {
    let mut servers: Vec<u128> = world
        .servers()
        .iter()
        .map(|server| {
            let mut digest = Digest::new();
            let (role, epoch) = server.role;
            digest
                .debug(&role)
                .number(u64::from(epoch.0))
                .number(server.power as u64)
                .number(server.executed().0.0)
                .number(server.disk.log.last().zxid.0)
                .number(server.disk.log.base().zxid.0);
            let mut before = Epoch(0);
            for logged in server.disk.wished.entries() {
                let epoch = logged.mark.zxid.epoch();
                if epoch != before {
                    digest.number(u64::from(epoch.0));
                }
                before = epoch;
            }
            digest.finish()
        })
        .collect();
    servers.sort_unstable();
    let mut digest = Digest::new();
    servers.iter().for_each(|server| {
        digest.digest(*server);
    });
    digest.finish()
}
