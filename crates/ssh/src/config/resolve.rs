//! What the statements come to for one host: two passes at most, the first value wins.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::criteria::{Criterion, Test};
use super::error::ConfigError;
use super::keywords::{Key, Keyword};
use super::parse::{Statement, What};
use super::tokens::{Takes, Tokens};
use super::value::{Place, Value};
use super::{Request, SshConfig};

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'c> {
    pub(super) keyword: &'static Keyword,
    pub(super) value: &'c Value,
    pub(super) place: &'c Place,
}

/// What was found for one host.
#[derive(Debug, Default)]
pub(super) struct Values<'c> {
    first: BTreeMap<Key, Found<'c>>,
    /// These add up: `IdentityFile`, `CertificateFile`.
    lists: BTreeMap<Key, Vec<Found<'c>>>,
    /// What has no effect here, the first of each.
    pub(super) inert: Vec<Found<'c>>,
    /// Where we connect to, by the configuration or the request.
    pub(super) host: String,
}

impl<'c> Values<'c> {
    /// The first value of a keyword.
    pub(super) fn get(&self, key: Key) -> Option<Found<'c>> {
        self.first.get(&key).copied()
    }

    /// All values of a keyword whose values add up.
    pub(super) fn all(&self, key: Key) -> &[Found<'c>] {
        self.lists.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The first value, if it is a word.
    pub(super) fn word(&self, key: Key) -> Option<&'c str> {
        match self.get(key)?.value {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The first value, if it is a number.
    pub(super) fn number(&self, key: Key) -> Option<u32> {
        match self.get(key)?.value {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The first value, if it is one of several words.
    pub(super) fn choice(&self, key: Key) -> Option<&'static str> {
        match self.get(key)?.value {
            Value::Choice(choice) => Some(choice),
            _ => None,
        }
    }

    fn set(&mut self, keyword: &'static Keyword, value: &'c Value, place: &'c Place) {
        let found = Found { keyword, value, place };
        match keyword.key {
            Key::Other => {
                if !self.inert.iter().any(|known| known.keyword.name == keyword.name) {
                    self.inert.push(found);
                }
            }
            key @ (Key::IdentityFile | Key::CertificateFile) => {
                let list = self.lists.entry(key).or_default();
                if !list.iter().any(|known| known.value == value) {
                    list.push(found);
                }
            }
            key => {
                self.first.entry(key).or_insert(found);
            }
        }
    }
}

/// Whether a part of the files counts at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Awake,
    /// Included where it does not apply.
    Asleep,
}

/// One walk through the statements.
struct Pass<'c, 'r> {
    config: &'c SshConfig,
    request: &'r Request,
    values: Values<'c>,
    /// What `Host` looks at.
    host: String,
    second: bool,
    wants_second: bool,
}

/// Finds what the files say of a host.
pub(super) fn resolve<'c>(config: &'c SshConfig, request: &Request) -> Result<Values<'c>, ConfigError> {
    let mut pass = Pass {
        config,
        request,
        values: Values::default(),
        host: request.name.clone(),
        second: false,
        wants_second: false,
    };
    pass.walk()?;
    let v4_only = pass.values.choice(Key::AddressFamily) == Some("inet");
    let host = canonical(&pass.host_name()?, v4_only);
    if pass.wants_second || pass.values.choice(Key::CanonicalizeHostname).is_some_and(|choice| choice != "no")
    {
        pass.host.clone_from(&host);
        pass.second = true;
        pass.walk()?;
    }
    pass.values.host = host;
    Ok(pass.values)
}

