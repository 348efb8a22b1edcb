//! What a playbook wants of sshd's configuration, checked against what sshd knows before any host is concerned.

use std::collections::BTreeMap;

use pipedown_model::{
    SshdKeyword, SshdMatch, SshdSetting, SshdStep, SshdUnset, SshdValue, check_sshd_criteria, sshd_keyword,
    sshd_keywords, sshd_words,
};

use super::scene::Scene;
use crate::diagnostic::{InputError, Source};
use crate::document::Field;
use crate::given::At;
use crate::playbook::{Assignment, SshdConfig, Step, Values};
use crate::snippet::{self, Line, Word};

/// Seconds until a host that was not confirmed puts back what stood, unless the playbook says otherwise.
const CONFIRM_WITHIN_S: u32 = 120;
/// A trial shorter than its own logins and proofs would roll back what is right.
const CONFIRM: (u32, u32) = (30, 3600);
/// A change that holds for less is over before it is looked at; one for longer is no trial.
const KEEP: (u32, u32) = (30, 31 * 86_400);
/// More than this is no set of settings.
const LONGEST: usize = 64 * 1024;

/// Compiles the step for one host.
pub(super) fn step(scene: &Scene<'_>, step: &Step, wanted: &SshdConfig) -> Result<SshdStep, InputError> {
    let mut draft = Draft::new(scene);
    draft.assign(None, &wanted.set)?;
    for block in &wanted.matches {
        let text = scene.word(&block.criteria)?;
        let criteria = Spot::of(scene, &block.criteria, &text, 0..text.len());
        let block_at = draft.open(&criteria)?;
        draft.assign(Some(block_at), &block.set)?;
        block.unset.iter().try_for_each(|field| draft.unset(Some(&criteria), field))?;
    }
    if let Some(field) = &wanted.config {
        draft.config(field)?;
    }
    wanted.unset.iter().try_for_each(|field| draft.unset(None, field))?;
    draft.check(step)?;
    let confirm = wanted.confirm_within.as_ref();
    let keep = wanted.keep_for.as_ref();
    Ok(SshdStep {
        settings: draft.settings,
        matches: draft.matches.into_iter().filter(|block| !block.settings.is_empty()).collect(),
        unset: draft.unset,
        confirm_within_s: span(scene, confirm, CONFIRM)?.unwrap_or(CONFIRM_WITHIN_S),
        keep_for_s: span(scene, keep, KEEP)?,
    })
}

/// A span of time between two others; none if there is no field, or nothing in it.
fn span(
    scene: &Scene<'_>,
    field: Option<&Field>,
    (least, most): (u32, u32),
) -> Result<Option<u32>, InputError> {
    let Some(field) = field else { return Ok(None) };
    let text = scene.word(field)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let seconds = scene.seconds(field)?;
    match u32::try_from(seconds) {
        Ok(seconds) if (least..=most).contains(&seconds) => Ok(Some(seconds)),
        _ => {
            let [least, most] = [least, most].map(|s| crate::time::approximate(u64::from(s)));
            let message = format!("`{}` must be between {least} and {most}", field.key);
            Err(scene.locate(field, &text, 0..text.len()).error(message))
        }
    }
}

/// Text and where it stands.
struct Spot {
    text: String,
    at: At,
}

impl Spot {
    /// A part of what a field was rendered to.
    fn of(scene: &Scene<'_>, field: &Field, rendered: &str, range: std::ops::Range<usize>) -> Self {
        let text = rendered.get(range.clone()).unwrap_or_default().to_owned();
        Self { at: scene.locate(field, rendered, range), text }
    }

    fn error(&self, message: impl Into<String>) -> InputError {
        self.at.error(message)
    }
}

/// What holds for everyone, or the number of a Match block.
type Scope = Option<usize>;

/// A step in the making.
struct Draft<'a> {
    scene: &'a Scene<'a>,
    settings: Vec<SshdSetting>,
    matches: Vec<SshdMatch>,
    unset: Vec<SshdUnset>,
    /// Where each setting stands, by scope and keyword.
    places: BTreeMap<(Scope, &'static str), At>,
}

