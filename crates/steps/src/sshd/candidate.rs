//! What a host's configuration is to become: the step merged into what is ours, at the place where it counts.

use pipedown_model::{
    SshdKeyword, SshdSetting, SshdStep, SshdVersion, check_sshd_criteria, nearest_sshd_keyword,
    sshd_criteria_need, sshd_keyword, sshd_notes,
};

use super::config::{DROP_IN, is_drop_in};
use super::own::{Own, same_criteria, take_out};
use super::{SshdChange, SshdConfig, SshdFile, SshdPlace, SshdSeen, SshdService};

/// Why a step cannot be made of a host's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshdProblem {
    /// What serves there is no OpenSSH that is known.
    #[error("read the release of the host's sshd, which calls itself \"{said}\"")]
    Release {
        /// What it says of itself.
        said: String,
    },
    /// sshd_config(5) has no such keyword.
    #[error("set {keyword}: sshd_config has no such keyword{}", suggestion.map(|s| format!("; {s} is meant?")).unwrap_or_default())]
    Keyword {
        /// As it was given.
        keyword: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// The keyword takes no such value.
    #[error("set {keyword} {value}: it {why}")]
    Value {
        /// The keyword.
        keyword: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        why: String,
    },
    /// The Match block is for nobody sshd could name.
    #[error("set values for Match {criteria}: it {why}")]
    Criteria {
        /// What was to stand behind Match.
        criteria: String,
        /// What is allowed.
        why: String,
    },
    /// The host's sshd is too old.
    #[error("set {keyword}: {what} is known since OpenSSH {since}, and this host has {host}")]
    TooOld {
        /// The keyword, or `Match`.
        keyword: String,
        /// The keyword, the word of its value, or the criterion.
        what: String,
        /// The first release that has it.
        since: SshdVersion,
        /// The host's release.
        host: SshdVersion,
    },
    /// sshd takes it only outside of Match blocks.
    #[error("set {keyword} for Match {criteria}: {}", match since {
        Some(since) => format!("in Match blocks it is allowed since OpenSSH {since}, and this host has {host}"),
        None => "it is not allowed in Match blocks".to_owned(),
    })]
    NotInMatch {
        /// The keyword.
        keyword: &'static str,
        /// The block.
        criteria: String,
        /// The first release that allows it, if one does.
        since: Option<SshdVersion>,
        /// The host's release.
        host: SshdVersion,
    },
    /// What is to be taken away was set by somebody else.
    #[error("unset {keyword}: {place} sets it, which is not pipedown's")]
    NotOurs {
        /// The keyword.
        keyword: String,
        /// Where it is set.
        place: SshdPlace,
    },
    /// A word on sshd's own command line wins over every file.
    #[error("set {keyword}: sshd was started with \"{word}\", which wins over every file")]
    CommandLine {
        /// The keyword.
        keyword: &'static str,
        /// The word.
        word: String,
    },
    /// systemd listens, not sshd.
    #[error("set {keyword}: {unit} listens for this sshd, on ports and addresses of its own")]
    Socket {
        /// The keyword.
        keyword: &'static str,
        /// The socket unit.
        unit: String,
    },
    /// Our marks in the main file have been damaged.
    #[error("read what is pipedown's in {place}: a line that marks its begin or end has no partner")]
    Marks {
        /// The mark.
        place: SshdPlace,
    },
    /// A file that must be edited has bytes that are not UTF-8, or was not seen.
    #[error("edit {path}: it is not UTF-8, or could not be read")]
    NotText {
        /// The file.
        path: String,
    },
}

/// Where what is ours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshdPlacement {
    /// In a file of its own.
    DropIn {
        /// Where.
        path: String,
    },
    /// In marked blocks of the main file.
    Main,
    /// Nothing is ours.
    Nowhere,
}

/// A value that a step asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdAsked {
    /// The Match block it is for; none: everyone.
    pub criteria: Option<String>,
    /// The keyword.
    pub keyword: &'static SshdKeyword,
    /// The value, as it stands in the file.
    pub value: String,
}

/// What a host's configuration is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdCandidate {
    /// Files as they are to be; empty when the host has it all already.
    pub changes: Vec<SshdChange>,
    /// Where what is ours will stand.
    pub placement: SshdPlacement,
    /// What the step asks for.
    pub asked: Vec<SshdAsked>,
    /// The keywords it takes away, as they were given.
    pub unset: Vec<String>,
    /// All that is ours afterwards: everything of earlier steps, too.
    pub own: Vec<SshdAsked>,
    /// What should be known and is no error, one line each.
    pub notes: Vec<String>,
}

