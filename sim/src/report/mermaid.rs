//! The end of a run as a sequence diagram in Mermaid's language, to be pasted into an issue.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::backstage::{Astray, Deed};
use crate::history::What;
use crate::report::causes::{Arrows, Graph};
use crate::report::cut;
use crate::report::scene::{Letter, Scene, Source, Worth, worth};
use crate::telling::{Weight, clipped};

/// Lines of a diagram: more, and GitHub and GitLab draw nothing.
pub const LINES_MAX: usize = 300;
/// Characters of one label.
const LABEL_CHARS_MAX: usize = 80;

const TEXT: &str = "text can be written";

/// The diagram: what the first violation goes back to if there is one, and otherwise what the run
/// is about, around `focus`.
pub fn sequence(scene: &Scene<'_>, graph: &Graph, focus: Option<Duration>) -> String {
    let failure = scene.points.iter().position(is_failure);
    let wanted = graph.cone(failure.as_slice(), Arrows::Near);
    let at = failure.map(|failure| scene.points[failure].at);
    let cut = cut::choose(scene, focus.or(at), &wanted, LINES_MAX * 4);
    let ways = Ways::new(scene, graph, &cut.points);
    let told = |point: &usize| match failure {
        Some(_) => wanted[*point] || stands_out(scene, *point),
        None => tells_the_story(scene, *point),
    };
    let mut lines: Vec<(BTreeSet<usize>, String)> = (cut.points.iter().copied())
        .filter(told)
        .filter_map(|point| line(scene, &ways, point))
        .collect();
    let left_out = match failure {
        Some(_) => lines.len().saturating_sub(LINES_MAX),
        None => 0,
    };
    // What leads to the end counts most; without one, the beginning does.
    lines.drain(..left_out);
    lines.truncate(LINES_MAX);
    let lanes: BTreeSet<usize> = lines.iter().flat_map(|(lanes, _)| lanes.clone()).collect();
    let mut text = "sequenceDiagram\n".to_owned();
    for lane in &lanes {
        writeln!(
            text,
            "    participant L{lane} as {}",
            scene.lanes[*lane].name
        )
        .expect(TEXT);
    }
    if let (true, Some(first)) = (left_out > 0, lanes.first()) {
        writeln!(
            text,
            "    Note over L{first}: {left_out} earlier lines left out"
        )
        .expect(TEXT);
    }
    for (_, line) in &lines {
        writeln!(text, "    {line}").expect(TEXT);
    }
    text
}

/// What goes from one lane to another.
struct Ways<'a> {
    /// By the point at which they were said.
    letters: BTreeMap<usize, &'a Letter>,
    /// Where a client's frame was sent, by the point at which its server took it; and where an
    /// answer was sent, by the point at which its client received it.
    frames: BTreeMap<usize, usize>,
    /// The points that these begin at.
    begun: BTreeSet<usize>,
}

impl<'a> Ways<'a> {
    fn new(scene: &'a Scene<'_>, graph: &Graph, points: &[usize]) -> Ways<'a> {
        let letters = scene.letters.values().map(|letter| (letter.said, letter));
        let mut frames = BTreeMap::new();
        for point in points {
            let begins =
                |cause: &usize| match (scene.points[*point].source, scene.points[*cause].source) {
                    (
                        Source::Deed(Deed::Asked { .. } | Deed::Opened { .. }),
                        Source::Moment(what),
                    ) => {
                        matches!(what, What::Sent { .. })
                    }
                    (Source::Moment(What::Received { .. }), Source::Deed(deed)) => {
                        matches!(deed, Deed::Answered { .. })
                    }
                    _ => false,
                };
            if let Some(cause) = graph.near(*point).find(begins) {
                frames.insert(*point, cause);
            }
        }
        Ways {
            letters: letters.collect(),
            begun: frames.values().copied().collect(),
            frames,
        }
    }
}

fn is_failure(point: &crate::report::scene::Point<'_>) -> bool {
    matches!(point.source, Source::Violation(_))
}

/// Without a violation: what the run is about, and what the servers say to each other about it.
fn tells_the_story(scene: &Scene<'_>, point: usize) -> bool {
    let point = &scene.points[point];
    match (worth(point), point.source) {
        (Worth::Story, _) => true,
        (Worth::Step, Source::Deed(deed)) => matches!(deed, Deed::Said { .. }),
        _ => false,
    }
}

fn stands_out(scene: &Scene<'_>, point: usize) -> bool {
    matches!(scene.words(point).0, Weight::Fault | Weight::Failure)
}

/// One line, and the lanes that it is about.
fn line(scene: &Scene<'_>, ways: &Ways<'_>, point: usize) -> Option<(BTreeSet<usize>, String)> {
    let place = scene.points[point];
    let at = place.at.as_secs_f64();
    let (weight, words) = scene.words(point);
    match (place.source, place.lane) {
        // Its message is drawn from who said it.
        (Source::Deed(Deed::Heard { .. }), _) => None,
        (Source::Deed(Deed::Said { .. }), Some(from)) => {
            let letter = ways.letters.get(&point)?;
            let to = scene.server(letter.to);
            let arrow = match (letter.heard.is_empty(), letter.fate) {
                (true, _) => "--x",
                (false, Some(Astray::Doubled | Astray::Late)) => "-->>",
                (false, _) => "->>",
            };
            let message = words
                .split_once(": ")
                .map_or(&*words, |(_, message)| message);
            let label = label(&format!("{at:.3}s {message}"));
            Some((
                BTreeSet::from([from, to]),
                format!("L{from}{arrow}L{to}: {label}"),
            ))
        }
        // It is drawn where it comes.
        _ if ways.begun.contains(&point) => None,
        (source, Some(lane)) if ways.frames.contains_key(&point) => {
            let begun = ways.frames[&point];
            let from = scene.points[begun].lane?;
            let words = match source {
                Source::Deed(_) => scene.words(begun).1,
                _ => words,
            };
            let words = words.trim_start_matches("-> ").trim_start_matches("<- ");
            let label = label(&format!("{at:.3}s {words}"));
            let line = format!("L{from}->>L{lane}: {label}");
            Some((BTreeSet::from([from, lane]), line))
        }
        (_, Some(lane)) => {
            let label = label(&format!("{at:.3}s {words}"));
            Some((
                BTreeSet::from([lane]),
                format!("Note over L{lane}: {label}"),
            ))
        }
        (_, None) => {
            let sign = match weight {
                Weight::Failure => "VIOLATION: ",
                _ => "",
            };
            let label = label(&format!("{at:.3}s {sign}{words}"));
            let (first, last) = (0, scene.servers() * 2 - 2);
            let lanes = BTreeSet::from([first, last]);
            let over = match first == last {
                true => format!("L{first}"),
                false => format!("L{first},L{last}"),
            };
            Some((lanes, format!("Note over {over}: {label}")))
        }
    }
}

/// Words that Mermaid takes for nothing but words: it ends a line at a semicolon, begins a comment
/// at two percent signs and an entity at a hash, and knows HTML.
fn label(words: &str) -> String {
    let mut label = String::new();
    for character in clipped(words, LABEL_CHARS_MAX).chars() {
        match character {
            '#' | ';' | '<' | '&' | '%' | '"' => {
                write!(label, "#{};", u32::from(character)).expect(TEXT);
            }
            character if character.is_control() => label.push(' '),
            character => label.push(character),
        }
    }
    label
}
