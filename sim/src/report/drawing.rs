//! A drawing of a run as data: the part of it that is shown, with its words, causes and spans.
//! Everything is told in columns and small numbers, since thousands of points go into one page.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::backstage::{Astray, Deed};
use crate::history::{LinkId, Received, Violation, What};
use crate::plan::Plan;
use crate::report::causes::{Arrows, Graph};
use crate::report::cut::{self, Cut};
use crate::report::scene::{LaneKind, Scene, Source};
use crate::report::spans::{self, Spans};
use crate::scenario;
use crate::telling::Weight;

/// Causes of one point that the page shows.
const CAUSES_MAX: usize = 12;
/// Steps of one server's strip of executed positions.
const STRIP_STEPS_MAX: usize = 1_500;
/// Violations that are shown; what follows the first ones is their echo.
const VIOLATIONS_MAX: usize = 50;

/// What a point looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[repr(u8)]
#[serde(into = "u8")]
pub enum Look {
    /// A message is said.
    Said,
    /// A message is heard.
    Heard,
    /// A client sends.
    Asks,
    /// A client receives.
    Receives,
    /// A server takes a client's frame, or answers it.
    Serves,
    /// A server lets know.
    Tells,
    /// A server becomes something else.
    Turns,
    /// A transaction is executed.
    Executes,
    /// A disk is asked for something, or has done it.
    Saves,
    /// A timer comes due.
    Rings,
    /// A link comes up or goes.
    Links,
    /// A player reaches a point of the story.
    Marks,
    /// A process begins or ends.
    Lives,
    /// A fault falls or ends.
    Fault,
    /// A rule is found to be broken.
    Fails,
}

impl From<Look> for u8 {
    fn from(look: Look) -> u8 {
        look as u8
    }
}

/// What has to be known beside the scene.
pub struct Title<'a> {
    /// The plan that was played.
    pub plan: &'a Plan,
    /// The seed.
    pub seed: u64,
    /// The command that plays it again.
    pub command: &'a str,
    /// What was found to be wrong.
    pub violations: &'a [Violation],
}

