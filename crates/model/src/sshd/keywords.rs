//! The keywords of sshd_config(5) up to OpenSSH 10.0, each declared once.

use super::value::{SshdValue, SshdValue::*};
use super::{SshdSetting, SshdVersion};

/// How a keyword can shut somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SshdNarrows {
    /// It says who may log in.
    Who,
    /// It says by which means: authentication methods, where keys are found, which of them count, how long and often.
    Means,
    /// It says what a session may do once it is there.
    Session,
    /// It says how sshd is reached at all: addresses, algorithms of the connection, how many at a time.
    Reach,
}

/// A keyword of sshd_config(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshdKeyword {
    /// As the manual page writes it.
    pub name: &'static str,
    /// Other names for the same thing, older ones.
    pub aliases: &'static [&'static str],
    /// What its values look like.
    pub value: SshdValue,
    /// The first release that has it under this name; [`SshdVersion::OLD`]: all that are looked after.
    pub since: SshdVersion,
    /// The first release that takes it in a Match block; none: never.
    pub in_match: Option<SshdVersion>,
    /// Whether several lines add up; otherwise the first one counts.
    pub cumulative: bool,
    /// How it can shut somebody out.
    pub narrows: Option<SshdNarrows>,
    /// The release since which it has no effect any more.
    pub until: Option<SshdVersion>,
    /// What to use instead of a keyword without effect.
    pub instead: Option<&'static str>,
    /// An alias that older releases need, the release that made it an alias, and whether Match blocks need it too.
    renamed: Option<(&'static str, SshdVersion, bool)>,
}

const fn row(name: &'static str, value: SshdValue) -> SshdKeyword {
    SshdKeyword {
        name,
        aliases: &[],
        value,
        since: SshdVersion::OLD,
        in_match: None,
        cumulative: false,
        narrows: None,
        until: None,
        instead: None,
        renamed: None,
    }
}

/// Without effect since a release.
const fn gone(name: &'static str, major: u16, minor: u16, instead: Option<&'static str>) -> SshdKeyword {
    SshdKeyword { until: Some(SshdVersion::new(major, minor)), instead, ..row(name, Text) }
}

impl SshdKeyword {
    const fn since(self, major: u16, minor: u16) -> Self {
        let version = SshdVersion::new(major, minor);
        let in_match = if self.in_match.is_some() { Some(version) } else { None };
        Self { since: version, in_match, ..self }
    }

    const fn matched(self) -> Self {
        Self { in_match: Some(SshdVersion::OLD), ..self }
    }

    const fn matched_since(self, major: u16, minor: u16) -> Self {
        Self { in_match: Some(SshdVersion::new(major, minor)), ..self }
    }

    const fn adds(self) -> Self {
        Self { cumulative: true, ..self }
    }

    const fn narrows(self, how: SshdNarrows) -> Self {
        Self { narrows: Some(how), ..self }
    }

    const fn was(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn renamed(self, old: &'static str, major: u16, minor: u16, in_match: bool) -> Self {
        Self { renamed: Some((old, SshdVersion::new(major, minor), in_match)), ..self }
    }

    /// Whether `name` is this keyword's name or one of its aliases, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    }

    /// Checks a value as it stands in the file.
    ///
    /// # Errors
    /// Says what is allowed, as a fragment that goes on after the keyword.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if let Some(until) = self.until {
            let instead = self.instead.map(|name| format!("; use {name}")).unwrap_or_default();
            return Err(format!("has had no effect since OpenSSH {until}{instead}"));
        }
        self.value.check(value)?;
        if self.name == "ClientAliveCountMax" && value.trim_matches(['"', '\'', ' ']).parse() == Ok(0u64) {
            return Err(
                "must be at least 1: since OpenSSH 8.2 a count of 0 means that sshd never drops a dead \
                        connection, whatever the interval"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The first release that takes this keyword with this value, and what in it is that new: the keyword, or a word of the
    /// value. None when all releases that are looked after take it.
    pub fn needs(&self, value: &str) -> Option<(SshdVersion, String)> {
        let words = value.split([' ', '\t', ',', ':', '+', '^', '"']);
        let later = words.flat_map(|word| LATER.iter().filter(move |(_, later, _)| *later == word));
        let later = later.filter(|(keyword, ..)| *keyword == self.name);
        let word = later.map(|(_, word, version)| (*version, (*word).to_owned())).max();
        let renamed = self.renamed.is_some_and(|(_, version, _)| version == self.since);
        let own = (self.since > SshdVersion::OLD && !renamed).then(|| (self.since, self.name.to_owned()));
        own.into_iter().chain(word).max_by_key(|(version, _)| *version)
    }

    /// The name under which a host of this release takes the keyword, in a Match block or outside.
    ///
    /// `KbdInteractiveAuthentication` alone has no effect before 8.7, where `ChallengeResponseAuthentication` switches it on.
    pub fn spelling(&self, host: SshdVersion, in_match: bool) -> &'static str {
        match self.renamed {
            Some((old, version, also_in_match)) if host < version && (also_in_match || !in_match) => old,
            _ => self.name,
        }
    }

    /// Whether a host of this release takes the keyword in a Match block.
    pub fn allowed_in_match(&self, host: SshdVersion) -> bool {
        self.in_match.is_some_and(|since| host >= since || self.renamed.is_some())
    }
}

/// Finds a keyword by its name or an alias of it, in any case.
pub fn sshd_keyword(name: &str) -> Option<&'static SshdKeyword> {
    KEYWORDS.iter().find(|keyword| keyword.is(name))
}

