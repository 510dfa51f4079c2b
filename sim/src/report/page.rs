//! The page of a run: one file that needs nothing else and no network.

use std::time::Duration;

use crate::report::causes::Graph;
use crate::report::drawing::{Title, draw};
use crate::report::scene::Scene;

/// The longest page: what mail, issue trackers and browsers take without complaint.
pub const PAGE_BYTES_MAX: usize = 2_000_000;
/// Points of a page, unless fewer are needed to keep it that short.
const POINTS_MAX: usize = 16_000;
/// Fewer points are not tried.
const POINTS_MIN: usize = 500;

const HTML: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// The page, shorter than [`PAGE_BYTES_MAX`].
pub fn page(
    title: &Title<'_>,
    scene: &Scene<'_>,
    graph: &Graph,
    focus: Option<Duration>,
) -> String {
    let mut points = POINTS_MAX;
    loop {
        let drawing = draw(title, scene, graph, focus, points);
        let data = serde_json::to_string(&drawing).expect("a drawing can be written");
        let page = assemble(&data, &title.plan.name, title.seed);
        if page.len() <= PAGE_BYTES_MAX || points <= POINTS_MIN {
            return page;
        }
        points /= 2;
    }
}

/// The page with this data.
pub fn assemble(data: &str, name: &str, seed: u64) -> String {
    let title = format!("{name} seed {seed}");
    let mut page = String::with_capacity(data.len() + SCRIPT.len() + STYLE.len() + HTML.len());
    let mut rest = HTML;
    // One pass: what is put in is never looked at for places again.
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").expect("a place ends");
        page.push_str(before);
        match place {
            "title" => page.push_str(&escaped(&title)),
            "style" => page.push_str(STYLE),
            "data" => page.push_str(&harmless(data)),
            "script" => page.push_str(SCRIPT),
            other => unreachable!("a place called {other}"),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON that cannot end the element that it stands in.
fn harmless(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
