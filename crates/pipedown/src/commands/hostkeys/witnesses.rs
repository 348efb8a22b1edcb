//! Who may say something about a host's keys, and what they say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pipedown_ssh::{
    Anchors, DnsFinding, DnsVoice, HostKey, HostKeyProblem, KnownHosts, SshfpLookup, Target, Verdict,
    read_keys,
};

use super::collect::{name_of, read};
use super::published;
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// How long a name server has for each answer.
const DNS_LIMIT: Duration = Duration::from_secs(5);

/// Where DNS is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "DNS")]
pub struct DnsArgs {
    /// Name server to ask, recursive or authoritative [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "IP[:PORT]")]
    dns_server: Vec<String>,
    /// File of DNSKEY records to believe, instead of the root zone's keys
    #[arg(long, value_name = "FILE")]
    trust_anchor: Option<PathBuf>,
}

impl DnsArgs {
    /// Ready to ask.
    pub fn lookup(&self) -> Result<SshfpLookup, Stop> {
        let failed = |e: pipedown_ssh::DnsError| Stop::failed(e.to_string());
        let anchors = match &self.trust_anchor {
            Some(file) => Anchors::parse(file, &read(file)?).map_err(|e| Stop::bad_input(e.to_string()))?,
            None => Anchors::root(),
        };
        let servers = if self.dns_server.is_empty() {
            let conf = read(Path::new("/etc/resolv.conf"))?;
            SshfpLookup::servers_of(&conf).map_err(|e| failed(e).hint("name one with --dns-server"))?
        } else {
            self.dns_server.iter().map(|given| server(given)).collect::<Result<_, _>>()?
        };
        SshfpLookup::new(servers, &anchors, DNS_LIMIT).map_err(failed)
    }
}

fn server(given: &str) -> Result<SocketAddr, Stop> {
    let with_port = given.parse().ok();
    with_port.or_else(|| Some(SocketAddr::new(given.trim_matches(['[', ']']).parse().ok()?, 53))).ok_or_else(
        || {
            Stop::usage(format!("{given} is no address of a name server"))
                .hint("192.0.2.53, 127.0.0.1:5353 or [2001:db8::1]:53")
        },
    )
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    KnownHosts,
    Dns,
    List,
    Authority,
    Console,
}

impl Source {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::KnownHosts => "known_hosts",
            Self::Dns => "sshfp",
            Self::List => "list",
            Self::Authority => "ca",
            Self::Console => "console-output",
        }
    }
}

/// What a source says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    pub source: Source,
    pub voice: DnsVoice,
    pub said: String,
    pub hint: Option<String>,
}

/// The sources that are asked.
#[derive(Default)]
pub struct Witnesses {
    known: Option<Files>,
    dns: Option<SshfpLookup>,
    list: Option<(String, KnownHosts)>,
    authorities: Option<(PathBuf, Vec<HostKey>)>,
    console: Option<(PathBuf, Vec<String>)>,
}

/// known_hosts files, each set of them read once.
#[derive(Default)]
struct Files {
    usual: Vec<PathBuf>,
    read: BTreeMap<Vec<PathBuf>, KnownHosts>,
}

impl Witnesses {
    /// Asks the known_hosts files of each target.
    pub fn ask_known_hosts(&mut self, around: &Surroundings, targets: &[Target]) {
        let settings = around.home().map(pipedown_ssh::Settings::for_home).unwrap_or_default();
        let usual = [settings.default_known_hosts, settings.default_global_known_hosts].concat();
        let mut files = Files { usual, read: BTreeMap::new() };
        for target in targets {
            let wanted = files.of(target);
            files.read.entry(wanted).or_insert_with_key(|files| KnownHosts::read(files));
        }
        self.known = Some(files);
    }

    /// Asks DNS.
    pub fn ask_dns(&mut self, dns: SshfpLookup) {
        self.dns = Some(dns);
    }

    /// Asks a published list.
    pub async fn ask_list(&mut self, list: &str) -> Result<(), Stop> {
        self.list = Some((list.to_owned(), published::list(list).await?));
        Ok(())
    }

    /// Asks host certificates, signed by the keys in a file.
    pub fn ask_authorities(&mut self, file: &Path) -> Result<(), Stop> {
        let keys: Vec<_> =
            read_keys(file, read(file)?.as_bytes()).into_iter().map(|listed| listed.key).collect();
        if keys.is_empty() {
            return Err(Stop::bad_input(format!("{} holds no key", file.display()))
                .hint("the public key of the authority that signs host keys, as ssh-keygen writes it"));
        }
        self.authorities = Some((file.to_owned(), keys));
        Ok(())
    }

    /// Asks what one host has printed on its console.
    pub fn ask_console(&mut self, file: &Path) -> Result<(), Stop> {
        let fingerprints = published::fingerprints(&read(file)?);
        if fingerprints.is_empty() {
            return Err(Stop::bad_input(format!("{} holds neither a fingerprint nor a key", file.display()))
                .hint("lines of `ssh-keygen -l`, or cloud-init's SSH HOST KEY blocks"));
        }
        self.console = Some((file.to_owned(), fingerprints));
        Ok(())
    }

    /// Whether certificates are needed.
    pub fn wants_certificates(&self) -> bool {
        self.authorities.is_some()
    }

