//! The keywords of ssh_config(5), each declared once.

use super::value::Shape;

/// A keyword that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Host,
    Match,
    Include,
    IgnoreUnknown,
    HostName,
    Port,
    User,
    /// `ProxyJump` and `ProxyCommand`: the first of either counts.
    Proxy,
    AddressFamily,
    BindAddress,
    ConnectTimeout,
    ServerAliveInterval,
    ServerAliveCountMax,
    IdentityFile,
    CertificateFile,
    IdentitiesOnly,
    IdentityAgent,
    BatchMode,
    PreferredAuthentications,
    PubkeyAuthentication,
    PasswordAuthentication,
    KbdInteractiveAuthentication,
    NumberOfPasswordPrompts,
    UserKnownHostsFile,
    GlobalKnownHostsFile,
    HostKeyAlias,
    StrictHostKeyChecking,
    VerifyHostKeyDns,
    RevokedHostKeys,
    KnownHostsCommand,
    UpdateHostKeys,
    HashKnownHosts,
    KexAlgorithms,
    HostKeyAlgorithms,
    Ciphers,
    Macs,
    PubkeyAcceptedAlgorithms,
    RequiredRsaSize,
    CanonicalizeHostname,
    Tag,
    RefuseConnection,
    /// Without effect here.
    Other,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Keyword {
    /// As the manual page writes it.
    pub(super) name: &'static str,
    pub(super) key: Key,
    pub(super) shape: Shape,
    /// Why it has no effect, for those that have none.
    pub(super) inert: Option<&'static str>,
}

const fn works(name: &'static str, key: Key, shape: Shape) -> Keyword {
    Keyword { name, key, shape, inert: None }
}

const fn inert(name: &'static str, why: &'static str) -> Keyword {
    Keyword { name, key: Key::Other, shape: Shape::Anything, inert: Some(why) }
}

const FLAG: Shape = Shape::Choice(&[("yes", "yes"), ("no", "no"), ("true", "yes"), ("false", "no")]);
const ASK: Shape =
    Shape::Choice(&[("yes", "yes"), ("no", "no"), ("ask", "ask"), ("true", "yes"), ("false", "no")]);
const FAMILY: Shape = Shape::Choice(&[("any", "any"), ("inet", "inet"), ("inet6", "inet6")]);
const PUBLIC_KEY: Shape = Shape::Choice(&[
    ("yes", "yes"),
    ("no", "no"),
    ("unbound", "unbound"),
    ("host-bound", "host-bound"),
    ("true", "yes"),
    ("false", "no"),
]);
const STRICT: Shape = Shape::Choice(&[
    ("yes", "yes"),
    ("no", "no"),
    ("ask", "ask"),
    ("accept-new", "accept-new"),
    ("true", "yes"),
    ("false", "no"),
    ("off", "no"),
]);
const CANONICAL: Shape =
    Shape::Choice(&[("no", "no"), ("yes", "yes"), ("always", "always"), ("true", "yes"), ("false", "no")]);

const NO_SESSION: &str = "pipedown runs its own commands: terminals, sessions and forwardings are ssh's";
const NO_GSSAPI: &str = "GSSAPI is not offered";
const NO_SHARING: &str = "connections are not shared with ssh";
const NO_TOKEN: &str = "tokens are used through an agent";
const NO_HOST_BASED: &str = "host-based authentication is not offered";
const NO_CANONICAL: &str = "names are not canonicalized";
const OLD: &str = "ssh ignores it as well";

