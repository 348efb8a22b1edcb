//! Which identities one host is offered, and in which order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate};

use crate::algorithms::AlgorithmList;
use crate::identity::key_file::KeyFile;
use crate::identity::{Identity, Offer, certificate};
use crate::key_ring::{Identities, KeyRing, agent_socket};
use crate::target::{Settings, Target, Warning};

/// Why a file is looked at, and so how much is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The target names it: it should exist, and its passphrase is asked for.
    Named,
    /// It is one of the defaults: taken if it is there and open.
    Default,
    /// The same, when there is nothing else: its passphrase is asked for.
    LastResort,
}

pub(super) struct Gathering<'a> {
    ring: &'a KeyRing,
    target: &'a Target,
    settings: &'a Settings,
    /// Plain keys, in the order in which they are offered.
    keys: Vec<Identity>,
    /// Certificates that an agent holds.
    held: Vec<Identity>,
    /// Certificates from files.
    certificates: Vec<(PathBuf, Certificate)>,
    unusable: Vec<String>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(ring: &'a KeyRing, target: &'a Target, settings: &'a Settings) -> Self {
        let (keys, held, certificates, unusable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { ring, target, settings, keys, held, certificates, unusable }
    }

    pub(super) async fn finish(mut self) -> Identities {
        let agent = match agent_socket(self.target, self.settings) {
            Some(socket) => self.ring.agent(socket).await,
            None => Arc::default(),
        };
        let named = &self.target.login.identities;
        for file in named {
            self.add_file(file, Wish::Named, &agent).await;
        }
        if !self.target.login.identities_only {
            self.add_agent(&agent).await;
        }
        let usual = named.is_empty() && self.target.login.default_identities;
        let defaults: &[PathBuf] = if usual { &self.settings.default_identities } else { &[] };
        for file in defaults {
            self.add_file(file, Wish::Default, &agent).await;
        }
        if usual && self.keys.is_empty() && self.held.is_empty() {
            self.unusable.clear();
            for file in defaults {
                self.add_file(file, Wish::LastResort, &agent).await;
            }
        }
        if self.target.login.identities_only {
            let certified = agent.iter().filter(|held| held.is_certificate());
            let ours = certified.filter(|held| self.keys.iter().any(|key| key.key_data() == held.key_data()));
            self.held = ours.cloned().collect();
        }
        for file in &self.target.login.certificates {
            self.add_certificate(file, true).await;
        }
        self.ordered(&agent)
    }

    /// The agent's keys; those of a default file first, for it is likely that they are meant.
    async fn add_agent(&mut self, agent: &[Identity]) {
        let mut likely: Vec<KeyData> = Vec::new();
        for file in &self.settings.default_identities {
            match &*self.ring.read(file).await {
                KeyFile::Plain(key) => likely.push(key.public_key().key_data().clone()),
                KeyFile::Encrypted { public: Some(key), .. } | KeyFile::PublicOnly(key, _) => {
                    likely.push(key.key_data().clone());
                }
                _ => {}
            }
        }
        let (certificates, mut keys): (Vec<_>, Vec<_>) =
            agent.iter().cloned().partition(Identity::is_certificate);
        keys.sort_by_key(|key| !likely.contains(key.key_data()));
        for key in keys {
            self.add_key(key);
        }
        self.held = certificates;
    }

    async fn add_file(&mut self, file: &Path, wish: Wish, agent: &[Identity]) {
        let found = self.ring.read(file).await;
        let held = |public: &KeyData| {
            agent.iter().find(|held| !held.is_certificate() && held.key_data() == public).cloned()
        };
        let key = match &*found {
            KeyFile::Plain(key) => Ok(Identity::of_file(file, Arc::clone(key))),
            KeyFile::Encrypted { text, public } => {
                match public.as_ref().and_then(|public| held(public.key_data())) {
                    Some(held) => Ok(held),
                    None if wish == Wish::Default => Err("needs its passphrase".to_owned()),
                    None => self.ring.unlock(file, text).await,
                }
            }
            KeyFile::PublicOnly(public, why) => held(public.key_data()).ok_or_else(|| (*why).to_owned()),
            KeyFile::Missing if wish == Wish::Named => Err("does not exist".to_owned()),
            KeyFile::Missing => return,
            KeyFile::Unusable(why) => {
                self.ring.warn(Warning { file: file.to_owned(), line: None, text: why.clone() });
                Err(why.clone())
            }
        };
        match key {
            Ok(key) => {
                self.add_key(key);
                self.add_certificate(&certificate::beside(file), false).await;
            }
            Err(why) => self.unusable.push(format!("{} ({why})", file.display())),
        }
    }

    fn add_key(&mut self, key: Identity) {
        if !self.keys.iter().any(|other| other.is_same_offer(&key)) {
            self.keys.push(key);
        }
    }

    async fn add_certificate(&mut self, file: &Path, named: bool) {
        match &*self.ring.read_certificate(file).await {
            Some(Ok(certificate)) => self.certificates.push((file.to_owned(), certificate.clone())),
            Some(Err(why)) => self.unusable.push(format!("{} ({why})", file.display())),
            None if named => self.unusable.push(format!("{} (does not exist)", file.display())),
            None => {}
        }
    }

    /// Every key, with its certificates before it.
    fn ordered(mut self, agent: &[Identity]) -> Identities {
        let mut ordered: Vec<Identity> = Vec::new();
        let mut add = |identity: Identity| {
            if !ordered.iter().any(|other| other.is_same_offer(&identity)) {
                ordered.push(identity);
            }
        };
        let certificates = std::mem::take(&mut self.certificates);
        let (mut with_key, without): (Vec<_>, Vec<_>) =
            certificates.into_iter().partition(|(_, certificate)| {
                self.keys.iter().any(|key| key.key_data() == certificate.public_key())
            });
        // The private half may be the agent's although its plain key is not to be offered.
        for (file, certificate) in without {
            match agent
                .iter()
                .find(|held| !held.is_certificate() && held.key_data() == certificate.public_key())
            {
                Some(held) => add(held.certified(&file, certificate)),
                None => self.unusable.push(format!("{} (there is no private key for it)", file.display())),
            }
        }
        for key in std::mem::take(&mut self.keys) {
            let (own, others): (Vec<_>, Vec<_>) =
                with_key.into_iter().partition(|(_, certificate)| certificate.public_key() == key.key_data());
            with_key = others;
            own.into_iter().for_each(|(file, certificate)| add(key.certified(&file, certificate)));
            self.held.iter().filter(|held| held.key_data() == key.key_data()).cloned().for_each(&mut add);
            add(key);
        }
        self.held.iter().cloned().for_each(&mut add);
        let (mut usable, mut unusable) = (Vec::new(), std::mem::take(&mut self.unusable));
        for identity in ordered {
            match self.judged(identity) {
                Ok(identity) => usable.push(identity),
                Err(why) => unusable.push(why),
            }
        }
        Identities { usable, unusable }
    }

    /// Leaves out what a server would refuse in any case, and what the user does not want to be used.
    fn judged(&self, mut identity: Identity) -> Result<Identity, String> {
        let refused = |why: String| format!("{identity} ({why})");
        if let KeyData::Rsa(rsa) = identity.key_data()
            && rsa.key_size() < self.target.algorithms.least_rsa_bits()
        {
            return Err(refused(format!(
                "an RSA key of {} bits, {} are required",
                rsa.key_size(),
                self.target.algorithms.least_rsa_bits()
            )));
        }
        let accepted =
            AlgorithmList::PublicKey.chosen(self.target.algorithms.public_key.as_deref()).unwrap_or_default();
        if !names(&identity).iter().any(|name| accepted.contains(&name.as_str())) {
            return Err(refused("PubkeyAcceptedAlgorithms leaves out its type".to_owned()));
        }
        if let Offer::Certificate(certificate) = &identity.offer {
            if let Some(flaw) = certificate::flaw(certificate, (self.settings.now)()) {
                return Err(refused(flaw));
            }
            let remark = certificate::remark(certificate, &self.target.user);
            identity.remark = remark;
        }
        Ok(identity)
    }
}

/// The algorithms under which an identity can be offered.
pub(crate) fn names(identity: &Identity) -> Vec<String> {
    let kind = identity.key_data().algorithm();
    let plain: Vec<&str> = match &kind {
        Algorithm::Rsa { .. } => vec!["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
        other => vec![other.as_str()],
    };
    let certified = |name: &&str| {
        let below = name.strip_suffix("@openssh.com").unwrap_or(name);
        format!("{below}-cert-v01@openssh.com")
    };
    if identity.is_certificate() {
        plain.iter().map(certified).collect()
    } else {
        plain.into_iter().map(str::to_owned).collect()
    }
}
