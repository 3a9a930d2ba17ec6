//! Bars and lines for who waits in front of a run; nothing of it where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How often a bar that waits is drawn.
const TICK: Duration = Duration::from_millis(200);

/// Where a run shows how far it is.
#[derive(Debug)]
pub(super) struct Progress {
    quiet: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// A bar that goes up to `count`.
    pub(super) fn bar(&self, what: &'static str, count: u64) -> ProgressBar {
        let template = "{prefix:>20} [{bar:30}] {pos}/{len} {elapsed} {wide_msg}";
        let bar = ProgressBar::with_draw_target(Some(count), self.target());
        // The template is a constant that the library takes.
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸ ");
        bar.set_style(style);
        bar.set_prefix(what);
        if !self.quiet {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn target(&self) -> ProgressDrawTarget {
        if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
    }
}