/// Merges a step into what pipedown has on a host.
///
/// # Errors
/// See [`SshdProblem`]. Whether sshd takes the result, and whether its values become effective, only the host can say.
pub fn sshd_candidate(seen: &SshdSeen, step: &SshdStep) -> Result<SshdCandidate, SshdProblem> {
    let host = SshdVersion::parse(&seen.version).ok_or_else(|| SshdProblem::Release {
        said: seen.version.lines().next().unwrap_or_default().to_owned(),
    })?;
    let config = SshdConfig::of(seen);
    let main = seen.files.iter().find(|file| file.path == seen.main).filter(|file| file.exact);
    let main = main.ok_or_else(|| SshdProblem::NotText { path: seen.main.clone() })?;
    let (rest, in_main) = take_out(&main.text)
        .map_err(|line| SshdProblem::Marks { place: SshdPlace { file: seen.main.clone(), line } })?;
    let drop_ins: Vec<&SshdFile> = seen.files.iter().filter(|file| is_drop_in(&file.path)).collect();
    if let Some(file) = drop_ins.iter().find(|file| !file.exact) {
        return Err(SshdProblem::NotText { path: file.path.clone() });
    }
    let mut own = Own::default();
    drop_ins.iter().for_each(|file| own.extend(Own::read(&file.text)));
    own.extend(in_main);
    let before = own.clone();

    let asked = asked(seen, step, host)?;
    merge(&mut own, &asked, host);
    unset(&mut own, &config, step)?;
    own.blocks.retain(|(_, settings)| !settings.is_empty());

    let placement = place(seen, &config, &own);
    let standing = Standing { drop_ins: &drop_ins, rest: &rest, main: &main.text, same: own == before };
    let changes = changes(seen, &own, &placement, &standing);
    let notes = notes(&config, &own, &asked, step);
    Ok(SshdCandidate { changes, placement, own: listed(&own), asked, unset: names(step), notes })
}

/// What the step asks for, checked; of several values of one keyword that do not add up the last one counts.
fn asked(seen: &SshdSeen, step: &SshdStep, host: SshdVersion) -> Result<Vec<SshdAsked>, SshdProblem> {
    let mut asked: Vec<SshdAsked> = Vec::new();
    let scopes = std::iter::once((None, &step.settings))
        .chain(step.matches.iter().map(|block| (Some(block.criteria.as_str()), &block.settings)));
    for (criteria, settings) in scopes {
        if let Some(criteria) = criteria {
            check_sshd_criteria(criteria)
                .map_err(|why| SshdProblem::Criteria { criteria: criteria.to_owned(), why })?;
            if let Some((since, what)) = sshd_criteria_need(criteria).filter(|(since, _)| host < *since) {
                let (keyword, what) = ("Match".to_owned(), what.to_owned());
                return Err(SshdProblem::TooOld { keyword, what, since, host });
            }
        }
        for setting in settings {
            let keyword = check(setting, criteria, host)?;
            if let Some(word) = on_command_line(seen, keyword) {
                return Err(SshdProblem::CommandLine { keyword: keyword.name, word });
            }
            if let Some(unit) = listens_for(&seen.service).filter(|_| is_about_listening(keyword)) {
                return Err(SshdProblem::Socket { keyword: keyword.name, unit: unit.to_owned() });
            }
            let criteria = criteria.map(|criteria| criteria.trim().to_owned());
            let new = SshdAsked { criteria, keyword, value: setting.value.trim().to_owned() };
            let same = |old: &SshdAsked| old.keyword == keyword && old.scope() == new.scope();
            match asked.iter().position(same).and_then(|index| asked.get_mut(index)) {
                Some(old) if !keyword.cumulative => *old = new,
                _ => asked.push(new),
            }
        }
    }
    Ok(asked)
}

impl SshdAsked {
    fn scope(&self) -> Option<Vec<String>> {
        self.criteria.as_deref().map(same_criteria)
    }
}

/// Checks one setting against the table and the host's release.
fn check(
    setting: &SshdSetting,
    criteria: Option<&str>,
    host: SshdVersion,
) -> Result<&'static SshdKeyword, SshdProblem> {
    let Some(keyword) = sshd_keyword(&setting.keyword) else {
        let suggestion = nearest_sshd_keyword(&setting.keyword);
        return Err(SshdProblem::Keyword { keyword: setting.keyword.clone(), suggestion });
    };
    keyword.check(&setting.value).map_err(|why| SshdProblem::Value {
        keyword: keyword.name,
        value: setting.value.clone(),
        why,
    })?;
    if let Some((since, what)) = keyword.needs(&setting.value).filter(|(since, _)| host < *since) {
        return Err(SshdProblem::TooOld { keyword: keyword.name.to_owned(), what, since, host });
    }
    match criteria {
        Some(criteria) if !keyword.allowed_in_match(host) => Err(SshdProblem::NotInMatch {
            keyword: keyword.name,
            criteria: criteria.to_owned(),
            since: keyword.in_match,
            host,
        }),
        _ => Ok(keyword),
    }
}

