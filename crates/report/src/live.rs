//! The view on a terminal: one bar for the run, one line per busy host, finished hosts above.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipedown_model::{Event, EventKind, HostName, HostPhase, RunState};

use crate::plain::Layout;
use crate::printable::printable;
use crate::standing::Standing;
use crate::table::pad;
use crate::{ReportError, Reporter, Style, relative, summary};

/// More busy hosts than this are counted, not shown: the view must fit a terminal of 24 lines.
const ROWS: usize = 12;

/// So many hosts that have not answered are named.
const NAMED: usize = 4;

/// Shows a run on a terminal; for standard error, and only when that is one.
pub struct Live {
    screen: MultiProgress,
    overall: ProgressBar,
    layout: Layout,
    busy: BTreeMap<HostName, Busy>,
    standings: HashMap<HostName, Standing>,
    counts: BTreeMap<Standing, usize>,
    last: Option<DateTime<Utc>>,
    message: String,
    window: Option<DateTime<Utc>>,
    error: Option<ReportError>,
    aside: Option<Aside>,
}

/// Says what no event tells: how far bytes have come.
type Aside = Box<dyn Fn() -> String + Send>;

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
            message: String::new(),
            window: None,
            error: None,
            aside: None,
        }
    }

    /// Also says what no event tells, at every tick; nothing as long as the text is empty.
    pub fn aside(mut self, text: impl Fn() -> String + Send + 'static) -> Self {
        self.aside = Some(Box::new(text));
        self
    }

    fn print(&mut self, text: &str) {
        if self.error.is_none() {
            self.error = self.screen.println(text).err().map(ReportError::Write);
        }
    }

    /// Keeps the counts by one host's change, however large the fleet. Hosts at work count nowhere.
    fn count(&mut self, host: &HostName, state: &RunState) {
        let Some(entry) = state.hosts.get(host) else {
            return;
        };
        let at_work = matches!(
            entry.phase,
            HostPhase::Waiting | HostPhase::Ready | HostPhase::Working { .. } | HostPhase::Undoing
        );
        let before = if at_work {
            self.standings.remove(host)
        } else {
            let standing = Standing::of(entry, state.mode);
            *self.counts.entry(standing).or_default() += 1;
            self.standings.insert(host.clone(), standing)
        };
        if let Some(n) = before.and_then(|b| self.counts.get_mut(&b)) {
            *n = n.saturating_sub(1);
        }
    }

    fn draw_overall(&mut self, state: &RunState) {
        let watched = self.busy.keys().filter(|h| self.standings.contains_key(*h)).count();
        self.overall.set_length(state.hosts.len() as u64);
        self.overall.set_position(self.standings.len().saturating_sub(watched) as u64);
        let hidden = self.busy.values().filter(|b| b.bar.is_none()).count();
        let counted = self.counts.iter().filter(|(_, n)| **n > 0);
        let mut parts: Vec<String> = counted.map(|(s, n)| format!("{n} {}", s.label())).collect();
        if hidden > 0 {
            parts.push(format!("{hidden} more at work"));
        }
        parts.extend(self.awaited(state));
        self.message = parts.join(", ");
        self.window = state.window;
        self.overall.set_message(self.message.clone());
    }

    /// Who has not answered yet: a host that hangs has no events of its own, and is whom everybody waits for.
    fn awaited(&self, state: &RunState) -> Option<String> {
        // After these no further host is begun.
        if state.cancel_requested || state.gate.is_some() {
            return None;
        }
        let rested =
            self.busy.keys().filter(|h| !self.standings.contains_key(*h)).count() + self.standings.len();
        match state.hosts.len().saturating_sub(rested) {
            0 => None,
            n if n > NAMED => Some(format!("waiting for {n} more")),
            _ => {
                let waiting = state.hosts.iter().filter(|(_, h)| matches!(h.phase, HostPhase::Waiting));
                let names = self.layout.style.fold(waiting.map(|(name, _)| name));
                Some(format!("waiting for {}", printable(&names)))
            }
        }
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
        if self.last.is_none() {
            // What was recorded before this process took over.
            state.hosts.keys().for_each(|host| self.count(host, state));
        }
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
        // The last line break is not drawn: without one more the next line would begin beside the verdict.
        let text = format!("\n{}\n", summary(state, now, style));
        self.print(&text);
    }

    fn tick(&mut self, now: DateTime<Utc>) {
        for bar in self.busy.values().filter_map(|b| b.bar.as_ref()) {
            bar.tick();
        }
        let window = self.window.filter(|at| *at > now).map(|at| format!("window {}", relative(at, now)));
        let aside = self.aside.as_ref().map(|text| text()).unwrap_or_default();
        let parts = [self.message.clone(), aside].into_iter().filter(|m| !m.is_empty()).chain(window);
        self.overall.set_message(parts.collect::<Vec<_>>().join(" · "));
        self.overall.tick();
    }

    fn notice(&mut self, text: &str) -> bool {
        self.print(text);
        self.error.is_none()
    }

    fn error(&self) -> Option<&ReportError> {
        self.error.as_ref()
    }
}

