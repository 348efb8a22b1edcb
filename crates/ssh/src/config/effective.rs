//! From what was found to a [`Target`].

use std::path::PathBuf;
use std::time::Duration;

use super::error::ConfigError;
use super::jump::Hop;
use super::keywords::Key;
use super::name_list::assemble;
use super::resolve::{Found, Values, resolve};
use super::tokens::{Takes, Tokens};
use super::value::Value;
use super::{Request, SshConfig};
use crate::algorithms::AlgorithmList;
use crate::options::{
    AddressFamily, Agent, AlgorithmOptions, DnsTrust, LinkOptions, LoginOptions, Route, TrustOptions,
    UnknownHost,
};
use crate::target::Target;

/// How many hosts there may be on the way.
const MAX_WAY: usize = 32;

/// A host on the way to another: what leads to it was said already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By its own configuration.
    Own,
    /// Through the host before it.
    Given,
}

/// What a configuration comes to for one host.
pub(super) struct Effective<'c> {
    pub(super) values: Values<'c>,
    pub(super) target: Target,
}

/// Makes the target of a request; `path` holds the hosts that it is on the way to.
pub(super) fn effective<'c>(
    config: &'c SshConfig,
    request: &Request,
    way: Way,
    path: &mut Vec<String>,
) -> Result<Effective<'c>, ConfigError> {
    check(&request.name, "a host name", is_host_name)?;
    if let Some(user) = &request.user {
        check(user, "a user name", is_user_name)?;
    }
    let values = resolve(config, request)?;
    check(&values.host, "a host name", is_host_name)?;
    let default = request.default_user.as_deref().unwrap_or(&config.local.user);
    let user = request.user.as_deref().or_else(|| values.word(Key::User)).unwrap_or(default).to_owned();
    let port = request.port.or_else(|| values.number(Key::Port).and_then(|port| port.try_into().ok()));
    let mut target = Target::new(&request.name, &values.host, port.unwrap_or(22), user);
    let alias = values.word(Key::HostKeyAlias).map(str::to_ascii_lowercase);
    let maker = Maker { config, request, values: &values, target: &target, alias };
    let (login, trust) = (maker.login()?, maker.trust()?);
    let (algorithms, mut link) = (maker.algorithms(), maker.link());
    if way == Way::Own {
        link.route = maker.route(path)?;
    }
    if let Some(found) = values.get(Key::RefuseConnection) {
        let Value::Command(why) = found.value else {
            return Err(config.wrong(request, found, String::new()));
        };
        return Err(config.wrong(request, found, format!("the configuration refuses this host: {why}")));
    }
    (target.login, target.trust, target.algorithms, target.link) = (login, trust, algorithms, link);
    Ok(Effective { values, target })
}

struct Maker<'m, 'c> {
    config: &'c SshConfig,
    request: &'m Request,
    values: &'m Values<'c>,
    target: &'m Target,
    /// `HostKeyAlias`; host names have no case.
    alias: Option<String>,
}