/// The word of sshd's own command line that sets a keyword, if one does and its values do not add up.
fn on_command_line(seen: &SshdSeen, keyword: &SshdKeyword) -> Option<String> {
    let mut words = seen.extra.iter();
    while let Some(word) = words.next() {
        let option = match word.strip_prefix("-o") {
            Some("") => words.next()?,
            Some(option) => option,
            None if word == "-p" && keyword.is("Port") => return Some(word.clone()),
            None => continue,
        };
        let (name, _) = option.split_once(['=', ' ']).unwrap_or((option, ""));
        if keyword.is(name.trim()) && (!keyword.cumulative || keyword.is("Port")) {
            return Some(option.to_owned());
        }
    }
    None
}

/// The socket unit that listens in sshd's place.
fn listens_for(service: &SshdService) -> Option<&str> {
    match service {
        SshdService::Service { socket, .. } => socket.as_deref(),
        SshdService::PerConnection { unit } => Some(unit),
        SshdService::Process => None,
    }
}

fn is_about_listening(keyword: &SshdKeyword) -> bool {
    ["Port", "ListenAddress", "AddressFamily"].iter().any(|name| keyword.is(name))
}

/// Adds what is asked for, in the place of an older value of ours; values that add up replace all ours of that keyword.
fn merge(own: &mut Own, asked: &[SshdAsked], host: SshdVersion) {
    for (index, wanted) in asked.iter().enumerate() {
        let keyword = wanted.keyword;
        let again = asked
            .iter()
            .take(index)
            .any(|earlier| earlier.keyword == keyword && earlier.scope() == wanted.scope());
        let settings = own.scope(wanted.criteria.as_deref());
        let name = keyword.spelling(host, wanted.criteria.is_some()).to_owned();
        let new = SshdSetting { keyword: name, value: wanted.value.clone() };
        let is_it = |setting: &SshdSetting| keyword.is(&setting.keyword);
        let first = settings.iter().position(is_it);
        let last = settings.iter().rposition(is_it);
        if again {
            settings.insert(last.map_or(settings.len(), |last| last.saturating_add(1)), new);
            continue;
        }
        settings.retain(|setting| !is_it(setting));
        settings.insert(first.unwrap_or(settings.len()).min(settings.len()), new);
    }
}

/// Takes away what is to go.
fn unset(own: &mut Own, config: &SshdConfig, step: &SshdStep) -> Result<(), SshdProblem> {
    for unset in &step.unset {
        let is_it = |name: &str| match sshd_keyword(&unset.keyword) {
            Some(known) => known.is(name),
            None => unset.keyword.eq_ignore_ascii_case(name),
        };
        let settings = own.scope(unset.criteria.as_deref());
        let had = settings.len();
        settings.retain(|setting| !is_it(&setting.keyword));
        if settings.len() != had {
            continue;
        }
        let scope = unset.criteria.as_deref().map(same_criteria);
        let foreign = config.lines.iter().filter(|line| !line.ours && is_it(&line.keyword)).find(|line| {
            let block = line.block.and_then(|index| config.blocks.get(index));
            block.map(|block| same_criteria(&block.criteria)) == scope
        });
        if let Some(line) = foreign {
            return Err(SshdProblem::NotOurs { keyword: unset.keyword.clone(), place: line.place.clone() });
        }
        if sshd_keyword(&unset.keyword).is_none() {
            let suggestion = nearest_sshd_keyword(&unset.keyword);
            return Err(SshdProblem::Keyword { keyword: unset.keyword.clone(), suggestion });
        }
    }
    Ok(())
}

