//! A run as it happens: bars on a terminal, plain lines otherwise, all on standard error.

use std::{collections::HashMap, io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Common, budget, output, text};
use crate::{engine::Event, store::runs::Progress};

/// Shows events.
pub struct Reporter {
    bars: Option<Bars>,
    quiet: bool,
    verbose: bool,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    nodes: HashMap<String, ProgressBar>,
}

impl Reporter {
    /// `silent`: shows nothing but failures.
    pub fn new(common: &Common, silent: bool) -> Reporter {
        let quiet = common.quiet || silent;
        let bars = (!quiet && std::io::stderr().is_terminal()).then(Bars::new);
        Reporter { bars, quiet, verbose: common.verbose > 0 }
    }

    pub fn show(&mut self, event: &Event) {
        if let Some(bars) = &mut self.bars {
            bars.follow(event);
        }
        let Some(line) = self.line(event) else { return };
        match &self.bars {
            Some(bars) => drop(bars.all.println(line)),
            None => output::remark(&line),
        }
    }

    /// What an event has to say in a line of its own.
    fn line(&self, event: &Event) -> Option<String> {
        let plain = self.bars.is_none() && !self.quiet;
        let line = match event {
            Event::NodeFailed { label, error, .. } => format!("failed  {label}: {error}"),
            Event::Corrupt { label, digest } => format!(
                "broken  the artifact of {label} ({}...) is not what was stored; it is made again",
                &digest[..8]
            ),
            Event::Stopping { running } => format!(
                "stopping: {} to finish the epoch and save a checkpoint; again to stop at once",
                text::plural(*running, "node")
            ),
            Event::NodeRetried { label, error, .. } => format!("again   {label}: {error}"),
            _ if self.quiet => return None,
            Event::Estimated { seconds, time } => {
                let short = time.filter(|time| seconds > time).map_or(String::new(), |time| {
                    format!("; there is time for {:.0} % of it", 100.0 * time.max(0.0) / seconds)
                });
                format!("about {} to go, until {}{short}", text::seconds(*seconds), budget::clock_in(*seconds))
            }
            Event::Closing { running } => {
                format!("closing: no more trials start; {} to finish the epoch", text::plural(*running, "node"))
            }
            Event::Notice { text } => format!("notice: {text}"),
            Event::Started { experiment, trials, progress, .. } => {
                let cached = if progress.cached > 0 {
                    format!(", {} on record", text::plural(progress.cached, "node"))
                } else {
                    String::new()
                };
                let all =
                    if *trials > 0 { text::plural(*trials, "trial") } else { text::plural(progress.total, "node") };
                format!("{experiment}: {all}{cached}")
            }
            Event::Selected { arm, facet, configuration, metric, value, candidates } => {
                let facet = if facet == "{}" { String::new() } else { format!(" at {facet}") };
                format!(
                    "selected  {arm}-{configuration}{facet} of {} ({metric} {value:.4}); its test half opens",
                    text::plural(*candidates, "configuration")
                )
            }
            Event::NodeFinished { label, seconds, notes, progress, .. } if plain => {
                let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join("; ")) };
                format!("{}  {label}  {}{notes}", fraction(progress), text::seconds(*seconds))
            }
            Event::NodeFoundFinished { label, progress, .. } if plain => {
                format!("{}  {label}  made by another run meanwhile", fraction(progress))
            }
            Event::NodeStarted { label, .. } if plain && self.verbose => format!("started  {label}"),
            Event::Epoch { label, epoch, epochs, metrics, .. } if plain && self.verbose => {
                let figures: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                format!("epoch  {label} {epoch}/{epochs}  {}", figures.join("  "))
            }
            _ => return None,
        };
        Some(line)
    }
}

fn fraction(progress: &Progress) -> String {
    format!("[{}/{}]", progress.cached + progress.done + progress.failed, progress.total)
}

impl Bars {
    fn new() -> Bars {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{bar:30} {pos}/{len} nodes  {elapsed_precise}  {msg}"));
        Bars { all, total, nodes: HashMap::new() }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::NodeStarted { label, key } => {
                let bar = self.all.insert_before(&self.total, ProgressBar::new_spinner());
                bar.set_style(style("  {spinner} {msg}"));
                bar.set_message(label.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                self.nodes.insert(key.clone(), bar);
            }
            Event::NodeProgress { label, key, done, total } => {
                if let Some(bar) = self.nodes.get(key) {
                    bar.set_message(format!("{label}  {done}/{total}"));
                }
            }
            Event::Epoch { label, key, epoch, epochs, metrics } => {
                let shown = ["train/loss", "val/loss", "val/accuracy"].iter();
                let figures: Vec<String> =
                    shown.filter_map(|name| Some(format!("{name} {:.4}", metrics.get(*name)?))).collect();
                if let Some(bar) = self.nodes.get(key) {
                    bar.set_message(format!("{label}  epoch {epoch}/{epochs}  {}", figures.join("  ")));
                }
            }
            Event::NodeFinished { key, progress, .. }
            | Event::NodeFoundFinished { key, progress, .. }
            | Event::NodeFailed { key, progress, .. } => {
                if let Some(bar) = self.nodes.remove(key) {
                    bar.finish_and_clear();
                }
                self.count(progress);
            }
            Event::Started { progress, .. } => self.count(progress),
            Event::Finished { .. } => {
                self.nodes.drain().for_each(|(_, bar)| bar.finish_and_clear());
                self.total.finish_and_clear();
            }
            _ => {}
        }
    }

    fn count(&self, progress: &Progress) {
        self.total.set_length(progress.total as u64);
        self.total.set_position((progress.cached + progress.done + progress.failed) as u64);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
