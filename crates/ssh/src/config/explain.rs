//! The values of one host in words, with where they come from.

use std::path::PathBuf;

use super::Request;
use super::effective::Effective;
use super::keywords::{Key, name_of};
use super::resolve::Found;
use super::value::{Place, Value};
use crate::algorithms::AlgorithmList;
use crate::options::{AddressFamily, Agent, DnsTrust, Route, UnknownHost};
use crate::target::{Settings, Target};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File(Place),
    /// It was given with the [`Request`].
    Given,
    /// Nobody said anything.
    Default,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The keyword, as the manual page writes it.
    pub keyword: &'static str,
    /// What it comes to; nothing where nothing is set and nothing is the default.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Why it has no effect here, if it has none.
    pub note: Option<&'static str>,
}

/// Tells every value of a host, in a fixed order, and at the end what has no effect.
pub(super) fn explain(
    request: &Request,
    effective: &Effective<'_>,
    settings: &Settings,
) -> Vec<EffectiveSetting> {
    let mut rows = Rows { request, effective, settings, rows: Vec::new() };
    rows.address(&effective.target);
    rows.link(&effective.target);
    rows.login(&effective.target);
    rows.trust(&effective.target);
    rows.algorithms(&effective.target);
    rows.inert();
    rows.rows
}

struct Rows<'e, 'c> {
    request: &'e Request,
    effective: &'e Effective<'c>,
    settings: &'e Settings,
    rows: Vec<EffectiveSetting>,
}