/// Where what is ours counts: in a file of its own when that is read before every line that would win over it.
fn place(seen: &SshdSeen, config: &SshdConfig, own: &Own) -> SshdPlacement {
    if own.is_empty() {
        return SshdPlacement::Nowhere;
    }
    let folder = |pattern: &str| {
        let (folder, name) = pattern.rsplit_once('/')?;
        let plain = !folder.contains(['*', '?', '[']);
        (plain && super::patterns::glob(name, DROP_IN)).then(|| folder.to_owned())
    };
    let found = seen.includes.iter().filter(|include| include.file == seen.main).find_map(|include| {
        let at = config.includes.iter().find(|(line, _)| *line == include.line)?.1;
        Some((folder(&include.pattern)?, at))
    });
    let Some((folder, at)) = found else { return SshdPlacement::Main };
    let path = format!("{folder}/{DROP_IN}");
    let in_folder = |file: &str| file.rsplit_once('/').is_some_and(|(of, _)| of == folder);
    // What is read before: all above the Include line, and files that sort before ours.
    let earlier = config.lines.iter().enumerate().filter(|(index, line)| {
        let file = line.place.file.as_str();
        *index < at || (in_folder(file) && file < path.as_str())
    });
    let wins = earlier.map(|(_, line)| line).any(|line| {
        let first = line.known.is_none_or(|known| !known.cumulative);
        let set = own.global.iter().any(|setting| line.sets(&canonical(&setting.keyword)));
        !line.ours && line.block.is_none() && first && set
    });
    if wins { SshdPlacement::Main } else { SshdPlacement::DropIn { path } }
}

fn canonical(name: &str) -> String {
    sshd_keyword(name).map_or_else(|| name.to_owned(), |keyword| keyword.name.to_owned())
}

/// What stands of ours.
struct Standing<'a> {
    drop_ins: &'a [&'a SshdFile],
    /// The main file without what is ours.
    rest: &'a str,
    main: &'a str,
    /// Whether it says what is wanted: then a file of ours is left alone, comments of others in it included.
    same: bool,
}

fn changes(
    seen: &SshdSeen,
    own: &Own,
    placement: &SshdPlacement,
    standing: &Standing<'_>,
) -> Vec<SshdChange> {
    let mut changes = Vec::new();
    let main = match placement {
        SshdPlacement::Main => own.put_into(standing.rest),
        SshdPlacement::DropIn { .. } | SshdPlacement::Nowhere => standing.rest.to_owned(),
    };
    if main != standing.main {
        changes.push(SshdChange { path: seen.main.clone(), text: Some(main) });
    }
    let ours = match placement {
        SshdPlacement::DropIn { path } => Some(path),
        SshdPlacement::Main | SshdPlacement::Nowhere => None,
    };
    if let Some(path) = ours {
        let old = standing.drop_ins.iter().find(|file| file.path == *path);
        let text = own.drop_in();
        if old.is_none_or(|old| !standing.same && Some(&old.text) != text.as_ref()) {
            changes.push(SshdChange { path: path.clone(), text });
        }
    }
    let others = standing.drop_ins.iter().filter(|file| Some(&file.path) != ours);
    changes.extend(others.map(|file| SshdChange { path: file.path.clone(), text: None }));
    changes
}

fn names(step: &SshdStep) -> Vec<String> {
    step.unset.iter().map(|unset| unset.keyword.clone()).collect()
}

/// Everything that is ours, row by row; what the table does not have is left out.
fn listed(own: &Own) -> Vec<SshdAsked> {
    let row = |criteria: Option<&String>, setting: &SshdSetting| {
        Some(SshdAsked {
            criteria: criteria.cloned(),
            keyword: sshd_keyword(&setting.keyword)?,
            value: setting.value.clone(),
        })
    };
    let blocks = own.blocks.iter().flat_map(|(criteria, settings)| {
        settings.iter().filter_map(move |setting| row(Some(criteria), setting))
    });
    own.global.iter().filter_map(|setting| row(None, setting)).chain(blocks).collect()
}

fn notes(config: &SshdConfig, own: &Own, asked: &[SshdAsked], step: &SshdStep) -> Vec<String> {
    let mut notes = Vec::new();
    // Only of what is new, but judged by all that is ours afterwards.
    if step.settings.iter().any(|s| s.keyword.to_ascii_lowercase().starts_with("clientalive")) {
        let mut alive = own.global.clone();
        // What somebody else sets is set as well.
        for name in ["ClientAliveInterval", "ClientAliveCountMax"] {
            let line = config.global(name).find(|line| !line.ours);
            alive.extend(line.map(|l| SshdSetting { keyword: name.to_owned(), value: l.value.clone() }));
        }
        notes.extend(sshd_notes(&alive));
    }
    for wanted in asked.iter().filter(|wanted| wanted.keyword.cumulative) {
        let name = wanted.keyword.name;
        let foreign = config.global(name).find(|line| !line.ours && line.value != wanted.value);
        if let (None, Some(line)) = (&wanted.criteria, foreign) {
            notes.push(format!(
                "{name} {} adds up with \"{} {}\" of {}: both count",
                wanted.value, line.keyword, line.value, line.place
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
