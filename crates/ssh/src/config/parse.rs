//! From files to statements. Everything is read and checked once, whatever host is asked for later.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::criteria::{Criterion, parse_criteria};
use super::error::ConfigError;
use super::keywords::{self, Key, Keyword};
use super::local::Local;
use super::pattern::{file_matches, in_list, is_glob};
use super::value::{self, Place, Value};
use super::words;
use crate::target::Warning;

/// How deep files may include files, as in ssh.
const MAX_DEPTH: usize = 16;
/// How many files there may be in all: files that include each other twice would never come to an end.
const MAX_FILES: usize = 4096;
/// Larger files are not configurations.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A line of a file, understood.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) place: Place,
    pub(super) what: What,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum What {
    /// What follows is for these hosts.
    Host(Vec<String>),
    /// What follows is for hosts of which all this is true.
    Match(Vec<Criterion>),
    /// Files stand here, one after the other.
    Include(Vec<Vec<Statement>>),
    /// A value.
    Set(&'static Keyword, Value),
}

/// Whose file it is: decides what relative names mean, and what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The user's, or one that was named.
    User,
    /// The machine's.
    System,
}

/// Whether a file's owner and permissions matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    Checked,
    Unchecked,
}

pub(super) struct Reader<'a> {
    local: &'a Local,
    pub(super) warnings: Vec<Warning>,
    /// What `IgnoreUnknown` said so far.
    ignored: Vec<String>,
    files: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(local: &'a Local) -> Self {
        Self { local, warnings: Vec::new(), ignored: Vec::new(), files: 0 }
    }

    /// Reads a file that may be missing.
    pub(super) fn optional(
        &mut self,
        path: &Path,
        owner: Owner,
        guard: Guard,
    ) -> Result<Vec<Statement>, ConfigError> {
        match self.file(path, owner, guard, 0) {
            Err(ConfigError::Read { file, source }) => {
                if source.kind() != io::ErrorKind::NotFound {
                    let text = format!("left out: it cannot be read: {source}");
                    self.warnings.push(Warning { file, line: None, text });
                }
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// Reads a file.
    pub(super) fn file(
        &mut self,
        path: &Path,
        owner: Owner,
        guard: Guard,
        depth: usize,
    ) -> Result<Vec<Statement>, ConfigError> {
        let failed = |source| ConfigError::Read { file: path.to_owned(), source };
        self.files += 1;
        let mut open = File::open(path).map_err(failed)?;
        let metadata = open.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        if guard == Guard::Checked && !self.is_safe(&metadata) {
            return Err(ConfigError::Unsafe { file: path.to_owned(), mode: metadata.mode() & 0o7777 });
        }
        let mut bytes = Vec::new();
        open.by_ref().take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        self.text(&String::from_utf8_lossy(&bytes), &Arc::from(path), owner, depth)
    }

    /// Only its owner and root may have written it.
    fn is_safe(&self, metadata: &fs::Metadata) -> bool {
        let owned = metadata.uid() == 0 || metadata.uid() == self.local.uid;
        let mode = metadata.mode();
        let own_group = self.local.own_group == Some(metadata.gid());
        owned && mode & 0o002 == 0 && (mode & 0o020 == 0 || own_group)
    }

    fn text(
        &mut self,
        text: &str,
        file: &Arc<Path>,
        owner: Owner,
        depth: usize,
    ) -> Result<Vec<Statement>, ConfigError> {
        let mut statements = Vec::new();
        for (line, text) in (1..).zip(text.split('\n')) {
            let place = Place { file: Arc::clone(file), line };
            let what = self.line(text, &place, owner, depth)?;
            statements.extend(what.map(|what| Statement { place, what }));
        }
        Ok(statements)
    }

    fn line(
        &mut self,
        text: &str,
        place: &Place,
        owner: Owner,
        depth: usize,
    ) -> Result<Option<What>, ConfigError> {
        let Some(words::Line { keyword, rest }) = words::keyword(text) else { return Ok(None) };
        let wrong = |text: String| ConfigError::Line { place: place.clone(), text };
        let Some(known) = keywords::find(&keyword) else {
            self.unknown(&keyword, place);
            return Ok(None);
        };
        let name = known.name;
        let wrong_here = |text: String| wrong(format!("{name}: {text}"));
        if rest.is_empty() {
            return Err(wrong_here("an argument is missing".to_owned()));
        }
        let words = words::arguments(&rest).ok_or_else(|| wrong_here("a quote has no end".to_owned()))?;
        Ok(Some(match known.key {
            Key::Host if words.iter().any(String::is_empty) => {
                return Err(wrong_here("a pattern is empty".to_owned()));
            }
            Key::Host => What::Host(words),
            Key::Match => {
                let criteria = parse_criteria(&rest).map_err(wrong_here)?;
                self.cannot_tell(&criteria, place);
                What::Match(criteria)
            }
            Key::Include => {
                value::read(known.shape, &words, &rest).map_err(wrong_here)?;
                What::Include(self.include(&words, place, owner, depth)?)
            }
            key => {
                let value = value::read(known.shape, &words, &rest).map_err(wrong_here)?;
                match (key, &value) {
                    (Key::IgnoreUnknown, Value::Word(list)) => self.ignored.push(list.clone()),
                    (Key::CanonicalizeHostname, Value::Choice(choice)) if *choice != "no" => {
                        let text = "names are not canonicalized here: write them out".to_owned();
                        self.warn(place, text);
                    }
                    _ => {}
                }
                What::Set(known, value)
            }
        }))
    }

    fn warn(&mut self, place: &Place, text: String) {
        self.warnings.push(Warning { file: place.file.to_path_buf(), line: Some(place.line), text });
    }

    fn unknown(&mut self, keyword: &str, place: &Place) {
        if self.ignored.iter().any(|list| in_list(keyword, &list.to_ascii_lowercase())) {
            return;
        }
        let shown: String = keyword.escape_debug().take(60).collect();
        let near = keywords::nearest(keyword).map(|near| format!(", did you mean {near}?"));
        let text = format!("unknown keyword {shown:?} is left out{}", near.unwrap_or_default());
        self.warn(place, text);
    }

    fn cannot_tell(&mut self, criteria: &[Criterion], place: &Place) {
        for criterion in criteria {
            if let Some(word) = criterion.unknown_here() {
                self.warn(place, format!("Match {word} never matches here"));
            }
        }
    }

    fn include(
        &mut self,
        words: &[String],
        place: &Place,
        owner: Owner,
        depth: usize,
    ) -> Result<Vec<Vec<Statement>>, ConfigError> {
        let wrong = |text: &str| ConfigError::Line { place: place.clone(), text: format!("Include: {text}") };
        let mut files = Vec::new();
        for word in words {
            let pattern = self.anchored(word, owner).map_err(|text| wrong(&text))?;
            for path in glob(&pattern) {
                if depth >= MAX_DEPTH || self.files >= MAX_FILES {
                    return Err(wrong("files include files without end"));
                }
                match self.file(&path, owner, Guard::Checked, depth + 1) {
                    Ok(statements) => files.push(statements),
                    // A link to nowhere.
                    Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        self.warn(place, format!("{} is left out: there is no such file", path.display()));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(files)
    }

    /// Relative names stand beside the file of their owner.
    fn anchored(&self, word: &str, owner: Owner) -> Result<String, String> {
        if word.starts_with('/') {
            return Ok(word.to_owned());
        }
        match owner {
            Owner::User if word.starts_with('~') => self.local.tilde(word),
            Owner::User => {
                let folder = self.local.own_folder().ok_or("HOME is not set: write the full path")?;
                Ok(format!("{}/{word}", folder.display()))
            }
            Owner::System if word.starts_with('~') => {
                Err(format!("{word:?}: the machine's file cannot include a user's"))
            }
            Owner::System => Ok(format!("{}/{word}", self.local.system.display())),
        }
    }
}

/// The files that a pattern names, in the order of their names.
fn glob(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if !is_glob(component) {
                next.push(folder.join(component.replace('\\', "")));
                continue;
            }
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            next.extend(names.filter(|name| file_matches(name, component)).map(|name| folder.join(name)));
        }
        found = next;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    found
}
