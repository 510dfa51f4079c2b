//! What of a run is drawn: a window of it, without most of what only repeats that all is well, so
//! that a page stays small whatever the run. What is left out is counted.

use std::time::Duration;

use crate::backstage::Deed;
use crate::report::scene::{Scene, Source, Worth, worth};

/// Of a window around a moment, this part is before it: causes come first.
const BEFORE_PERCENT: u32 = 80;
/// How much of a run is shown before its first fault if not all of it can be shown.
const BEFORE_FAULTS: Duration = Duration::from_secs(1);
/// The narrowest window that is tried.
const WINDOW_MIN: Duration = Duration::from_millis(50);

/// What is drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// From when.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
    /// Which points, in their order.
    pub points: Vec<usize>,
    /// Heartbeats and the like within the window that are left out.
    pub routine: usize,
    /// Other points within the window that are left out.
    pub others: usize,
    /// Points before and after it.
    pub outside: usize,
}

/// Chooses at most `most` points, the `wanted` ones first, around `focus` if there is one.
pub fn choose(scene: &Scene<'_>, focus: Option<Duration>, wanted: &[bool], most: usize) -> Cut {
    let worths = worths(scene);
    let drawn: Vec<usize> = (0..scene.points.len())
        .filter(|point| worths[*point].is_some())
        .collect();
    let dear = |point: usize| worths[point] > Some(Worth::Routine) || wanted[point];
    let (from, to) = window(scene, focus, &drawn, &dear, most * 3 / 4);
    let within = |point: &usize| {
        let at = scene.points[*point].at;
        from <= at && at <= to
    };
    let inside: Vec<usize> = drawn.iter().copied().filter(within).collect();
    let mut kept = vec![false; scene.points.len()];
    let mut room = most;
    for least in [Worth::Story, Worth::Step, Worth::Detail, Worth::Routine] {
        let of_it = |point: &usize| match least {
            Worth::Story => worths[*point] >= Some(least) || wanted[*point],
            _ => worths[*point] == Some(least) && !wanted[*point],
        };
        let these: Vec<usize> = inside.iter().copied().filter(of_it).collect();
        let step = match room {
            0 => break,
            _ => these.len().div_ceil(room).max(1),
        };
        for point in these.into_iter().step_by(step) {
            kept[point] = true;
            room = room.saturating_sub(1);
        }
    }
    // A message is drawn with both its ends, or not at all.
    for letter in scene.letters.values() {
        let any = kept[letter.said] || letter.heard.iter().any(|heard| kept[*heard]);
        kept[letter.said] = any && within(&letter.said);
        for heard in &letter.heard {
            kept[*heard] = any && within(heard);
        }
    }
    let left_out = inside.iter().filter(|point| !kept[**point]);
    let (others, routine): (Vec<usize>, Vec<usize>) =
        left_out.copied().partition(|point| dear(*point));
    Cut {
        from,
        to,
        outside: drawn.len() - inside.len(),
        points: inside.into_iter().filter(|point| kept[*point]).collect(),
        routine: routine.len(),
        others: others.len(),
    }
}

/// What each point is worth; a message's ends are worth the same, and nobody wants to see ends of
/// turns.
fn worths(scene: &Scene<'_>) -> Vec<Option<Worth>> {
    let of = |point: &crate::report::scene::Point<'_>| match point.source {
        Source::Deed(Deed::Drained { .. } | Deed::Strayed { .. }) => None,
        _ => Some(worth(point)),
    };
    let mut worths: Vec<Option<Worth>> = scene.points.iter().map(of).collect();
    for letter in scene.letters.values() {
        for heard in &letter.heard {
            worths[*heard] = worths[letter.said];
        }
    }
    worths
}

/// The widest window with so many points that are no routine.
fn window(
    scene: &Scene<'_>,
    focus: Option<Duration>,
    drawn: &[usize],
    dear: &dyn Fn(usize) -> bool,
    most: usize,
) -> (Duration, Duration) {
    let times: Vec<Duration> = (drawn.iter().copied())
        .filter(|point| dear(*point))
        .map(|point| scene.points[point].at)
        .collect();
    if times.len() <= most && focus.is_none() {
        return (Duration::ZERO, scene.ended);
    }
    let first_fault = || {
        let struck = |point: &&usize| scene.points[**point].lane.is_none();
        let first = drawn
            .iter()
            .find(struck)
            .map(|point| scene.points[*point].at);
        first.unwrap_or_default().saturating_sub(BEFORE_FAULTS)
    };
    let around = |width: Duration| match focus {
        Some(focus) => {
            let from = focus.saturating_sub(width * BEFORE_PERCENT / 100);
            (
                from,
                (focus + width * (100 - BEFORE_PERCENT) / 100).min(scene.ended),
            )
        }
        None => (first_fault(), (first_fault() + width).min(scene.ended)),
    };
    let mut times = times;
    times.sort_unstable();
    let count = |(from, to): (Duration, Duration)| {
        let begin = times.partition_point(|at| *at < from);
        times.partition_point(|at| *at <= to) - begin
    };
    let (mut fits, mut wide) = (WINDOW_MIN, scene.ended * 2 + WINDOW_MIN);
    if count(around(wide)) <= most {
        return around(wide);
    }
    while wide - fits > Duration::from_millis(1) {
        let middle = fits + (wide - fits) / 2;
        match count(around(middle)) <= most {
            true => fits = middle,
            false => wide = middle,
        }
    }
    around(fits)
}