impl<'c> Pass<'c, '_> {
    fn walk(&mut self) -> Result<(), ConfigError> {
        let config = self.config;
        for file in &config.files {
            self.file(file, Reach::Awake)?;
        }
        Ok(())
    }

    fn file(&mut self, statements: &'c [Statement], reach: Reach) -> Result<(), ConfigError> {
        self.block(statements, reach == Reach::Awake, reach)
    }

    fn block(
        &mut self,
        statements: &'c [Statement],
        mut active: bool,
        reach: Reach,
    ) -> Result<(), ConfigError> {
        for Statement { place, what } in statements {
            match what {
                What::Host(patterns) => active = reach == Reach::Awake && self.is_among(patterns),
                What::Match(criteria) => active = self.fulfils(criteria, place, reach)?,
                What::Include(files) => {
                    let reach = if active { reach } else { Reach::Asleep };
                    for file in files {
                        self.file(file, reach)?;
                    }
                }
                What::Set(keyword, value) => {
                    if active {
                        self.values.set(keyword, value, place);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_among(&self, patterns: &[String]) -> bool {
        let mut found = false;
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(pattern) if super::pattern::matches(&self.host, pattern) => return false,
                Some(_) => {}
                None => found |= super::pattern::matches(&self.host, pattern),
            }
        }
        found
    }

    /// Where we would connect to, as far as is known by now.
    fn host_name(&self) -> Result<String, ConfigError> {
        if self.second {
            return Ok(self.host.clone());
        }
        if let Some(address) = &self.request.address {
            return Ok(address.clone());
        }
        let name = &self.request.name;
        let Some(found) = self.values.get(Key::HostName) else { return Ok(name.clone()) };
        let Value::Word(word) = found.value else { return Ok(name.clone()) };
        let tokens =
            Tokens { local: &self.config.local, host: name, name, alias: name, port: 0, user: "", jump: "" };
        tokens.expand(word, Takes::Name).map_err(|text| self.config.wrong(self.request, found, text))
    }

    fn fulfils(&mut self, criteria: &[Criterion], place: &Place, reach: Reach) -> Result<bool, ConfigError> {
        let mut so = true;
        let host = self.host_name()?;
        for Criterion { negated, test } in criteria {
            let this = match test {
                Test::All => true,
                Test::Final { asks } => {
                    self.wants_second |= asks;
                    self.second
                }
                Test::Host(list) => super::pattern::host_in_list(&host, list),
                Test::OriginalHost(list) => super::pattern::host_in_list(&self.request.name, list),
                Test::User(list) => super::pattern::in_list(self.user(), list),
                Test::LocalUser(list) => super::pattern::in_list(&self.config.local.user, list),
                Test::Tagged(list) => {
                    super::pattern::in_list(self.values.word(Key::Tag).unwrap_or_default(), list)
                }
                // Nothing is run for an answer that does not count.
                Test::Exec(_) if !so || reach == Reach::Asleep => *negated,
                Test::Exec(command) => self.exec(command, &host, place)?,
                Test::Unknown(_) => *negated,
            };
            so &= this != *negated;
        }
        Ok(so && reach == Reach::Awake)
    }

    fn user(&self) -> &str {
        let config = &self.config.local.user;
        let default = self.request.default_user.as_ref().unwrap_or(config);
        self.request.user.as_deref().or_else(|| self.values.word(Key::User)).unwrap_or(default)
    }

    fn exec(&self, command: &str, host: &str, place: &Place) -> Result<bool, ConfigError> {
        let port =
            self.request.port.or_else(|| self.values.number(Key::Port).and_then(|p| p.try_into().ok()));
        let tokens = Tokens {
            local: &self.config.local,
            host,
            name: &self.request.name,
            alias: self.values.word(Key::HostKeyAlias).unwrap_or(host),
            port: port.unwrap_or(22),
            user: self.user(),
            jump: "",
        };
        let wrong =
            |text: String| ConfigError::Line { place: place.clone(), text: format!("Match exec: {text}") };
        let command = tokens.expand(command, Takes::Connection).map_err(wrong)?;
        self.config.commands.succeeds(&self.config.local.shell, &command).map_err(wrong)
    }
}

/// Names are looked up in lower case, addresses in their shortest form.
fn canonical(host: &str, v4_only: bool) -> String {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.to_string();
    }
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    match (address.parse::<Ipv6Addr>(), zone) {
        // Cannot be looked up then.
        (Ok(_), _) if v4_only => host.to_owned(),
        (Ok(address), Some(zone)) => format!("{address}%{zone}"),
        (Ok(address), None) => address.to_string(),
        (Err(_), _) => host.to_ascii_lowercase(),
    }
}