impl<'c> Maker<'_, 'c> {
    fn tokens(&self) -> Tokens<'_> {
        Tokens {
            local: &self.config.local,
            host: &self.target.address,
            name: &self.request.name,
            alias: self.alias.as_deref().unwrap_or(&self.request.name),
            port: self.target.port,
            user: &self.target.user,
            jump: "",
        }
    }

    fn wrong(&self, found: Found<'_>, text: String) -> ConfigError {
        self.config.wrong(self.request, found, text)
    }

    /// A path: `~`, then tokens and the environment.
    fn path(&self, found: Found<'_>, word: &str) -> Result<PathBuf, ConfigError> {
        let path = self.config.local.tilde(word);
        let path = path.and_then(|path| self.tokens().expand(&path, Takes::Environment));
        path.map(PathBuf::from).map_err(|text| self.wrong(found, text))
    }

    /// The paths of a keyword that may be given several times.
    fn paths(&self, key: Key) -> Result<Vec<PathBuf>, ConfigError> {
        let words = self.values.all(key).iter().filter_map(|found| match found.value {
            Value::Word(word) if !word.eq_ignore_ascii_case("none") => Some((*found, word)),
            _ => None,
        });
        words.map(|(found, word)| self.path(found, word)).collect()
    }

    fn is(&self, key: Key, choice: &str) -> bool {
        self.values.choice(key) == Some(choice)
    }

    fn login(&self) -> Result<LoginOptions, ConfigError> {
        let batch = self.is(Key::BatchMode, "yes");
        let named = self.request.identities.as_ref();
        let identities = named.map_or_else(|| self.paths(Key::IdentityFile), |named| Ok(named.clone()))?;
        let usual = LoginOptions::default();
        Ok(LoginOptions {
            default_identities: named.is_none() && self.values.all(Key::IdentityFile).is_empty(),
            identities,
            only_identity: None,
            certificates: self.paths(Key::CertificateFile)?,
            identities_only: self.is(Key::IdentitiesOnly, "yes"),
            agent: self.agent()?,
            methods: self
                .values
                .word(Key::PreferredAuthentications)
                .map(|list| list.split(',').filter(|method| !method.is_empty()).map(str::to_owned).collect()),
            public_key: !self.is(Key::PubkeyAuthentication, "no"),
            password: !batch && !self.is(Key::PasswordAuthentication, "no"),
            keyboard_interactive: !batch && !self.is(Key::KbdInteractiveAuthentication, "no"),
            password_prompts: self
                .values
                .number(Key::NumberOfPasswordPrompts)
                .unwrap_or(usual.password_prompts),
        })
    }

    fn agent(&self) -> Result<Agent, ConfigError> {
        let Some(found) = self.values.get(Key::IdentityAgent) else { return Ok(Agent::Default) };
        let Value::Word(word) = found.value else { return Ok(Agent::Default) };
        let path = self.path(found, word)?;
        Ok(match path.to_str() {
            Some("none") => Agent::None,
            Some("SSH_AUTH_SOCK") => Agent::Default,
            Some(text) => match text.strip_prefix('$') {
                Some(name) => self
                    .config
                    .local
                    .variables
                    .get(name)
                    .map_or(Agent::None, |path| Agent::Socket(path.into())),
                None => Agent::Socket(path),
            },
            None => Agent::Socket(path),
        })
    }

    fn files(&self, key: Key, takes: Option<Takes>) -> Result<Option<Vec<PathBuf>>, ConfigError> {
        let Some(found) = self.values.get(key) else { return Ok(None) };
        let Value::Words(words) = found.value else { return Ok(None) };
        let path = |word: &String| match takes {
            Some(_) => self.path(found, word),
            None => self.config.local.tilde(word).map(PathBuf::from).map_err(|text| self.wrong(found, text)),
        };
        words.iter().map(path).collect::<Result<_, _>>().map(Some)
    }

    fn trust(&self) -> Result<TrustOptions, ConfigError> {
        let values = self.values;
        let user_files = match &self.request.known_hosts {
            Some(named) => Some(named.clone()),
            None => self.files(Key::UserKnownHostsFile, Some(Takes::Environment))?,
        };
        let revoked = match (values.get(Key::RevokedHostKeys), values.word(Key::RevokedHostKeys)) {
            (Some(found), Some(word)) if !word.eq_ignore_ascii_case("none") => vec![self.path(found, word)?],
            _ => Vec::new(),
        };
        let command = match values.get(Key::KnownHostsCommand) {
            Some(found @ Found { value: Value::Command(command), .. })
                if !command.eq_ignore_ascii_case("none") =>
            {
                let expanded = self.tokens().expand(command, Takes::Later);
                Some(expanded.map_err(|text| self.wrong(found, text))?)
            }
            _ => None,
        };
        Ok(TrustOptions {
            user_files,
            global_files: self.files(Key::GlobalKnownHostsFile, None)?,
            alias: self.alias.clone(),
            unknown: match values.choice(Key::StrictHostKeyChecking) {
                Some("accept-new" | "no") => UnknownHost::Record,
                _ => UnknownHost::Refuse,
            },
            dns: match values.choice(Key::VerifyHostKeyDns) {
                Some("yes") => DnsTrust::Yes,
                Some("ask") => DnsTrust::Report,
                _ => DnsTrust::No,
            },
            revoked,
            command,
            learn: self.is(Key::UpdateHostKeys, "yes"),
            hash: self.is(Key::HashKnownHosts, "yes"),
        })
    }

    fn algorithms(&self) -> AlgorithmOptions {
        let list = |key: Key, ours: AlgorithmList| {
            let word = self.values.word(key)?;
            Some(assemble(word, ours.defaults(), ours.on_request()))
        };
        AlgorithmOptions {
            key_exchange: list(Key::KexAlgorithms, AlgorithmList::KeyExchange),
            host_key: list(Key::HostKeyAlgorithms, AlgorithmList::HostKey),
            cipher: list(Key::Ciphers, AlgorithmList::Cipher),
            mac: list(Key::Macs, AlgorithmList::Mac),
            public_key: list(Key::PubkeyAcceptedAlgorithms, AlgorithmList::PublicKey),
            // It can only be raised.
            rsa_bits: self.values.number(Key::RequiredRsaSize).map(|bits| bits.max(1024)),
        }
    }

    fn link(&self) -> LinkOptions {
        let values = self.values;
        let time = |key: Key| match values.get(key)?.value {
            Value::Time(Some(seconds)) if *seconds > 0 => Some(Duration::from_secs((*seconds).into())),
            _ => None,
        };
        LinkOptions {
            connect_timeout: time(Key::ConnectTimeout),
            keepalive: time(Key::ServerAliveInterval),
            keepalive_max: values.number(Key::ServerAliveCountMax).and_then(|count| count.try_into().ok()),
            family: match values.choice(Key::AddressFamily) {
                Some("inet") => AddressFamily::V4,
                Some("inet6") => AddressFamily::V6,
                _ => AddressFamily::Any,
            },
            bind: values.word(Key::BindAddress).map(str::to_owned),
            route: Route::Direct,
        }
    }

    fn route(&self, path: &mut Vec<String>) -> Result<Route, ConfigError> {
        let Some(found) = self.values.get(Key::Proxy) else { return Ok(Route::Direct) };
        match found.value {
            Value::Command(command) if !command.eq_ignore_ascii_case("none") => {
                let expanded = self.tokens().expand(command, Takes::Connection);
                expanded.map(Route::Command).map_err(|text| self.wrong(found, text))
            }
            Value::Jump(hops) if !hops.is_empty() => {
                let host = shown(self.target);
                if path.contains(&host) || path.len() >= MAX_WAY {
                    return Err(circle(path, host));
                }
                path.push(host);
                let hosts = self.way(found, hops, path);
                path.pop();
                hosts.map(Route::Jump)
            }
            _ => Ok(Route::Direct),
        }
    }

    /// The hosts on the way, the first first. How that one is reached is its own affair, and may add others.
    fn way(
        &self,
        found: Found<'_>,
        hops: &[Hop],
        path: &mut Vec<String>,
    ) -> Result<Vec<Target>, ConfigError> {
        let mut hosts: Vec<Target> = Vec::with_capacity(hops.len());
        for (number, hop) in hops.iter().enumerate() {
            let expand = |text: &str| {
                let expanded = self.tokens().expand(text, Takes::Connection);
                expanded.map_err(|text| self.wrong(found, text))
            };
            let request = Request {
                user: hop.user.as_deref().map(expand).transpose()?,
                port: hop.port,
                ..Request::new(&expand(&hop.host)?)
            };
            let way = if number == 0 { Way::Own } else { Way::Given };
            let mut target = effective(self.config, &request, way, path)?.target;
            let host = shown(&target);
            if path.contains(&host) {
                return Err(circle(path, host));
            }
            if let Route::Jump(_) = target.link.route
                && let Route::Jump(before) = std::mem::take(&mut target.link.route)
            {
                hosts.extend(before);
            }
            hosts.push(target);
        }
        Ok(hosts)
    }
}

