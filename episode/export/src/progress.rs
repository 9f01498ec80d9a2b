//! Progress on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, shown only when standard error is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar that counts `what`.
    pub fn new(what: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = format!("{what} [{{bar:30}}] {{pos}}/{{len}} {{eta}} left");
        // A template that can't be parsed leaves the default bar: nothing worth failing for.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// A bar that is not shown.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// There is more to do.
    pub fn add(&self, more: u64) {
        self.0.inc_length(more);
    }

    /// One more is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Done: the bar goes away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
