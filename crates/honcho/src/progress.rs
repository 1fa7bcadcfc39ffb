//! A live view of long work: a bar or a spinner where a person watches, plain lines elsewhere. On standard error, so
//! that results can be piped.

use crate::age::span;
use crate::clean::clean;
use crate::output::{Output, Tone};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often plain lines say how far a step is.
const PLAIN_PERCENT: u64 = 25;

/// Shows the steps of something long.
pub(crate) struct Progress {
    output: Output,
    title: String,
    bar: Option<ProgressBar>,
    step: Option<Step>,
    problem: Option<String>,
}

struct Step {
    text: String,
    since: Instant,
    /// The last percentage that a plain line told.
    told: u64,
}

impl Progress {
    /// A view titled "create web1".
    pub(crate) fn new(output: &Output, title: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(100);
            bar.set_style(spinner());
            bar.set_prefix(clean(title));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress { output: output.clone(), title: clean(title), bar, step: None, problem: None }
    }

    /// Now this step, so far done.
    pub(crate) fn step(&mut self, text: &str, percent: Option<u64>) {
        let text = clean(text).replace('_', " ");
        if self.step.as_ref().is_none_or(|step| step.text != text) {
            self.finish_step();
            if self.bar.is_none() {
                self.output.note(&format!("{}: {text}", self.title));
            }
            self.step = Some(Step { text: text.clone(), since: Instant::now(), told: 0 });
        }
        let Some(step) = &mut self.step else { return };
        if let Some(bar) = &self.bar {
            bar.set_style(if percent.is_some() { percent_bar() } else { spinner() });
            bar.set_position(percent.unwrap_or(0).min(100));
            bar.set_message(text);
        } else if let Some(percent) = percent.filter(|percent| *percent >= step.told + PLAIN_PERCENT) {
            step.told = percent - percent % PLAIN_PERCENT;
            self.output.note(&format!("{}: {text} {percent}%", self.title));
        }
    }

    /// What holds it up (said once), or nothing any more.
    pub(crate) fn problem(&mut self, problem: Option<&str>) {
        if let Some(text) = problem
            && self.problem.as_deref() != problem
        {
            self.say(Tone::Busy, "!", text);
        }
        self.problem = problem.map(str::to_owned);
    }

    /// A line of its own, which stays.
    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("{}: {}", self.title, clean(text)));
    }

    fn say(&self, tone: Tone, sign: &str, text: &str) {
        if self.bar.is_some() {
            self.line(&format!("{} {}", self.output.paint_note(tone, sign), clean(text)));
        } else {
            self.note(text);
        }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            // `suspend` rather than `println`: the latter is silent where the bar is hidden.
            Some(bar) => bar.suspend(|| self.output.note(line)),
            None => self.output.note(line),
        }
    }

    fn finish_step(&mut self) {
        if let (Some(step), Some(_)) = (self.step.take(), &self.bar) {
            let took = step.since.elapsed().as_secs();
            let took = if took < 1 { String::new() } else { format!(" ({})", span(took)) };
            self.say(Tone::Good, "✓", &format!("{}{took}", step.text));
        }
    }

    /// All is done.
    pub(crate) fn done(mut self) {
        self.finish_step();
        self.clear();
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A bar for bytes that are sent; hidden where nobody watches.
pub(crate) fn bytes_bar(title: &str, size: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size);
    bar.set_style(style("{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
    bar.set_prefix(clean(title));
    bar
}

fn spinner() -> ProgressStyle {
    style("{spinner} {prefix}: {msg} {elapsed:.dim}")
}

fn percent_bar() -> ProgressStyle {
    style("{spinner} {prefix}: {msg} [{bar:30}] {percent}% {elapsed:.dim}")
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a mistake of ours: the default then still shows that work goes on.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