/// What a busy host is doing; none for one at rest.
fn doing(phase: &HostPhase, event: &Event, zone: chrono_tz::Tz) -> Option<String> {
    let text = match (phase, &event.kind) {
        (HostPhase::Working { step }, EventKind::TrialStarted { reverts_in_s, .. }) => {
            format!("{step}: on trial, reverts in {reverts_in_s} s unless confirmed")
        }
        (HostPhase::Working { step }, EventKind::Confirmed { .. }) => format!("{step}: confirmed"),
        (HostPhase::Working { step }, EventKind::RolledBack { .. }) => format!("{step}: rolled back"),
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

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use pipedown_model::{Mode, StepId};

    use super::*;
    use crate::Verbosity;
    use crate::fixture::{Story, followed, host, mixed, style, trials};

    fn live(rows: u16) -> (InMemoryTerm, Live) {
        let term = InMemoryTerm::new(rows, 100);
        // Without a rate limit every change is drawn, so that what is seen does not depend on time.
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        (term, Live::new(target, style()))
    }

    fn tell(live: &mut Live, story: &Story) {
        for (event, state) in &story.told {
            live.event(event, state);
        }
        let now = live.last.unwrap_or_default();
        live.tick(now);
    }

    #[test]
    fn busy_hosts_have_a_line_and_finished_ones_stand_above() {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02", "login03", "login04"]);
        story.arm("login01");
        story.connect("login02");
        story.push(EventKind::StepStarted { host: host("login02"), step: StepId::arm(), attempt: 1 });
        story.connect("login03");
        let (term, mut live) = live(24);
        tell(&mut live, &story);
        insta::assert_snapshot!(term.contents());
    }

    #[test]
    fn the_end_clears_the_bars_and_leaves_the_report() {
        let (term, mut live) = live(80);
        mixed().play(&mut live);
        insta::assert_snapshot!(term.contents());
    }

    #[test]
    fn a_followed_window_moves_from_going_to_settled() {
        let (term, mut live) = live(40);
        tell(&mut live, &followed());
        insta::assert_snapshot!(term.contents());
    }

    #[test]
    fn a_host_on_trial_says_until_when() {
        let (term, mut live) = live(60);
        let mut story = trials();
        story.told.truncate(
            story.told.iter().position(|(e, _)| matches!(e.kind, EventKind::RolledBack { .. })).unwrap(),
        );
        tell(&mut live, &story);
        insta::assert_snapshot!(term.contents());
    }

    #[test]
    fn bytes_are_shown_beside_what_events_tell() {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02"]);
        story.connect("login01");
        let (term, live) = live(24);
        let mut live = live.aside(|| "1.0 MiB of 2.0 MiB".to_owned());
        tell(&mut live, &story);
        let shown = term.contents();
        assert!(shown.contains("waiting for login02 · 1.0 MiB of 2.0 MiB"), "{shown}");
    }

    #[test]
    fn more_busy_hosts_than_rows_are_counted() {
        let names: Vec<String> = (1..=15).map(|n| format!("n{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut story = Story::begin(Mode::Apply, &names);
        for name in &names {
            story.connect(name);
        }
        let (term, mut live) = live(24);
        live.layout.style.verbosity = Verbosity::Quiet;
        tell(&mut live, &story);

        insta::assert_snapshot!(term.contents());
    }

    #[test]
    fn hosts_that_have_not_answered_are_named() {
        let mut story = Story::begin(Mode::Apply, &["login01", "login02", "login03"]);
        story.arm("login01");
        let (term, mut live) = live(24);
        tell(&mut live, &story);
        let shown = term.contents();
        assert!(shown.contains("1 armed, waiting for login02,login03"), "{shown}");
        story.connect("login02");
        tell(&mut live, &story);
        assert!(term.contents().contains("waiting for login03"), "{}", term.contents());
    }

    #[test]
    fn a_place_that_becomes_free_is_given_to_the_next() {
        let names: Vec<String> = (1..=13).map(|n| format!("n{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut story = Story::begin(Mode::Apply, &names);
        for name in &names {
            story.connect(name);
        }
        story.push(EventKind::StepStarted { host: host("n01"), step: StepId::arm(), attempt: 1 });
        let outcome = pipedown_model::Outcome::Unchanged;
        story.push(EventKind::StepFinished { host: host("n01"), step: StepId::arm(), outcome });
        story.push(crate::fixture::armed("n01", pipedown_model::ShutdownHow::Halt));
        let (term, mut live) = live(24);
        live.layout.style.verbosity = Verbosity::Quiet;
        tell(&mut live, &story);
        let shown = term.contents();
        assert!(shown.contains("n13  checking"), "{shown}");
        assert!(!shown.contains("n01"), "{shown}");
        assert!(!shown.contains("more at work"), "{shown}");
    }
}
