//! The view on a terminal: one bar for the run, one line per busy host, finished hosts above.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipedown_model::{Event, EventKind, HostName, HostPhase, Mode, RunState};

use crate::plain::Layout;
use crate::printable::printable;
use crate::standing::Standing;
use crate::table::pad;
use crate::{ReportError, Reporter, Style, summary};

/// More busy hosts than this are counted, not shown: the view must fit a terminal of 24 lines.
const ROWS: usize = 12;

/// Shows a run on a terminal; for standard error, and only when that is one.
pub struct Live {
    screen: MultiProgress,
    overall: ProgressBar,
    layout: Layout,
    busy: BTreeMap<HostName, Busy>,
    standings: HashMap<HostName, Standing>,
    counts: BTreeMap<Standing, usize>,
    last: Option<DateTime<Utc>>,
    error: Option<ReportError>,
}

struct Busy {
    doing: String,
    bar: Option<ProgressBar>,
}

impl Live {
    /// Makes one that draws on a target.
    pub fn new(target: ProgressDrawTarget, style: Style) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let overall =
            screen.add(ProgressBar::new(0).with_style(bar_style("{bar:24} {pos}/{len} {wide_msg}")));
        Self {
            screen,
            overall,
            layout: Layout::new(style),
            busy: BTreeMap::new(),
            standings: HashMap::new(),
            counts: BTreeMap::new(),
            last: None,
            error: None,
        }
    }

    fn print(&mut self, text: &str) {
        if self.error.is_none() {
            self.error = self.screen.println(text).err().map(ReportError::Write);
        }
    }

    /// Keeps the counts by one host's change, however large the fleet.
    fn count(&mut self, host: &HostName, state: &RunState) {
        let Some(now) = state.hosts.get(host).map(|h| Standing::of(h, state.mode)) else {
            return;
        };
        let before = self.standings.insert(host.clone(), now);
        if let Some(n) = before.and_then(|b| self.counts.get_mut(&b)) {
            *n = n.saturating_sub(1);
        }
        *self.counts.entry(now).or_default() += 1;
    }

    fn draw_overall(&mut self, state: &RunState) {
        let at_rest =
            |(standing, n): (&Standing, &usize)| if is_at_rest(*standing, state.mode) { *n } else { 0 };
        let resting: usize = self.counts.iter().map(at_rest).sum();
        let busy =
            self.busy.keys().filter(|h| self.standings.get(*h).is_some_and(|s| is_at_rest(*s, state.mode)));
        let position = resting.saturating_sub(busy.count());
        self.overall.set_length(state.hosts.len() as u64);
        self.overall.set_position(position as u64);
        let hidden = self.busy.values().filter(|b| b.bar.is_none()).count();
        let counted = self.counts.iter().filter(|(s, n)| **n > 0 && is_at_rest(**s, state.mode));
        let mut parts: Vec<String> = counted.map(|(s, n)| format!("{n} {}", s.label())).collect();
        if hidden > 0 {
            parts.push(format!("{hidden} more at work"));
        }
        self.overall.set_message(parts.join(", "));
    }

    fn draw_host(&mut self, host: &HostName, event: &Event, state: &RunState) {
        let Some(phase) = state.hosts.get(host).map(|h| &h.phase) else {
            return;
        };
        match doing(phase, event, self.layout.style.zone) {
            Some(doing) => self.show(host, doing, state),
            None => self.rest(host, state),
        }
    }

    fn show(&mut self, host: &HostName, doing: String, state: &RunState) {
        let free = self.busy.values().filter(|b| b.bar.is_some()).count() < ROWS;
        let width = self.layout.host_width(state);
        let entry = self.busy.entry(host.clone()).or_insert(Busy { doing: String::new(), bar: None });
        entry.doing = doing;
        if entry.bar.is_none() && free {
            let bar = ProgressBar::new_spinner().with_style(bar_style("{spinner} {prefix}  {wide_msg}"));
            entry.bar =
                Some(self.screen.insert_before(&self.overall, bar.with_prefix(pad(host.as_str(), width))));
        }
        if let Some(bar) = &entry.bar {
            bar.set_message(entry.doing.clone());
        }
    }

    /// Takes the host's line away and gives its place to one that had none.
    fn rest(&mut self, host: &HostName, state: &RunState) {
        let Some(bar) = self.busy.remove(host).and_then(|b| b.bar) else {
            return;
        };
        bar.finish_and_clear();
        self.screen.remove(&bar);
        let next = self.busy.iter().find(|(_, b)| b.bar.is_none()).map(|(h, b)| (h.clone(), b.doing.clone()));
        if let Some((host, doing)) = next {
            self.show(&host, doing, state);
        }
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event, state: &RunState) {
        self.last = Some(event.at);
        if let Some(line) = self.layout.line(event, state) {
            self.print(&line);
        }
        if let Some(host) = event.kind.host() {
            self.count(host, state);
            self.draw_host(host, event, state);
        }
        self.draw_overall(state);
    }

    fn finish(&mut self, state: &RunState) {
        for bar in std::mem::take(&mut self.busy).into_values().filter_map(|b| b.bar) {
            bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
        let style = &self.layout.style;
        let now = style.as_of.or(self.last).unwrap_or(state.began);
        let text = format!("\n{}", summary(state, now, style));
        self.print(&text);
    }

    fn tick(&mut self) {
        for bar in self.busy.values().filter_map(|b| b.bar.as_ref()) {
            bar.tick();
        }
        self.overall.tick();
    }

    fn error(&self) -> Option<&ReportError> {
        self.error.as_ref()
    }
}

fn is_at_rest(standing: Standing, mode: Mode) -> bool {
    standing.is_at_rest() || (mode == Mode::DryRun && standing > Standing::Untouched)
}

/// What a busy host is doing; none for one at rest.
fn doing(phase: &HostPhase, event: &Event, zone: chrono_tz::Tz) -> Option<String> {
    let text = match (phase, &event.kind) {
        (HostPhase::Working { step }, _) => step.to_string(),
        (HostPhase::Undoing, EventKind::HostLost { .. }) => "taking back: link lost".into(),
        (HostPhase::Undoing, _) => "taking back".into(),
        (HostPhase::Ready, EventKind::HostConnected { .. }) => "looking".into(),
        (HostPhase::Ready, EventKind::HostSeen { .. } | EventKind::Found { .. }) => "checking".into(),
        (HostPhase::Ready, _) => "between steps".into(),
        (HostPhase::GoingDown, _) => "going down".into(),
        (HostPhase::Silent, EventKind::Silent { since, .. }) => {
            format!("silent since {}", crate::clock(*since, event.at, zone))
        }
        (HostPhase::Silent, _) => "silent".into(),
        _ => return None,
    };
    Some(printable(&text))
}

/// The templates are constants; one that indicatif refused would fall back to its own look.
fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .tick_chars("|/-\\ ")
}
