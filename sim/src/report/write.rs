//! Writes everything that shows a run into a folder: the page, and the same for other tools.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::backstage::Backstage;
use crate::history::{History, Violation};
use crate::plan::Plan;
use crate::report::drawing::Title;
use crate::report::mermaid;
use crate::report::page;
use crate::report::perfetto;
use crate::report::scene::Scene;
use crate::report::weave::weave;

/// The page.
pub const PAGE: &str = "page.html";
/// For Perfetto and Chrome's tracing.
pub const TRACE: &str = "trace.json";
/// For issues.
pub const SEQUENCE: &str = "sequence.mmd";

/// One run.
pub struct Report<'a> {
    /// The plan that was played.
    pub plan: &'a Plan,
    /// The seed.
    pub seed: u64,
    /// The command that plays it again.
    pub command: &'a str,
    /// What happened.
    pub history: &'a History,
    /// What went on behind it; without it there are no messages between servers.
    pub backstage: &'a Backstage,
    /// What is wrong.
    pub violations: &'a [Violation],
    /// What the page is to show around; the first violation if it is left out.
    pub around: Option<Duration>,
}

/// Writes the report into `folder`, over an older one.
///
/// # Errors
/// If it cannot be written.
pub fn write(folder: &Path, report: &Report<'_>) -> io::Result<()> {
    let scene = Scene::new(
        report.plan,
        report.history,
        report.backstage,
        report.violations,
    );
    let graph = weave(&scene);
    let title = Title {
        plan: report.plan,
        seed: report.seed,
        command: report.command,
        violations: report.violations,
    };
    fs::create_dir_all(folder)?;
    let page = page::page(&title, &scene, &graph, report.around);
    fs::write(folder.join(PAGE), page)?;
    let trace = perfetto::trace(report.plan, &scene, report.around);
    fs::write(folder.join(TRACE), trace)?;
    let sequence = mermaid::sequence(&scene, &graph, report.around);
    fs::write(folder.join(SEQUENCE), sequence)
}