/// The drawing.
#[derive(Serialize)]
pub struct Drawing {
    name: String,
    seed: u64,
    command: String,
    plan: String,
    red: bool,
    violations: Vec<Failure>,
    violations_left_out: usize,
    /// Microseconds, as all times here.
    window: (u64, u64),
    ended: u64,
    left_out: LeftOut,
    lanes: Vec<(String, &'static str)>,
    words: Vec<String>,
    sessions: Vec<String>,
    points: Columns,
    letters: Letters,
    /// Lane, from, to, role, epoch.
    roles: Vec<(usize, u64, u64, &'static str, u32)>,
    /// Lane, from, to, position.
    saves: Vec<(usize, u64, u64, String)>,
    /// Lane; when, epoch, counter, one after the other.
    executed: Vec<(usize, Vec<u64>)>,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Failure {
    invariant: &'static str,
    at: u64,
    detail: String,
    point: Option<usize>,
}

#[derive(Serialize)]
struct LeftOut {
    routine: usize,
    others: usize,
    outside: usize,
    /// Direct causes of the first violation before the window.
    causes: usize,
}

/// The points, the `n`th of each column being the `n`th point's.
#[derive(Default, Serialize)]
struct Columns {
    /// Microseconds since the point before.
    after: Vec<u64>,
    /// -1 for nobody's.
    lane: Vec<i64>,
    look: Vec<Look>,
    /// How much it stands out.
    weight: Vec<u8>,
    words: Vec<usize>,
    /// -1 for none.
    session: Vec<i64>,
    /// Of the first violation: 2 a direct cause, 1 before it, 0 neither.
    cone: Vec<u8>,
    /// How many points earlier the direct causes are.
    why: Vec<Vec<usize>>,
}

#[derive(Default, Serialize)]
struct Letters {
    said: Vec<usize>,
    /// -1 if it was never heard.
    heard: Vec<i64>,
    to: Vec<usize>,
    name: Vec<&'static str>,
    /// Why it never came, or what became of it on its way.
    fate: Vec<&'static str>,
}

#[derive(Serialize)]
struct Fault {
    index: usize,
    kind: &'static str,
    words: String,
    from: u64,
    to: Option<u64>,
    lanes: Vec<usize>,
    point: Option<usize>,
}

/// Draws at most `most` points of a run, around `focus` if it is given, or around the first
/// violation.
pub fn draw(
    title: &Title<'_>,
    scene: &Scene<'_>,
    graph: &Graph,
    focus: Option<Duration>,
    most: usize,
) -> Drawing {
    let first = title.violations.iter().map(|violation| violation.at).min();
    let cones = cones(scene, graph);
    let near: Vec<bool> = cones.iter().map(|cone| *cone == 2).collect();
    let cut = cut::choose(scene, focus.or(first), &near, most);
    let spans = spans::find(title.plan, scene);
    let places: BTreeMap<usize, usize> = (cut.points.iter())
        .enumerate()
        .map(|(place, point)| (*point, place))
        .collect();
    let failures = title.violations.iter().take(VIOLATIONS_MAX);
    let before = |point: &usize| near[*point] && scene.points[*point].at < cut.from;
    let mut words = Words::default();
    let points = columns(scene, graph, &cut, &places, &cones, &mut words);
    Drawing {
        name: title.plan.name.clone(),
        seed: title.seed,
        command: title.command.to_owned(),
        plan: scenario::print(title.plan),
        red: !title.violations.is_empty(),
        violations: failures
            .map(|violation| failure(scene, &places, violation))
            .collect(),
        violations_left_out: title.violations.len().saturating_sub(VIOLATIONS_MAX),
        window: (micros(cut.from), micros(cut.to)),
        ended: micros(scene.ended),
        left_out: LeftOut {
            routine: cut.routine,
            others: cut.others,
            outside: cut.outside,
            causes: (0..near.len()).filter(before).count(),
        },
        lanes: lanes(scene),
        letters: letters(scene, &places),
        roles: roles(&spans, &cut),
        saves: saves(&spans, &cut),
        executed: executed(&spans, &cut),
        faults: faults(&spans, &places),
        points: points.0,
        sessions: points.1,
        words: words.all,
    }
}

/// Words that occur more than once are told once.
#[derive(Default)]
struct Words {
    all: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Words {
    fn place(&mut self, words: String) -> usize {
        *self.places.entry(words).or_insert_with_key(|words| {
            self.all.push(words.clone());
            self.all.len() - 1
        })
    }
}

/// For each point: 2 if the first violation directly goes back to it, 1 if it happened before.
fn cones(scene: &Scene<'_>, graph: &Graph) -> Vec<u8> {
    let is_failure = |point: &usize| matches!(scene.points[*point].source, Source::Violation(_));
    let first: Vec<usize> = (0..scene.points.len())
        .find(is_failure)
        .into_iter()
        .collect();
    let all = graph.cone(&first, Arrows::All);
    let near = graph.cone(&first, Arrows::Near);
    let mut cones: Vec<u8> = (all.iter().zip(&near))
        .map(|(all, near)| u8::from(*all) + u8::from(*near))
        .collect();
    // A fault is recorded just after the process that it killed.
    let mut killed = None;
    for (index, point) in scene.points.iter().enumerate() {
        match point.source {
            Source::Moment(What::Killed { .. } | What::DiskLost { .. }) => {
                killed = Some((point.at, cones[index]));
            }
            Source::Moment(What::Struck { .. }) => {
                let kills = killed.filter(|(at, _)| *at == point.at);
                cones[index] = cones[index].max(kills.map_or(0, |(_, cone)| cone));
            }
            _ => {}
        }
    }
    cones
}

fn columns(
    scene: &Scene<'_>,
    graph: &Graph,
    cut: &Cut,
    places: &BTreeMap<usize, usize>,
    cones: &[u8],
    words: &mut Words,
) -> (Columns, Vec<String>) {
    let (of_points, sessions) = sessions(scene, graph);
    let mut columns = Columns::default();
    let mut last = 0;
    for (place, point) in cut.points.iter().enumerate() {
        let at = micros(scene.points[*point].at).max(last);
        columns.after.push(at - last);
        last = at;
        let (weight, told) = scene.words(*point);
        columns.lane.push(place_or_none(scene.points[*point].lane));
        columns.look.push(look(scene, *point));
        columns.weight.push(weight_number(weight));
        columns.words.push(words.place(told));
        columns.session.push(place_or_none(of_points[*point]));
        columns.cone.push(cones[*point]);
        let causes = graph.near(*point).filter_map(|cause| places.get(&cause));
        let mut causes: Vec<usize> = causes.map(|cause| place - cause).collect();
        causes.sort_unstable();
        causes.truncate(CAUSES_MAX);
        columns.why.push(causes);
    }
    (columns, sessions)
}

fn place_or_none(place: Option<usize>) -> i64 {
    place.map_or(-1, |place| place as i64)
}

fn weight_number(weight: Weight) -> u8 {
    match weight {
        Weight::Noise => 0,
        Weight::Plain => 1,
        Weight::Mark => 2,
        Weight::Fault => 3,
        Weight::Failure => 4,
    }
}

fn look(scene: &Scene<'_>, point: usize) -> Look {
    use althing_core::node::event::Event;
    match scene.points[point].source {
        Source::Violation(_) => Look::Fails,
        Source::Deed(deed) => match deed {
            Deed::Said { .. } => Look::Said,
            Deed::Heard { .. } => Look::Heard,
            Deed::Linked { .. } => Look::Links,
            Deed::Rang { .. } => Look::Rings,
            Deed::Voting { .. } => Look::Saves,
            Deed::Opened { .. } | Deed::Asked { .. } | Deed::Answered { .. } => Look::Serves,
            Deed::Strayed { .. } | Deed::Drained { .. } => unreachable!("they are not drawn"),
        },
        Source::Moment(what) => match what {
            What::Sent { .. } => Look::Asks,
            What::Received { .. } => Look::Receives,
            What::LinkOpened { .. } | What::LinkEnded { .. } => Look::Links,
            What::Started { .. }
            | What::Recovered { .. }
            | What::Stopped { .. }
            | What::Killed { .. } => Look::Lives,
            What::Saving { .. }
            | What::Durable { .. }
            | What::Voted { .. }
            | What::Cut { .. }
            | What::Refused { .. } => Look::Saves,
            What::Said { event, .. } => match event {
                Event::Executed { .. } => Look::Executes,
                Event::Elected { .. }
                | Event::Followed { .. }
                | Event::Deposed { .. }
                | Event::Campaigned { .. }
                | Event::Canvassed { .. } => Look::Turns,
                _ => Look::Tells,
            },
            What::Mark { .. } | What::Held { .. } | What::Guarded { .. } | What::SetBack { .. } => {
                Look::Marks
            }
            What::DiskLost { .. } | What::Struck { .. } | What::Healed { .. } | What::SecondAct => {
                Look::Fault
            }
            What::Asked { .. } => unreachable!("the scene leaves it out"),
        },
    }
}

/// The session that each point is about, and their names.
fn sessions(scene: &Scene<'_>, graph: &Graph) -> (Vec<Option<usize>>, Vec<String>) {
    use althing_core::node::event::Event;
    let mut names = Words::default();
    let mut links: BTreeMap<LinkId, usize> = BTreeMap::new();
    let mut of_points: Vec<Option<usize>> = vec![None; scene.points.len()];
    for (index, point) in scene.points.iter().enumerate() {
        of_points[index] = match point.source {
            Source::Moment(What::Received { link, frame, .. }) => {
                if let Received::Connected(connected) = frame
                    && let Some(session) = connected.session
                {
                    links.insert(*link, names.place(session.to_string()));
                }
                links.get(link).copied()
            }
            Source::Moment(What::Sent { link, .. } | What::LinkEnded { link, .. }) => {
                links.get(link).copied()
            }
            Source::Moment(What::Said {
                event:
                    Event::SessionOpened { session, .. }
                    | Event::Attached { session, .. }
                    | Event::Touched { session }
                    | Event::TimedOut { session }
                    | Event::SessionClosed { session, .. }
                    | Event::SessionMoved { session },
                ..
            }) => Some(names.place(session.to_string())),
            Source::Deed(Deed::Asked { .. }) => {
                graph.near(index).find_map(|cause| of_points[cause])
            }
            Source::Violation(violation) => {
                let session = violation.session;
                session.map(|session| names.place(session.to_string()))
            }
            _ => None,
        };
    }
    // An answer is the session's whose client receives it.
    for index in 0..scene.points.len() {
        if let Source::Moment(What::Received { .. }) = scene.points[index].source {
            for cause in graph.near(index) {
                of_points[cause] = of_points[cause].or(of_points[index]);
            }
        }
    }
    (of_points, names.all)
}

fn failure(scene: &Scene<'_>, places: &BTreeMap<usize, usize>, violation: &Violation) -> Failure {
    let is_it = |point: &usize| match scene.points[*point].source {
        Source::Violation(found) => std::ptr::eq(found, violation),
        _ => false,
    };
    let point = (0..scene.points.len()).find(is_it);
    Failure {
        invariant: violation.invariant,
        at: micros(violation.at),
        detail: violation.detail.clone(),
        point: point.and_then(|point| places.get(&point).copied()),
    }
}

fn lanes(scene: &Scene<'_>) -> Vec<(String, &'static str)> {
    let kind = |kind| match kind {
        LaneKind::Server => "server",
        LaneKind::Disk => "disk",
        LaneKind::Client => "client",
    };
    let lanes = scene.lanes.iter();
    lanes
        .map(|lane| (lane.name.clone(), kind(lane.kind)))
        .collect()
}

fn letters(scene: &Scene<'_>, places: &BTreeMap<usize, usize>) -> Letters {
    let mut letters = Letters::default();
    for letter in scene.letters.values() {
        let Some(said) = places.get(&letter.said) else {
            continue;
        };
        let heard = letter.heard.iter().filter_map(|heard| places.get(heard));
        let mut heard: Vec<i64> = heard.map(|heard| *heard as i64).collect();
        let fate = match letter.fate {
            Some(Astray::Unsent) => "unsent",
            Some(Astray::Lost) => "lost",
            Some(Astray::Doubled) => "doubled",
            Some(Astray::Late) => "late",
            None if letter.heard.is_empty() => "gone",
            None => "",
        };
        if heard.is_empty() {
            heard.push(-1);
        }
        for heard in heard {
            letters.said.push(*said);
            letters.heard.push(heard);
            letters.to.push(scene.server(letter.to));
            letters.name.push(letter.message.name());
            letters.fate.push(fate);
        }
    }
    letters
}

fn roles(spans: &Spans, cut: &Cut) -> Vec<(usize, u64, u64, &'static str, u32)> {
    let seen = spans.roles.iter();
    let seen = seen.filter(|role| role.to >= cut.from && role.from <= cut.to);
    seen.map(|role| {
        let (from, to) = (role.from.max(cut.from), role.to.min(cut.to));
        let name = role.role.name();
        (role.lane, micros(from), micros(to), name, role.epoch.0)
    })
    .collect()
}

fn saves(spans: &Spans, cut: &Cut) -> Vec<(usize, u64, u64, String)> {
    let seen = spans.saves.iter();
    let seen = seen.filter(|save| save.to >= cut.from && save.from <= cut.to);
    seen.map(|save| {
        let zxid = save.zxid.to_string();
        (save.lane, micros(save.from), micros(save.to), zxid)
    })
    .collect()
}

fn executed(spans: &Spans, cut: &Cut) -> Vec<(usize, Vec<u64>)> {
    let strips = spans.executed.iter().map(|(lane, steps)| {
        let begin = steps
            .partition_point(|(at, _)| *at < cut.from)
            .saturating_sub(1);
        let end = steps.partition_point(|(at, _)| *at <= cut.to);
        let seen = steps.get(begin..end).unwrap_or_default();
        let every = seen.len().div_ceil(STRIP_STEPS_MAX).max(1);
        let mut strip = Vec::new();
        for (at, zxid) in seen.iter().step_by(every).chain(seen.last()) {
            let (epoch, counter) = (zxid.epoch().0.into(), zxid.counter().into());
            strip.extend([micros(*at), epoch, counter]);
        }
        (*lane, strip)
    });
    strips.collect()
}

fn faults(spans: &Spans, places: &BTreeMap<usize, usize>) -> Vec<Fault> {
    let faults = spans.faults.iter().map(|blow| Fault {
        index: blow.index,
        kind: blow.kind,
        words: blow.detail.clone(),
        from: micros(blow.from),
        to: blow.to.map(micros),
        lanes: blow.lanes.clone(),
        point: places.get(&blow.point).copied(),
    });
    faults.collect()
}

fn micros(at: Duration) -> u64 {
    at.as_micros() as u64
}
