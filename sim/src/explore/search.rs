//! The exhaustive search: depth first, through every state within the bounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::explore::action::Action;
use crate::explore::choices::choices;
use crate::explore::invariant;
use crate::explore::lab::Lab;
use crate::explore::notes::Notes;
use crate::explore::violation::Violation;
use crate::explore::visited::Visited;
use crate::explore::world::World;
use crate::stopwatch::Stopwatch;

/// The clock is read once in so many transitions.
const CLOCK_EVERY: u64 = 1 << 12;

/// When a search gives up.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Unique states.
    pub states_max: u64,
    /// Real time.
    pub real_max: Duration,
    /// Processor time: that of a busy machine can be measured again on another.
    pub busy_max: Duration,
    /// Bytes of the set of states.
    pub bytes_max: u64,
    /// Somebody wants it to end.
    pub stop: &'a AtomicBool,
}

impl Limits<'_> {
    pub(crate) fn is_out_of_time(&self, stopwatch: &Stopwatch) -> bool {
        stopwatch.real() > self.real_max || stopwatch.busy() > self.busy_max
    }
}

/// How a search ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every state within the bounds was seen, and all is well in each.
    Whole,
    /// The search gave up; all is well in what it saw.
    Partial(&'static str),
    /// An invariant is broken at the end of these actions.
    Broken(Vec<Action>, Violation),
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Unique states.
    pub states: u64,
    /// Those among them that lie beyond the bounds and were not looked behind.
    pub beyond: u64,
    /// Actions that were tried.
    pub transitions: u64,
    /// The longest path.
    pub depth: usize,
    /// How long it took.
    pub real: Duration,
    /// How much processor time this process used meanwhile.
    pub busy: Duration,
    /// Bytes of the set of states.
    pub bytes: u64,
    /// What was seen to happen, and on how many transitions.
    pub notes: Notes,
    /// How it ended.
    pub verdict: Verdict,
}

impl Tally {
    /// Before anything was tried.
    pub(crate) fn of_nothing() -> Tally {
        Tally {
            states: 0,
            beyond: 0,
            transitions: 0,
            depth: 0,
            real: Duration::ZERO,
            busy: Duration::ZERO,
            bytes: 0,
            notes: Notes::counting(),
            verdict: Verdict::Whole,
        }
    }
}

/// Does the action in a copy of the world, and checks the state that it comes to.
pub fn follow(world: &World, action: &Action, lab: &mut Lab) -> Result<World, Violation> {
    let mut next = world.clone();
    next.act(action, lab)?;
    invariant::check(&next)?;
    Ok(next)
}

struct Frame {
    world: World,
    choices: Vec<Action>,
    next: usize,
}

impl Frame {
    fn of(world: World) -> Frame {
        Frame {
            choices: choices(&world),
            world,
            next: 0,
        }
    }
}

/// Is this state within the bounds?
fn is_within(world: &World) -> bool {
    let epoch_max = world.rules().epoch_max;
    let mut epochs = world.servers().iter().map(|server| server.role.1.0);
    epochs.all(|epoch| epoch <= epoch_max)
}

/// Looks at every state that `first` can come to.
pub fn search(first: World, limits: &Limits<'_>) -> Tally {
    let stopwatch = Stopwatch::start();
    let mut visited = Visited::new();
    visited.insert(first.fingerprint());
    let mut stack = vec![Frame::of(first)];
    let mut lab = Lab::counting();
    let mut tally = Tally::of_nothing();
    tally.states = 1;
    while let Some(frame) = stack.last_mut() {
        let Some(action) = frame.choices.get(frame.next).copied() else {
            stack.pop();
            continue;
        };
        frame.next += 1;
        tally.transitions += 1;
        let mut next = frame.world.clone();
        let acted = next.act(&action, &mut lab).and_then(|()| {
            let is_new = visited.insert(next.fingerprint());
            if is_new {
                invariant::check(&next)?;
            }
            Ok(is_new)
        });
        match acted {
            Err(violation) => {
                tally.verdict = Verdict::Broken(path(&stack), violation);
                break;
            }
            Ok(false) => continue,
            Ok(true) if !is_within(&next) => {
                tally.beyond += 1;
                continue;
            }
            Ok(true) => {
                stack.push(Frame::of(next));
                tally.depth = tally.depth.max(stack.len() - 1);
            }
        }
        if let Some(reason) = gives_up(&visited, tally.transitions, limits, &stopwatch) {
            tally.verdict = Verdict::Partial(reason);
            break;
        }
    }
    tally.notes = lab.notes;
    tally.states = visited.len();
    tally.bytes = visited.bytes();
    tally.real = stopwatch.real();
    tally.busy = stopwatch.busy();
    tally
}

/// The actions that led to the top of the stack, and the one that was tried there.
fn path(stack: &[Frame]) -> Vec<Action> {
    stack
        .iter()
        .map(|frame| frame.choices[frame.next - 1])
        .collect()
}

fn gives_up(
    visited: &Visited,
    transitions: u64,
    limits: &Limits<'_>,
    stopwatch: &Stopwatch,
) -> Option<&'static str> {
    if visited.len() >= limits.states_max {
        return Some("count of states");
    }
    if !transitions.is_multiple_of(CLOCK_EVERY) {
        return None;
    }
    if limits.stop.load(Ordering::Relaxed) {
        return Some("stopped");
    }
    if visited.bytes() > limits.bytes_max {
        return Some("memory");
    }
    limits.is_out_of_time(stopwatch).then_some("time")
}
