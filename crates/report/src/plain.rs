//! One line per event.

use std::io::Write;

use chrono::{DateTime, Utc};
use console::measure_text_width;
use pipedown_model::{Event, RunState};

use crate::describe::{Line, describe};
use crate::sink::Sink;
use crate::table::pad;
use crate::{ReportError, Reporter, Stamp, Style, summary};

/// Longer host names push their line out of the columns.
const WIDEST_HOST: usize = 40;
const WORD: usize = 11;

/// Writes one line per notable event, and the end report.
pub struct Plain {
    sink: Sink,
    layout: Layout,
    last: Option<DateTime<Utc>>,
}

impl Plain {
    /// Makes one that writes to a stream, usually standard error.
    pub fn new(out: Box<dyn Write + Send>, style: Style) -> Self {
        Self { sink: Sink::new(out), layout: Layout::new(style), last: None }
    }
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event, state: &RunState) {
        self.last = Some(event.at);
        if let Some(line) = self.layout.line(event, state) {
            self.sink.line(&line);
        }
    }

    fn finish(&mut self, state: &RunState) {
        let style = &self.layout.style;
        let now = style.as_of.or(self.last).unwrap_or(state.began);
        self.sink.write(&format!("\n{}", summary(state, now, style)));
    }

    fn error(&self) -> Option<&ReportError> {
        self.sink.error()
    }
}

/// The columns of plain lines; the live view has the same.
pub(crate) struct Layout {
    pub(crate) style: Style,
    host_width: Option<usize>,
}

impl Layout {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, host_width: None }
    }

    /// The event's line if the verbosity lets it pass.
    pub(crate) fn line(&mut self, event: &Event, state: &RunState) -> Option<String> {
        let line = describe(event, state, &self.style);
        line.importance.is_shown(self.style.verbosity).then(|| {
            let stamp = match self.style.stamp {
                Stamp::Off => String::new(),
                Stamp::On => {
                    let local = event.at.with_timezone(&self.style.zone);
                    format!("{}  ", local.format("%Y-%m-%d %H:%M:%S %Z"))
                }
            };
            format!("{stamp}{}", self.columns(&line, state)).trim_end().to_owned()
        })
    }

    pub(crate) fn host_width(&mut self, state: &RunState) -> usize {
        *self.host_width.get_or_insert_with(|| {
            let widths = state.hosts.keys().map(|h| measure_text_width(h.as_str()));
            widths.max().unwrap_or(1).min(WIDEST_HOST)
        })
    }

    fn columns(&mut self, line: &Line, state: &RunState) -> String {
        let width = self.host_width(state);
        let host = pad(line.host.as_ref().map_or("-", |h| h.as_str()), width);
        let word = self.style.paint(line.tone, &pad(line.word, WORD));
        format!("{host}  {word}  {}", line.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Page, Story, cancelled, dry, followed, mixed, style, trials};
    use crate::{Colour, Verbosity};

    fn shown(story: &Story, style: Style) -> String {
        let (page, pen) = Page::new();
        story.play(&mut Plain::new(pen, style));
        page.text()
    }

    #[test]
    fn a_run_that_meets_everything() {
        insta::assert_snapshot!(shown(&mixed(), style()));
    }

    #[test]
    fn quiet_shows_problems_and_the_end() {
        insta::assert_snapshot!(shown(&mixed(), Style { verbosity: Verbosity::Quiet, ..style() }));
    }

    #[test]
    fn verbose_shows_steps_and_every_verdict() {
        insta::assert_snapshot!(shown(&mixed(), Style { verbosity: Verbosity::Verbose, ..style() }));
    }

    #[test]
    fn a_dry_run_shows_what_would_change_and_what_the_gates_say() {
        insta::assert_snapshot!(shown(&dry(), style()));
    }

    #[test]
    fn a_cancel_names_in_capitals_what_it_could_not_reach() {
        insta::assert_snapshot!(shown(&cancelled(), Style { stamp: Stamp::On, ..style() }));
    }

    #[test]
    fn a_followed_window_shows_who_went_and_who_came_back() {
        let mut story = followed();
        insta::assert_snapshot!(shown(story.end(), style()));
    }

    #[test]
    fn a_rollout_says_what_was_proven_and_what_rolled_back_hosts_serve() {
        insta::assert_snapshot!(shown(&trials(), style()));
    }

    #[test]
    fn colours_are_escape_sequences_only_when_asked_for() {
        let plain = shown(&mixed(), style());
        let coloured = shown(&mixed(), Style { colour: Colour::On, ..style() });
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains("\u{1b}[32marmed"));
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }

    #[test]
    fn a_broken_stream_is_kept_and_not_fatal() {
        let (page, pen) = Page::new();
        drop(page);
        let mut plain = Plain::new(pen, style());
        mixed().play(&mut plain);
        assert!(matches!(plain.error(), Some(ReportError::Write(_))));
    }
}