    /// What DNS says about a host; `None` if it is not asked.
    pub async fn dns(&self, target: &Target) -> Option<DnsFinding> {
        let dns = self.dns.as_ref()?;
        let name =
            if target.address.parse::<std::net::IpAddr>().is_ok() { &target.name } else { &target.address };
        Some(dns.find(name).await)
    }

    /// What everybody says about one of a host's keys.
    pub fn opinions(&self, host: &Shown<'_>, key: &HostKey, now: u64) -> Vec<Opinion> {
        let known = self.known.as_ref().and_then(|files| files.opinion(host, key));
        let dns = host.dns.map(|finding| {
            let verdict = finding.judge(key);
            opinion(Source::Dns, verdict.voice(), verdict.to_string()).hint(verdict.hint())
        });
        let list = self.list.as_ref().map(|(_, list)| compared(Source::List, list, host, key));
        let authority = self.authorities.as_ref().map(|(_, keys)| certified(keys, host, key, now));
        let console = self.console.as_ref().map(|(_, fingerprints)| printed(fingerprints, key));
        [known, dns, list, authority, console].into_iter().flatten().collect()
    }
}

/// What a host has shown, and what DNS says about it.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    pub target: &'a Target,
    pub certificates: &'a [HostKey],
    pub dns: Option<&'a DnsFinding>,
}

fn opinion(source: Source, voice: DnsVoice, said: impl Into<String>) -> Opinion {
    Opinion { source, voice, said: said.into(), hint: None }
}

impl Opinion {
    fn hint(mut self, hint: Option<&str>) -> Self {
        self.hint = hint.map(str::to_owned);
        self
    }
}

impl Files {
    fn of(&self, target: &Target) -> Vec<PathBuf> {
        let trust = &target.trust;
        match (&trust.user_files, &trust.global_files) {
            (None, None) => self.usual.clone(),
            (user, global) => [user.clone(), global.clone()].into_iter().flatten().flatten().collect(),
        }
    }

    fn opinion(&self, host: &Shown<'_>, key: &HostKey) -> Option<Opinion> {
        let known = self.read.get(&self.of(host.target))?;
        Some(compared(Source::KnownHosts, known, host, key))
    }
}

/// What a list of names and keys says about a key.
fn compared(source: Source, list: &KnownHosts, host: &Shown<'_>, key: &HostKey) -> Opinion {
    let target = host.target;
    let alias = target.trust.alias.as_deref();
    let names: Vec<&str> = match alias {
        Some(alias) => vec![alias],
        None if target.address == target.name => vec![&target.name],
        None => vec![&target.name, &target.address],
    };
    let known = list.find(&names, if alias.is_some() { 22 } else { target.port });
    match known.check(key) {
        Verdict::Trusted { place } => opinion(source, DnsVoice::Vouches, place.to_string()),
        Verdict::Refused(refusal) => match refusal.problem {
            HostKeyProblem::Unknown { .. } => opinion(source, DnsVoice::Silent, "does not know the host"),
            HostKeyProblem::Changed { known } => {
                let same: Vec<_> =
                    known.iter().filter(|(_, known)| known.algorithm() == key.algorithm()).collect();
                let Some((place, other)) = same.first() else {
                    return opinion(source, DnsVoice::Silent, "knows keys of other types only");
                };
                let hint = format!(
                    "find out on the host's console which key is right; if the new one is: `pipedown hostkeys remove {}`",
                    name_of(target)
                );
                opinion(source, DnsVoice::Contradicts, format!("{place} says {}", other.fingerprint()))
                    .hint(Some(&hint))
            }
            _ => opinion(source, DnsVoice::Contradicts, refusal.to_string()),
        },
    }
}

/// What the authorities' certificates say about a key.
fn certified(authorities: &[HostKey], host: &Shown<'_>, key: &HostKey, now: u64) -> Opinion {
    let silent = |said: String| opinion(Source::Authority, DnsVoice::Silent, said);
    let certificates = host.certificates.iter().filter_map(HostKey::certificate);
    let Some(certificate) = certificates.into_iter().find(|certificate| certificate.key == *key) else {
        return silent("the host shows no certificate for it".to_owned());
    };
    if !authorities.contains(&certificate.authority) {
        return silent(format!(
            "its certificate is another authority's, {}",
            certificate.authority.fingerprint()
        ));
    }
    let name = host.target.trust.alias.as_deref().unwrap_or(&host.target.name).to_ascii_lowercase();
    let by_name = certificate.judge(&name, now);
    match by_name.or_else(|problem| certificate.judge(&host.target.address, now).map_err(|_| problem)) {
        Ok(()) => opinion(
            Source::Authority,
            DnsVoice::Vouches,
            format!("certificate {}", certificate.key_id.escape_debug()),
        ),
        Err(problem) => silent(format!("its certificate {problem}")),
    }
}

/// What a host has printed about its own keys. Keys that it did not print are another host's.
fn printed(fingerprints: &[String], key: &HostKey) -> Opinion {
    if fingerprints.contains(&key.fingerprint()) {
        return opinion(Source::Console, DnsVoice::Vouches, "printed on the console");
    }
    opinion(Source::Console, DnsVoice::Silent, "not printed on the console")
}