/// All keywords, those without effect included.
pub fn sshd_keywords() -> &'static [SshdKeyword] {
    KEYWORDS
}

/// The known keyword that is most like an unknown one, if one is.
pub fn nearest_sshd_keyword(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let names = KEYWORDS.iter().filter(|k| k.until.is_none());
    let names = names.flat_map(|k| std::iter::once(&k.name).chain(k.aliases).map(|name| (*name, k.name)));
    let scored = names.map(|(name, known)| (strsim::jaro_winkler(&lower, &name.to_ascii_lowercase()), known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= 0.85).then_some(best.1)
}

/// What somebody who sets these together should know; nothing of it is an error.
pub fn sshd_notes(settings: &[SshdSetting]) -> Vec<String> {
    let set = |name: &str| settings.iter().find(|s| s.keyword.eq_ignore_ascii_case(name)).map(|s| &s.value);
    let mut notes = Vec::new();
    match (set("ClientAliveInterval"), set("ClientAliveCountMax")) {
        (Some(interval), None) if interval.trim() != "0" => notes.push(format!(
            "ClientAliveInterval {interval} without ClientAliveCountMax: what the host has stays, by default 3 requests without an \
             answer before sshd drops the connection"
        )),
        (None, Some(count)) => notes.push(format!(
            "ClientAliveCountMax {count} without ClientAliveInterval: where the host has no interval (the default is 0), sshd never asks"
        )),
        _ => {}
    }
    notes
}

/// Words of values that came later than their keyword.
const LATER: &[(&str, &str, SshdVersion)] = &[
    ("KexAlgorithms", "sntrup761x25519-sha512@openssh.com", SshdVersion::new(8, 5)),
    ("KexAlgorithms", "mlkem768x25519-sha256", SshdVersion::new(9, 9)),
    ("KexAlgorithms", "sntrup761x25519-sha512", SshdVersion::new(9, 9)),
    ("PerSourcePenalties", "refuseconnection", SshdVersion::new(9, 9)),
];

const FORWARD: SshdValue = Words(&["yes", "no", "all", "local", "remote"]);
const LEVELS: SshdValue =
    Words(&["QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "SILENT"]);
const FACILITIES: SshdValue = Words(&[
    "DAEMON", "USER", "AUTH", "AUTHPRIV", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5",
    "LOCAL6", "LOCAL7",
]);
const ROOT: SshdValue =
    Words(&["yes", "no", "prohibit-password", "without-password", "forced-commands-only"]);
const WHO: SshdNarrows = SshdNarrows::Who;
const MEANS: SshdNarrows = SshdNarrows::Means;
const SESSION: SshdNarrows = SshdNarrows::Session;
const REACH: SshdNarrows = SshdNarrows::Reach;

/// In the order of the manual page. Which are allowed in Match blocks was asked of 8.4, 9.2 and 10.0.
const KEYWORDS: &[SshdKeyword] = &[
    row("AcceptEnv", EnvNames).matched().adds(),
    row("AddressFamily", Words(&["any", "inet", "inet6"])).narrows(REACH),
    row("AllowAgentForwarding", Flag).matched(),
    row("AllowGroups", Groups).matched().adds().narrows(WHO),
    row("AllowStreamLocalForwarding", FORWARD).matched(),
    row("AllowTcpForwarding", FORWARD).matched(),
    row("AllowUsers", Users).matched().adds().narrows(WHO),
    row("AuthenticationMethods", Methods).matched().narrows(MEANS),
    row("AuthorizedKeysCommand", Program).matched().narrows(MEANS),
    row("AuthorizedKeysCommandUser", Word).matched().narrows(MEANS),
    row("AuthorizedKeysFile", Paths).matched().narrows(MEANS),
    row("AuthorizedPrincipalsCommand", Program).matched().narrows(MEANS),
    row("AuthorizedPrincipalsCommandUser", Word).matched().narrows(MEANS),
    row("AuthorizedPrincipalsFile", Path).matched().narrows(MEANS),
    row("Banner", Path).matched(),
    row("CASignatureAlgorithms", Algorithms { patterns: true }).matched().narrows(MEANS),
    row("ChannelTimeout", ChannelTimeouts).matched().since(9, 2).narrows(SESSION),
    row("ChrootDirectory", Path).matched().narrows(SESSION),
    row("Ciphers", Algorithms { patterns: false }).narrows(REACH),
    row("ClientAliveCountMax", Number).matched(),
    row("ClientAliveInterval", Time { none: false }).matched(),
    row("Compression", Words(&["yes", "no", "delayed"])),
    row("DebianBanner", Flag),
    row("DenyGroups", Groups).matched().adds().narrows(WHO),
    row("DenyUsers", Users).matched().adds().narrows(WHO),
    row("DisableForwarding", Flag).matched(),
    row("ExposeAuthInfo", Flag).matched(),
    row("FingerprintHash", Words(&["md5", "sha1", "sha256", "sha384", "sha512"])),
    row("ForceCommand", Text).matched().narrows(SESSION),
    row("GatewayPorts", Words(&["yes", "no", "clientspecified"])).matched(),
    row("GSSAPIAuthentication", Flag).matched().narrows(MEANS),
    row("GSSAPICleanupCredentials", Flag).was(&["GSSAPICleanupCreds"]),
    row("GSSAPIKexAlgorithms", Algorithms { patterns: false }),
    row("GSSAPIKeyExchange", Flag),
    row("GSSAPIStoreCredentialsOnRekey", Flag),
    row("GSSAPIStrictAcceptorCheck", Flag).narrows(MEANS),
    row("HostbasedAcceptedAlgorithms", Algorithms { patterns: true })
        .matched()
        .since(8, 5)
        .narrows(MEANS)
        .was(&["HostbasedAcceptedKeyTypes"])
        .renamed("HostbasedAcceptedKeyTypes", 8, 5, true),
    row("HostbasedAuthentication", Flag).matched().narrows(MEANS),
    row("HostbasedUsesNameFromPacketOnly", Flag).matched().narrows(MEANS),
    row("HostCertificate", Path).adds().narrows(REACH),
    row("HostKey", Path).adds().narrows(REACH).was(&["HostDSAKey"]),
    row("HostKeyAgent", Path).narrows(REACH),
    row("HostKeyAlgorithms", Algorithms { patterns: true }).narrows(REACH),
    row("IgnoreRhosts", Words(&["yes", "no", "shosts-only"])).matched().narrows(MEANS),
    row("IgnoreUserKnownHosts", Flag).narrows(MEANS),
    row("Include", Paths).matched().adds(),
    row("IPQoS", Qos).matched(),
    row("KbdInteractiveAuthentication", Flag)
        .matched()
        .narrows(MEANS)
        .was(&["ChallengeResponseAuthentication", "SkeyAuthentication"])
        .renamed("ChallengeResponseAuthentication", 8, 7, false),
    row("KerberosAuthentication", Flag).matched().narrows(MEANS),
    row("KerberosGetAFSToken", Flag),
    row("KerberosOrLocalPasswd", Flag).narrows(MEANS),
    row("KerberosTicketCleanup", Flag),
    row("KexAlgorithms", Algorithms { patterns: false }).narrows(REACH),
    row("ListenAddress", Listen).adds().narrows(REACH),
    row("LoginGraceTime", Time { none: false }).narrows(MEANS),
    row("LogLevel", LEVELS).matched(),
    row("LogVerbose", Paths).matched().since(8, 5),
    row("MACs", Algorithms { patterns: false }).narrows(REACH),
    row("MaxAuthTries", Number).matched().narrows(MEANS),
    row("MaxSessions", Number).matched().narrows(SESSION),
    row("MaxStartups", Startups).narrows(REACH),
    row("ModuliFile", Path).since(8, 5).narrows(REACH),
    row("PAMServiceName", Word).matched().since(9, 8).narrows(MEANS),
    row("PasswordAuthentication", Flag).matched().narrows(MEANS),
    row("PermitEmptyPasswords", Flag).matched().narrows(MEANS),
    row("PermitListen", Forwards { port_alone: true }).matched(),
    row("PermitOpen", Forwards { port_alone: false }).matched(),
    row("PermitRootLogin", ROOT).matched().narrows(WHO),
    row("PermitTTY", Flag).matched().narrows(SESSION),
    row("PermitTunnel", ExactWords(&["yes", "no", "point-to-point", "ethernet"])).matched(),
    row("PermitUserEnvironment", Word),
    row("PermitUserRC", Flag).matched(),
    row("PerSourceMaxStartups", NumberOrNone).since(8, 5).narrows(REACH),
    row("PerSourceNetBlockSize", NetBlock).since(8, 5).narrows(REACH),
    row("PerSourcePenalties", Penalties).since(9, 8).adds().narrows(REACH),
    row("PerSourcePenaltyExemptList", Networks).since(9, 8),
    row("PidFile", Path),
    row("Port", Port).adds().narrows(REACH),
    row("PrintLastLog", Flag),
    row("PrintMotd", Flag),
    row("PubkeyAcceptedAlgorithms", Algorithms { patterns: true })
        .matched()
        .since(8, 5)
        .narrows(MEANS)
        .was(&["PubkeyAcceptedKeyTypes"])
        .renamed("PubkeyAcceptedKeyTypes", 8, 5, true),
    row("PubkeyAuthentication", Flag).matched().narrows(MEANS).was(&["DSAAuthentication"]),
    row("PubkeyAuthOptions", Options(&["none", "touch-required", "verify-required"]))
        .matched()
        .narrows(MEANS),
    row("RDomain", Word).matched(),
    row("RefuseConnection", Flag).matched().since(9, 9).narrows(WHO),
    row("RekeyLimit", Rekey).matched(),
    row("RequiredRSASize", Number).matched().since(9, 1).narrows(MEANS),
    row("RevokedKeys", Path).matched().narrows(MEANS),
    row("SecurityKeyProvider", Path),
    row("SetEnv", EnvValues).matched(),
    row("SshdAuthPath", Path).since(10, 0).narrows(REACH),
    row("SshdSessionPath", Path).since(9, 8).narrows(REACH),
    row("StreamLocalBindMask", Mask).matched(),
    row("StreamLocalBindUnlink", Flag).matched(),
    row("StrictModes", Flag).narrows(MEANS),
    row("Subsystem", Subsystem).matched_since(9, 5).adds().narrows(SESSION),
    row("SyslogFacility", FACILITIES),
    row("TCPKeepAlive", Flag).was(&["KeepAlive"]),
    row("TrustedUserCAKeys", Path).matched().narrows(MEANS),
    row("UnusedConnectionTimeout", Time { none: true }).matched().since(9, 2).narrows(SESSION),
    row("UseDNS", Flag).narrows(MEANS),
    row("UsePAM", Flag).narrows(MEANS),
    row("VersionAddendum", Text),
    row("X11DisplayOffset", Number).matched(),
    row("X11Forwarding", Flag).matched(),
    row("X11UseLocalhost", Flag).matched(),
    row("XAuthLocation", Path),
    gone("AFSTokenPassing", 3, 8, None),
    gone("AuthorizedKeysFile2", 5, 9, Some("AuthorizedKeysFile")),
    gone("CheckMail", 3, 0, None),
    gone("GSSAPIUseSessionCredCache", 8, 4, None),
    gone("GSSUseSessionCCache", 8, 4, None),
    gone("KerberosTgtPassing", 3, 8, None),
    gone("KeyRegenerationInterval", 7, 4, None),
    gone("PAMAuthenticationViaKbdInt", 3, 7, Some("KbdInteractiveAuthentication")),
    gone("PermitBlacklistedKeys", 7, 0, Some("RevokedKeys")),
    gone("Protocol", 7, 6, None),
    gone("ReverseMappingCheck", 3, 7, Some("UseDNS")),
    gone("RhostsAuthentication", 3, 7, Some("HostbasedAuthentication")),
    gone("RhostsRSAAuthentication", 7, 4, Some("HostbasedAuthentication")),
    gone("RSAAuthentication", 7, 4, Some("PubkeyAuthentication")),
    gone("ServerKeyBits", 7, 4, None),
    gone("UseLogin", 7, 4, None),
    gone("UsePrivilegeSeparation", 7, 5, None),
    gone("VerifyReverseMapping", 3, 7, Some("UseDNS")),
];

#[cfg(test)]
mod tests;