/// All keywords of OpenSSH 10, older names, and those of Debian.
pub(super) const KEYWORDS: &[Keyword] = &[
    works("Host", Key::Host, Shape::Anything),
    works("Match", Key::Match, Shape::Anything),
    works("Include", Key::Include, Shape::Words),
    works("IgnoreUnknown", Key::IgnoreUnknown, Shape::Word),
    works("HostName", Key::HostName, Shape::Word),
    works("Port", Key::Port, Shape::Port),
    works("User", Key::User, Shape::Word),
    works("ProxyJump", Key::Proxy, Shape::Jump),
    works("ProxyCommand", Key::Proxy, Shape::Rest),
    works("AddressFamily", Key::AddressFamily, FAMILY),
    works("BindAddress", Key::BindAddress, Shape::Word),
    works("ConnectTimeout", Key::ConnectTimeout, Shape::Time),
    works("ServerAliveInterval", Key::ServerAliveInterval, Shape::Time),
    works("ServerAliveCountMax", Key::ServerAliveCountMax, Shape::Number),
    works("IdentityFile", Key::IdentityFile, Shape::Word),
    works("CertificateFile", Key::CertificateFile, Shape::Word),
    works("IdentitiesOnly", Key::IdentitiesOnly, FLAG),
    works("IdentityAgent", Key::IdentityAgent, Shape::Word),
    works("BatchMode", Key::BatchMode, FLAG),
    works("PreferredAuthentications", Key::PreferredAuthentications, Shape::Word),
    works("PubkeyAuthentication", Key::PubkeyAuthentication, PUBLIC_KEY),
    works("PasswordAuthentication", Key::PasswordAuthentication, FLAG),
    works("KbdInteractiveAuthentication", Key::KbdInteractiveAuthentication, FLAG),
    works("NumberOfPasswordPrompts", Key::NumberOfPasswordPrompts, Shape::Number),
    works("UserKnownHostsFile", Key::UserKnownHostsFile, Shape::Files),
    works("GlobalKnownHostsFile", Key::GlobalKnownHostsFile, Shape::Files),
    works("HostKeyAlias", Key::HostKeyAlias, Shape::Word),
    works("StrictHostKeyChecking", Key::StrictHostKeyChecking, STRICT),
    works("VerifyHostKeyDNS", Key::VerifyHostKeyDns, ASK),
    works("RevokedHostKeys", Key::RevokedHostKeys, Shape::Word),
    works("KnownHostsCommand", Key::KnownHostsCommand, Shape::Rest),
    works("UpdateHostKeys", Key::UpdateHostKeys, ASK),
    works("HashKnownHosts", Key::HashKnownHosts, FLAG),
    works("KexAlgorithms", Key::KexAlgorithms, Shape::Names),
    works("HostKeyAlgorithms", Key::HostKeyAlgorithms, Shape::Names),
    works("Ciphers", Key::Ciphers, Shape::Names),
    works("MACs", Key::Macs, Shape::Names),
    works("PubkeyAcceptedAlgorithms", Key::PubkeyAcceptedAlgorithms, Shape::Names),
    works("RequiredRSASize", Key::RequiredRsaSize, Shape::Number),
    works("CanonicalizeHostname", Key::CanonicalizeHostname, CANONICAL),
    works("Tag", Key::Tag, Shape::Word),
    works("RefuseConnection", Key::RefuseConnection, Shape::Rest),
    // Other names of the same.
    works("IdentityFile2", Key::IdentityFile, Shape::Word),
    works("ChallengeResponseAuthentication", Key::KbdInteractiveAuthentication, FLAG),
    works("SkeyAuthentication", Key::KbdInteractiveAuthentication, FLAG),
    works("TISAuthentication", Key::KbdInteractiveAuthentication, FLAG),
    works("DSAAuthentication", Key::PubkeyAuthentication, PUBLIC_KEY),
    works("PubkeyAcceptedKeyTypes", Key::PubkeyAcceptedAlgorithms, Shape::Names),
    works("ProtocolKeepAlives", Key::ServerAliveInterval, Shape::Time),
    works("SetupTimeOut", Key::ServerAliveInterval, Shape::Time),
    // Harmless here.
    inert("AddKeysToAgent", "keys are never added to an agent"),
    inert(
        "CheckHostIP",
        "addresses are looked up in known_hosts only for hosts that nothing is known about by name",
    ),
    inert("BindInterface", "give the address as BindAddress"),
    inert("CASignatureAlgorithms", "certificates signed with SHA-1 are never trusted"),
    inert("CanonicalDomains", NO_CANONICAL),
    inert("CanonicalizeFallbackLocal", NO_CANONICAL),
    inert("CanonicalizeMaxDots", NO_CANONICAL),
    inert("CanonicalizePermittedCNAMEs", NO_CANONICAL),
    inert("Compression", "links are not compressed"),
    inert("ConnectionAttempts", "a connect that fails is reported, not repeated"),
    inert("ControlMaster", NO_SHARING),
    inert("ControlPath", NO_SHARING),
    inert("ControlPersist", NO_SHARING),
    inert("ChannelTimeout", NO_SESSION),
    inert("ClearAllForwardings", NO_SESSION),
    inert("DynamicForward", NO_SESSION),
    inert("EnableEscapeCommandline", NO_SESSION),
    inert("EnableSSHKeysign", NO_HOST_BASED),
    inert("EscapeChar", NO_SESSION),
    inert("ExitOnForwardFailure", NO_SESSION),
    inert("FingerprintHash", "fingerprints are SHA-256"),
    inert("ForkAfterAuthentication", NO_SESSION),
    inert("ForwardAgent", "the agent is never forwarded"),
    inert("ForwardX11", NO_SESSION),
    inert("ForwardX11Timeout", NO_SESSION),
    inert("ForwardX11Trusted", NO_SESSION),
    inert("GatewayPorts", NO_SESSION),
    inert("GSSAPIAuthentication", NO_GSSAPI),
    inert("GSSAPIClientIdentity", NO_GSSAPI),
    inert("GSSAPIDelegateCredentials", NO_GSSAPI),
    inert("GSSAPIKexAlgorithms", NO_GSSAPI),
    inert("GSSAPIKeyExchange", NO_GSSAPI),
    inert("GSSAPIRenewalForcesRekey", NO_GSSAPI),
    inert("GSSAPIServerIdentity", NO_GSSAPI),
    inert("GSSAPITrustDNS", NO_GSSAPI),
    inert("HostbasedAcceptedAlgorithms", NO_HOST_BASED),
    inert("HostbasedAuthentication", NO_HOST_BASED),
    inert("HostbasedKeyTypes", NO_HOST_BASED),
    inert("IPQoS", "the system's default is used"),
    inert("KbdInteractiveDevices", "the server chooses"),
    inert("KeepAlive", "dead links are found by ServerAliveInterval"),
    inert("LocalCommand", NO_SESSION),
    inert("LocalForward", NO_SESSION),
    inert("LogLevel", "see --verbose"),
    inert("LogVerbose", "see --verbose"),
    inert("NoHostAuthenticationForLocalhost", "every host key is checked"),
    inert("ObscureKeystrokeTiming", NO_SESSION),
    inert("PermitLocalCommand", NO_SESSION),
    inert("PermitRemoteOpen", NO_SESSION),
    inert("PKCS11Provider", NO_TOKEN),
    inert("ProxyUseFdpass", "the proxy command's standard input and output are used"),
    inert("RekeyLimit", "keys are renewed after 1 GiB or an hour"),
    inert("RemoteCommand", NO_SESSION),
    inert("RemoteForward", NO_SESSION),
    inert("RequestTTY", NO_SESSION),
    inert("SecurityKeyProvider", NO_TOKEN),
    inert("SendEnv", "no environment is sent"),
    inert("SessionType", NO_SESSION),
    inert("SetEnv", "no environment is sent"),
    inert("SmartcardDevice", NO_TOKEN),
    inert("StdinNull", NO_SESSION),
    inert("StreamLocalBindMask", NO_SESSION),
    inert("StreamLocalBindUnlink", NO_SESSION),
    inert("SyslogFacility", "see --verbose"),
    inert("TCPKeepAlive", "dead links are found by ServerAliveInterval"),
    inert("Tunnel", NO_SESSION),
    inert("TunnelDevice", NO_SESSION),
    inert("VersionAddendum", "the version line is pipedown's"),
    inert("VisualHostKey", "see `pipedown hostkeys show -v`"),
    inert("WarnWeakCrypto", "weak algorithms are not offered"),
    inert("XAuthLocation", NO_SESSION),
    // Of the past.
    inert("AFSTokenPassing", OLD),
    inert("Cipher", OLD),
    inert("CompressionLevel", OLD),
    inert("FallBackToRsh", OLD),
    inert("GlobalKnownHostsFile2", OLD),
    inert("KerberosAuthentication", OLD),
    inert("KerberosTGTPassing", OLD),
    inert("Protocol", OLD),
    inert("RhostsAuthentication", OLD),
    inert("RhostsRSAAuthentication", OLD),
    inert("RSAAuthentication", OLD),
    inert("UsePrivilegedPort", OLD),
    inert("UserKnownHostsFile2", OLD),
    inert("UseRoaming", OLD),
    inert("UseRsh", OLD),
];

/// Finds a keyword by its name in lower case.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name.eq_ignore_ascii_case(name))
}

/// The keyword's name as the manual page writes it.
pub(super) fn name_of(key: Key) -> &'static str {
    KEYWORDS.iter().find(|keyword| keyword.key == key).map_or("", |keyword| keyword.name)
}

/// The known keyword that is most like an unknown one, if one is.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let scored = KEYWORDS.iter().map(|keyword| {
        (strsim::jaro_winkler(&name.to_ascii_lowercase(), &keyword.name.to_ascii_lowercase()), keyword.name)
    });
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.85).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyword_is_declared_twice() {
        let mut names: Vec<String> = KEYWORDS.iter().map(|k| k.name.to_ascii_lowercase()).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_is_nearly_right_is_suggested() {
        assert_eq!(nearest("identityfiles"), Some("IdentityFile"));
        assert_eq!(nearest("proxyjmp"), Some("ProxyJump"));
        assert_eq!(nearest("stricthostkeycheking"), Some("StrictHostKeyChecking"));
        assert_eq!(nearest("zzz"), None);
    }
}