fn circle(path: &[String], again: String) -> ConfigError {
    let way = path.iter().cloned().chain([again]).collect();
    ConfigError::Circle { host: path.first().cloned().unwrap_or_default(), way }
}

/// A host on a way, as one recognises it again.
fn shown(target: &Target) -> String {
    let address =
        if target.address.contains(':') { format!("[{}]", target.address) } else { target.address.clone() };
    format!("{}@{address}:{}", target.user, target.port)
}

fn check(text: &str, what: &'static str, is_fine: fn(&str) -> bool) -> Result<(), ConfigError> {
    if is_fine(text) { Ok(()) } else { Err(ConfigError::Name { text: text.to_owned(), what }) }
}

/// As ssh decides: nothing that a shell could take for something else.
fn is_host_name(text: &str) -> bool {
    let odd = |c: char| "'`\"$\\;&<>|(){}".contains(c) || c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.starts_with('-') && !text.contains(odd)
}

/// The same for user names, in which a few more letters are allowed.
fn is_user_name(text: &str) -> bool {
    let odd = |c: char| "'`\";&<>|(){}".contains(c) || c.is_control();
    let option = text.split(char::is_whitespace).skip(1).any(|word| word.starts_with('-'));
    !text.is_empty() && !text.starts_with('-') && !text.contains(odd) && !option && !text.ends_with('\\')
}
