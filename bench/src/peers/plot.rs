//! The plots: for each size of an ensemble, requests in a second and processor time for a request.

use std::collections::BTreeSet;

use althing_program::bench::connection::Trouble;
use plotters::prelude::*;

use super::kind::Kind;
use super::report::{Run, Setting, by_size, figures, heading, name};
use crate::load::figures::median;
use crate::load::throughput::{CELLS, Sample};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 480;

/// What a plot shows of each cell.
struct Shown {
    file: &'static str,
    title: &'static str,
    figure: fn(&Sample) -> f64,
}

const SHOWN: [Shown; 3] = [
    Shown {
        file: "throughput",
        title: "requests/s",
        figure: |sample| sample.per_second,
    },
    Shown {
        file: "cost",
        title: "processor time of all servers for a request, us",
        figure: |sample| sample.server_us,
    },
    Shown {
        file: "p99",
        title: "latency that 1 of 100 exceeds, us",
        figure: |sample| sample.p99_us,
    },
];

fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Althing => RGBColor(0x1b, 0x6e, 0xc2),
        Kind::ZooKeeper39 => RGBColor(0xd9, 0x7b, 0x29),
        Kind::ZooKeeper38 => RGBColor(0xe8, 0xb4, 0x7c),
        Kind::Etcd => RGBColor(0x5f, 0xa5, 0x5a),
    }
}

/// Each picture with the name of its file.
pub fn draw(runs: &[Run]) -> Result<Vec<(String, String)>, Trouble> {
    let mut pictures = Vec::new();
    for (servers, of_size) in by_size(runs) {
        for shown in &SHOWN {
            let name = format!("peers-{}-{servers}.svg", shown.file);
            pictures.push((name, picture(shown, servers, &of_size, runs)?));
        }
    }
    Ok(pictures)
}

fn picture(
    shown: &Shown,
    servers: u8,
    settings: &BTreeSet<Setting>,
    runs: &[Run],
) -> Result<String, Trouble> {
    let bars: Vec<Vec<f64>> = (0..CELLS.len())
        .map(|cell| {
            let of = |setting: &Setting| figures(runs, *setting, cell, shown.figure);
            let medians = settings
                .iter()
                .map(|setting| median(of(setting).into_iter()));
            medians.collect()
        })
        .collect();
    let all = || bars.iter().flatten().copied();
    let (least, greatest) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = format!("{}: {}", heading(servers), shown.title);
        let across = 0.0..CELLS.len() as f64;
        // Cells differ by orders of magnitude.
        let up = (least / 2.0..greatest * 2.0).log_scale();
        let floor = least / 2.0;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(80)
            .build_cartesian_2d(across, up)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_label_formatter(&|figure: &f64| format!("{figure}"))
            .draw()?;
        let wide = 0.8 / settings.len() as f64;
        for (place, setting) in settings.iter().enumerate() {
            let colour = colour(setting.kind);
            let rectangles = bars.iter().enumerate().map(|(cell, bars)| {
                let left = cell as f64 + 0.1 + wide * place as f64;
                let corners = [(left, floor), (left + wide * 0.92, bars[place])];
                Rectangle::new(corners, colour.filled())
            });
            chart
                .draw_series(rectangles)?
                .label(setting.kind.to_string())
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
                });
        }
        let style =
            TextStyle::from(("sans-serif", 14)).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
        for (cell, of) in CELLS.into_iter().enumerate() {
            let (x, y) = chart.backend_coord(&(cell as f64 + 0.5, floor));
            area.draw_text(&name(of), &style, (x, y + 6))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
    }
    Ok(out)
}