impl<'c> Rows<'_, 'c> {
    fn push(&mut self, key: Key, value: Option<String>, origin: Origin) {
        let value = value.or_else(|| usual(key, self.settings));
        self.rows.push(EffectiveSetting { keyword: name_of(key), value, origin, note: None });
    }

    fn found(&self, key: Key) -> Option<Found<'c>> {
        self.effective.values.get(key)
    }

    fn origin(&self, key: Key) -> Origin {
        self.found(key).map_or(Origin::Default, |found| Origin::File(found.place.clone()))
    }

    /// A value that only the configuration can give.
    fn value(&mut self, key: Key, value: impl Into<Option<String>>) {
        let origin = self.origin(key);
        self.push(key, value.into(), origin);
    }

    /// A value that the request can give as well.
    fn given(&mut self, key: Key, value: String, given: bool) {
        let origin = if given { Origin::Given } else { self.origin(key) };
        self.push(key, Some(value), origin);
    }

    fn address(&mut self, target: &Target) {
        let request = self.request;
        self.given(Key::HostName, target.address.clone(), request.address.is_some());
        self.given(Key::Port, target.port.to_string(), request.port.is_some());
        self.given(Key::User, target.user.clone(), request.user.is_some());
    }

    fn link(&mut self, target: &Target) {
        let link = &target.link;
        let way = |hosts: &[Target]| hosts.iter().map(hop).collect::<Vec<_>>().join(",");
        let (keyword, value) = match &link.route {
            Route::Direct => {
                (self.found(Key::Proxy).map_or("ProxyJump", |f| f.keyword.name), "none".to_owned())
            }
            Route::Jump(hosts) => ("ProxyJump", way(hosts)),
            Route::Command(command) => ("ProxyCommand", command.clone()),
        };
        let origin = self.origin(Key::Proxy);
        self.rows.push(EffectiveSetting { keyword, value: Some(value), origin, note: None });
        let family = match link.family {
            AddressFamily::Any => "any",
            AddressFamily::V4 => "inet",
            AddressFamily::V6 => "inet6",
        };
        self.value(Key::AddressFamily, family.to_owned());
        self.value(Key::BindAddress, link.bind.clone());
        self.value(Key::ConnectTimeout, link.connect_timeout.map(|t| format!("{} s", t.as_secs())));
        self.value(Key::ServerAliveInterval, link.keepalive.map(|t| format!("{} s", t.as_secs())));
        self.value(Key::ServerAliveCountMax, link.keepalive_max.map(|count| count.to_string()));
    }

    fn login(&mut self, target: &Target) {
        let login = &target.login;
        let given = self.request.identities.is_some();
        self.list(Key::IdentityFile, &login.identities, given, login.default_identities);
        self.list(Key::CertificateFile, &login.certificates, false, true);
        self.value(Key::IdentitiesOnly, yes_no(login.identities_only));
        let agent = match &login.agent {
            Agent::Default => "SSH_AUTH_SOCK".to_owned(),
            Agent::None => "none".to_owned(),
            Agent::Socket(path) => path.display().to_string(),
        };
        self.value(Key::IdentityAgent, agent);
        if let Some(batch) = self.effective.values.choice(Key::BatchMode) {
            self.value(Key::BatchMode, batch.to_owned());
        }
        self.value(Key::PreferredAuthentications, login.methods.as_ref().map(|list| list.join(",")));
        self.value(Key::PubkeyAuthentication, yes_no(login.public_key));
        self.value(Key::PasswordAuthentication, yes_no(login.password));
        self.value(Key::KbdInteractiveAuthentication, yes_no(login.keyboard_interactive));
        self.value(Key::NumberOfPasswordPrompts, login.password_prompts.to_string());
    }

    /// Files of a keyword that adds up: a row for each.
    fn list(&mut self, key: Key, files: &[PathBuf], given: bool, usual: bool) {
        let named = self.effective.values.all(key);
        if given {
            return self.push(key, Some(joined(files)), Origin::Given);
        }
        if named.is_empty() && usual {
            return self.push(key, None, Origin::Default);
        }
        let mut files = files.iter();
        for found in named {
            let none = matches!(found.value, Value::Word(word) if word.eq_ignore_ascii_case("none"));
            let value =
                if none { Some("none".to_owned()) } else { files.next().map(|f| f.display().to_string()) };
            self.push(key, value, Origin::File(found.place.clone()));
        }
    }

    fn files(&mut self, key: Key, files: Option<&Vec<PathBuf>>, given: bool) {
        let shown = files.map(|files| match files.as_slice() {
            [] => "none".to_owned(),
            files => joined(files),
        });
        let origin = if given { Origin::Given } else { self.origin(key) };
        self.push(key, shown, origin);
    }

    fn trust(&mut self, target: &Target) {
        let trust = &target.trust;
        self.files(Key::UserKnownHostsFile, trust.user_files.as_ref(), self.request.known_hosts.is_some());
        self.files(Key::GlobalKnownHostsFile, trust.global_files.as_ref(), false);
        self.value(Key::HostKeyAlias, trust.alias.clone());
        let unknown = match trust.unknown {
            UnknownHost::Refuse => "yes",
            UnknownHost::Record => "accept-new",
        };
        self.value(Key::StrictHostKeyChecking, unknown.to_owned());
        let dns = match trust.dns {
            DnsTrust::No => "no",
            DnsTrust::Report => "ask",
            DnsTrust::Yes => "yes",
        };
        self.value(Key::VerifyHostKeyDns, dns.to_owned());
        self.value(Key::RevokedHostKeys, trust.revoked.first().map(|file| file.display().to_string()));
        self.value(Key::KnownHostsCommand, trust.command.clone());
        self.value(Key::UpdateHostKeys, yes_no(trust.learn));
        self.value(Key::HashKnownHosts, yes_no(trust.hash));
    }

    fn algorithms(&mut self, target: &Target) {
        let algorithms = &target.algorithms;
        for (key, list) in [
            (Key::KexAlgorithms, &algorithms.key_exchange),
            (Key::HostKeyAlgorithms, &algorithms.host_key),
            (Key::Ciphers, &algorithms.cipher),
            (Key::Macs, &algorithms.mac),
            (Key::PubkeyAcceptedAlgorithms, &algorithms.public_key),
        ] {
            self.value(key, list.as_ref().map(|list| list.join(",")));
        }
        self.value(Key::RequiredRsaSize, algorithms.rsa_bits.map(|bits| bits.to_string()));
    }

    fn inert(&mut self) {
        for found in &self.effective.values.inert {
            let value = match found.value {
                Value::Words(words) => Some(words.join(" ")),
                _ => None,
            };
            let origin = Origin::File(found.place.clone());
            let (keyword, note) = (found.keyword.name, found.keyword.inert);
            self.rows.push(EffectiveSetting { keyword, value, origin, note });
        }
    }
}

/// What is done when nothing is said.
fn usual(key: Key, settings: &Settings) -> Option<String> {
    let ours = |list: AlgorithmList| list.defaults().join(",");
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    Some(match key {
        Key::ConnectTimeout => seconds(settings.deadlines.connect),
        Key::ServerAliveInterval => seconds(settings.keepalive),
        Key::ServerAliveCountMax => settings.keepalive_max.to_string(),
        Key::IdentityFile => joined(&settings.default_identities),
        Key::UserKnownHostsFile => joined(&settings.default_known_hosts),
        Key::GlobalKnownHostsFile => joined(&settings.default_global_known_hosts),
        Key::KexAlgorithms => ours(AlgorithmList::KeyExchange),
        Key::HostKeyAlgorithms => ours(AlgorithmList::HostKey),
        Key::Ciphers => ours(AlgorithmList::Cipher),
        Key::Macs => ours(AlgorithmList::Mac),
        Key::PubkeyAcceptedAlgorithms => ours(AlgorithmList::PublicKey),
        _ => return None,
    })
}

fn joined(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
}

fn yes_no(so: bool) -> String {
    if so { "yes" } else { "no" }.to_owned()
}

fn hop(target: &Target) -> String {
    let address =
        if target.address.contains(':') { format!("[{}]", target.address) } else { target.address.clone() };
    format!("{}@{address}:{}", target.user, target.port)
}