impl<'a> Draft<'a> {
    fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, settings: Vec::new(), matches: Vec::new(), unset: Vec::new(), places: BTreeMap::new() }
    }

    fn assign(&mut self, scope: Scope, set: &[Assignment]) -> Result<(), InputError> {
        for Assignment { keyword, values } in set {
            let name = Spot {
                text: keyword.text.clone(),
                at: At { source: self.scene.playbook.source.clone(), span: keyword.span.clone() },
            };
            let value = match values {
                Values::One(field) => {
                    let text = self.scene.value(field)?;
                    Spot::of(self.scene, field, &text, 0..text.len())
                }
                Values::List(fields) => self.joined(&name, fields)?,
            };
            self.set(scope, &name, value)?;
        }
        Ok(())
    }

    /// Words as one value: with commas where sshd wants a list with commas.
    fn joined(&self, keyword: &Spot, fields: &[Field]) -> Result<Spot, InputError> {
        let divider = if has_commas(known(keyword)?) { "," } else { " " };
        let mut words = Vec::new();
        let mut at = keyword.at.clone();
        for field in fields {
            let word = self.scene.value(field)?;
            let place = self.scene.locate(field, &word, 0..word.len());
            if word.is_empty() || word.contains('"') {
                return Err(place.error(format!("`{}` must be one word, without quotes", field.key)));
            }
            at = if words.is_empty() { place } else { joined(at, place) };
            words.push(if word.contains(char::is_whitespace) { format!("\"{word}\"") } else { word });
        }
        Ok(Spot { text: words.join(divider), at })
    }

    /// Finds or makes the block of these criteria.
    fn open(&mut self, criteria: &Spot) -> Result<usize, InputError> {
        let text = criteria_of(criteria)?;
        let found = self.matches.iter().position(|block| same(&block.criteria, &text));
        Ok(found.unwrap_or_else(|| {
            self.matches.push(SshdMatch { criteria: text, settings: Vec::new() });
            self.matches.len() - 1
        }))
    }

    /// Takes over lines in the syntax of sshd_config(5).
    fn config(&mut self, field: &Field) -> Result<(), InputError> {
        let scene = self.scene;
        let text = scene.word(field)?;
        if text.len() > LONGEST {
            let message = format!("`{}` has {} bytes; at most {LONGEST}", field.key, text.len());
            return Err(scene.locate(field, &text, 0..text.len()).error(message));
        }
        let spot = |word: Word<'_>| Spot::of(scene, field, &text, word.range);
        let mut scope = None;
        for line in snippet::lines(&text) {
            match line {
                Line::Match(criteria) => scope = Some(self.open(&spot(criteria))?),
                Line::Setting(keyword, value) => self.set(scope, &spot(keyword), spot(value))?,
            }
        }
        Ok(())
    }

    fn set(&mut self, scope: Scope, keyword: &Spot, value: Spot) -> Result<(), InputError> {
        let known = known(keyword)?;
        if scope.is_some() && known.in_match.is_none() {
            return Err(keyword
                .error(format!("{} cannot stand in a Match block", known.name))
                .suggest("it holds for everyone: set it outside of the block"));
        }
        check_value(known, keyword, &value)?;
        let place = (scope, known.name);
        if !known.cumulative && self.places.contains_key(&place) {
            return Err(keyword
                .error(format!("{} is set twice{}", known.name, self.name_of(scope)))
                .suggest("sshd takes the first it meets: leave one of them out"));
        }
        self.places.insert(place, value.at);
        let setting = SshdSetting { keyword: known.name.to_owned(), value: value.text };
        match scope.and_then(|number| self.matches.get_mut(number)) {
            Some(block) => block.settings.push(setting),
            None => self.settings.push(setting),
        }
        Ok(())
    }

    fn unset(&mut self, block: Option<&Spot>, field: &Field) -> Result<(), InputError> {
        let scene = self.scene;
        let text = scene.word(field)?;
        let outer = block.map(criteria_of).transpose()?;
        for (inner, word) in snippet::unset(&text) {
            let spot = |word: Word<'_>| Spot::of(scene, field, &text, word.range);
            let word = spot(word);
            let known = known(&word)?;
            let inner = inner.map(|criteria| criteria_of(&spot(criteria))).transpose()?;
            let unset =
                SshdUnset { keyword: known.name.to_owned(), criteria: inner.or_else(|| outer.clone()) };
            let again = |other: &SshdUnset| {
                other.keyword == unset.keyword
                    && match (&other.criteria, &unset.criteria) {
                        (Some(one), Some(other)) => same(one, other),
                        (one, other) => one == other,
                    }
            };
            if self.unset.iter().any(again) {
                return Err(word.error(format!("{} is taken away twice", known.name)));
            }
            if self.is_set(&unset) {
                return Err(word.error(format!("{} is set and taken away at once", known.name)));
            }
            self.unset.push(unset);
        }
        Ok(())
    }

    fn is_set(&self, unset: &SshdUnset) -> bool {
        let has = |settings: &[SshdSetting]| settings.iter().any(|s| s.keyword == unset.keyword);
        match &unset.criteria {
            None => has(&self.settings),
            Some(criteria) => {
                self.matches.iter().any(|block| same(&block.criteria, criteria) && has(&block.settings))
            }
        }
    }

    fn name_of(&self, scope: Scope) -> String {
        let block = scope.and_then(|number| self.matches.get(number));
        block.map(|block| format!(" in Match {}", block.criteria)).unwrap_or_default()
    }

    /// What only the settings together show.
    fn check(&self, step: &Step) -> Result<(), InputError> {
        if self.settings.is_empty()
            && self.unset.is_empty()
            && self.matches.iter().all(|m| m.settings.is_empty())
        {
            let playbook = self.scene.playbook;
            if playbook.takes_settings() {
                let typed = Source::new("PLAYBOOK", playbook.name());
                return Err(typed
                    .error(0..playbook.name().len(), "there is nothing to set or to take away")
                    .suggest("say what: --set KEYWORD=VALUE, --unset KEYWORD or --file FILE"));
            }
            let message = format!("the step `{}` neither sets nor takes away anything", step.id);
            return Err(playbook
                .source
                .error(step.span.clone(), message)
                .suggest("give it `set`, `match`, `config` or `unset`"));
        }
        Ok(())
    }
}

/// Two places of the same text, with what is between them.
fn joined(first: At, last: At) -> At {
    if first.source == last.source {
        At { span: first.span.start..last.span.end.max(first.span.end), ..first }
    } else {
        first
    }
}

fn known(keyword: &Spot) -> Result<&'static SshdKeyword, InputError> {
    let name = keyword.text.as_str();
    if name.eq_ignore_ascii_case("match") {
        return Err(keyword.error("`Match` begins a block: it is no setting").suggest(
            "match = [{ criteria = \"User sftp\", set = { … } }], or --match 'User sftp' before its --set",
        ));
    }
    sshd_keyword(name).ok_or_else(|| {
        let shown: String = name.chars().take(60).collect();
        keyword
            .error(format!("sshd knows no keyword `{shown}`"))
            .label("not in sshd_config(5)")
            .suggest_among(name, sshd_keywords().iter().filter(|k| k.until.is_none()).map(|k| k.name))
    })
}

fn check_value(known: &SshdKeyword, keyword: &Spot, value: &Spot) -> Result<(), InputError> {
    if let Some(odd) = value.text.chars().find(|c| c.is_control() && *c != '\t') {
        let message = format!("the value of {} holds the character {}", known.name, odd.escape_default());
        return Err(value.error(message).suggest("a value is one line of text"));
    }
    if value.text.is_empty() {
        let nowhere = value.at.span.is_empty() && value.at.source == keyword.at.source;
        let spot = if nowhere { keyword } else { value };
        return Err(spot.error(format!("{} lacks its value", known.name)));
    }
    if let Some(at) = snippet::comment(&value.text).filter(|_| !takes_the_line(known)) {
        return Err(value.error(format!("a comment behind the value of {}", known.name)).suggest(format!(
            "older versions of sshd take `{}` for a part of it: give it a line of its own",
            value.text.get(at..).unwrap_or_default()
        )));
    }
    known.check(&value.text).map_err(|message| value.error(format!("{} {message}", known.name)))
}

/// Whether the words of its value are divided by commas.
fn has_commas(known: &SshdKeyword) -> bool {
    matches!(known.value, SshdValue::Algorithms { .. } | SshdValue::Networks)
}

/// Whether its value is a command or a text, in which `#` may mean something.
fn takes_the_line(known: &SshdKeyword) -> bool {
    matches!(known.value, SshdValue::Text | SshdValue::Program | SshdValue::Subsystem)
}

/// Criteria, checked as far as a typo goes: the host's own sshd has the last word.
fn criteria_of(criteria: &Spot) -> Result<String, InputError> {
    const KNOWN: [&str; 10] = [
        "User",
        "Group",
        "Host",
        "Address",
        "LocalAddress",
        "LocalPort",
        "RDomain",
        "Version",
        "All",
        "Invalid-User",
    ];
    let text = criteria.text.trim();
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(criteria.error("criteria are one line of text"));
    }
    if snippet::comment(text).is_some() {
        return Err(criteria.error("a comment behind the criteria").suggest("give it a line of its own"));
    }
    let words = sshd_words(text).ok_or_else(|| criteria.error("a quote is not closed"))?;
    if words.is_empty() {
        return Err(criteria
            .error("a Match block lacks its criteria")
            .suggest("for example `Match User sftp`"));
    }
    let unknown = |name: &&String| !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
    if let Some(name) = words.iter().step_by(2).find(unknown) {
        return Err(criteria.error(format!("sshd knows no criterion `{name}`")).suggest_among(name, KNOWN));
    }
    check_sshd_criteria(text).map_err(|why| criteria.error(format!("`Match {text}` {why}")))?;
    Ok(text.to_owned())
}

/// Whether criteria mean the same: blanks, quotes and the case of their names do not count.
fn same(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let words = sshd_words(text).unwrap_or_else(|| vec![text.to_owned()]);
        let name =
            |(index, word): (usize, String)| if index % 2 == 0 { word.to_ascii_lowercase() } else { word };
        words.into_iter().enumerate().map(name).collect::<Vec<String>>()
    };
    words(one) == words(other)
}
