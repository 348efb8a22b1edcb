//! What to do next, when a connect has failed.

use std::io;
use std::net::SocketAddr;

use crate::connection::LinkEnd;
use crate::error::{ConnectError, Phase};
use crate::host_key::{HostKeyProblem, HostKeyRefusal, OtherKey};
use crate::route::TunnelProblem;

/// So many refusals come close to what servers put up with.
const MANY: usize = 5;

impl ConnectError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Resolve { .. } => "check the name, or give the host an address in the inventory".to_owned(),
            Self::Tcp { attempts, .. } => tcp_hint(attempts).to_owned(),
            Self::TimedOut { phase, .. } => timeout_hint(*phase).to_owned(),
            Self::NotSsh { first, .. } => not_ssh_hint(first).to_owned(),
            Self::NoCommonAlgorithm { kind, .. } => {
                format!("the server is too old or too restricted; enable a current {kind} algorithm on it")
            }
            Self::NoKnownAlgorithm { kind, .. } => {
                format!("name other {kind} algorithms in ssh_config, or none at all for the usual ones")
            }
            Self::ShortHostKey { bits, .. } => format!(
                "make a new key on the host (ssh-keygen -t ed25519 -f /etc/ssh/ssh_host_ed25519_key); until then \
                 RequiredRSASize {bits} in ssh_config lets it pass"
            ),
            Self::KeyExchange { .. } => {
                "try `ssh -v` to the same port; the server's log tells its side".to_owned()
            }
            Self::HostKey { refusal, .. } => host_key_hint(refusal),
            Self::AuthDenied { .. } => self.denied_hint(),
            Self::Dropped { phase, end, .. } => dropped_hint(*phase, end),
            Self::Bastion { hop, source, .. } => {
                format!("every host behind {hop} waits for this: {}", source.hint())
            }
            Self::Tunnel { hop, problem, .. } => tunnel_hint(hop, problem),
            Self::Carried { source, .. } => source.hint(),
            Self::Command { .. } => "check $SHELL and the ProxyCommand in ssh_config".to_owned(),
        }
    }

    fn denied_hint(&self) -> String {
        let Self::AuthDenied { methods, accepted, tried, expired, user, .. } = self else {
            return String::new();
        };
        let takes = |method: &str| methods.iter().any(|name| name == method);
        if *expired {
            return format!("log in once with ssh as {user}, and change the password");
        }
        if !accepted.is_empty() {
            return format!(
                "the server wants {} as well (AuthenticationMethods): name a second key, or be there to be asked",
                methods.join(" or ")
            );
        }
        if tried.len() >= MANY {
            return format!(
                "{} were refused, and servers end the login after some (MaxAuthTries, usually 6): name the right key \
                 in the inventory or with IdentityFile, and IdentitiesOnly yes",
                tried.len()
            );
        }
        if tried.is_empty() {
            return "name an identity file in the inventory, or load a key into the agent (ssh-add)"
                .to_owned();
        }
        if !takes("publickey") {
            return "the server accepts no public key (any more) from this user: check PubkeyAuthentication, \
                    AuthenticationMethods and MaxAuthTries, or name fewer identities"
                .to_owned();
        }
        format!(
            "check that one of these keys is in {user}'s authorized_keys, and AllowUsers; the server's log \
             tells why"
        )
    }
}

fn tcp_hint(attempts: &[(SocketAddr, io::Error)]) -> &'static str {
    match attempts.last().map(|(_, error)| error.kind()) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "the host is up but nothing listens there: check sshd and the port"
        }
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            "there is no way to the host: check its power, the network and routes"
        }
        Some(io::ErrorKind::TimedOut) => {
            "nothing answered: check the host's power, the address and firewalls"
        }
        _ => "check the address, the port and firewalls",
    }
}

fn timeout_hint(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "the name service does not answer: check DNS, or give the host an address",
        Phase::Connect => "nothing answered: check the host's power, the address and firewalls",
        Phase::Banner => {
            "the port is open but silent: the host may be overloaded or hung, or the port is not sshd's"
        }
        Phase::KeyExchange => {
            "the host stalled in the middle: it may be overloaded, or the path loses large packets (MTU)"
        }
        Phase::Auth => "the server did not decide: check its name service, PAM and home directories",
    }
}

fn not_ssh_hint(first: &str) -> &'static str {
    if first.contains("MaxStartups") {
        "too many logins are under way on the host: lower the parallelism, or raise MaxStartups"
    } else if first.contains("Not allowed at this time") {
        "the host penalises this address after failed logins: wait, then see PerSourcePenalties"
    } else {
        "another service has this port: check the port"
    }
}

fn dropped_hint(phase: Phase, end: &LinkEnd) -> String {
    match (end, phase) {
        (LinkEnd::Bastion { hop, .. }, _) => {
            format!("the host itself may be well: check {hop}, then try again")
        }
        (LinkEnd::Command(_), _) => {
            "run the ProxyCommand by hand: `ssh -G HOST` shows it; it is to print the host's version line, and \
             cannot ask for anything here"
                .to_owned()
        }
        (LinkEnd::Carrier(_), _) => {
            "run the command by hand on the host: it is to speak SSH on its standard output".to_owned()
        }
        (_, Phase::Auth) => {
            "the server ended the login: its log tells why (MaxAuthTries, PAM, nologin)".to_owned()
        }
        _ => "the server closed at once: it may limit logins (MaxStartups, PerSourcePenalties, fail2ban), refuse \
              this address, or be shutting down"
            .to_owned(),
    }
}

fn tunnel_hint(hop: &str, problem: &TunnelProblem) -> String {
    match problem {
        TunnelProblem::Unreachable(_) | TunnelProblem::Silent(_) => format!(
            "{hop} is up: check the host's power, its sshd, and its address and port as {hop} sees them (names are \
             resolved there)"
        ),
        TunnelProblem::Forbidden(_) => {
            format!("allow the forwarding on {hop}: AllowTcpForwarding and PermitOpen in its sshd_config")
        }
        TunnelProblem::Full(_) => format!("lower the parallelism, or raise the limits of {hop}"),
        TunnelProblem::Lost(_) => format!("the host itself may be well: check {hop}, then try again"),
    }
}

fn host_key_hint(refusal: &HostKeyRefusal) -> String {
    match &refusal.problem {
        HostKeyProblem::Unknown { authorities } => match (authorities.first(), &refusal.certificate) {
            (Some(place), Some(_)) => {
                format!(
                    "have the authority of {place} sign the host's key again, with its name and a current date"
                )
            }
            (Some(place), None) => format!(
                "{place} names an authority for this host, but the host shows no certificate by it: see HostCertificate \
                 in its sshd_config, or compare the fingerprint on its console and add the key to known_hosts"
            ),
            (None, _) => {
                "compare the fingerprint on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), \
                          then add the key to known_hosts"
                    .to_owned()
            }
        },
        HostKeyProblem::Changed { .. } => changed_hint(&refusal.other).to_owned(),
        HostKeyProblem::Revoked { .. } => {
            "this key must not be trusted any more: find out why the host still uses it".to_owned()
        }
        HostKeyProblem::RevocationUnknown { file, .. } => format!(
            "no host is trusted until {} can be read; mend it, or take it out of RevokedHostKeys",
            file.display()
        ),
    }
}

fn changed_hint(other: &OtherKey) -> &'static str {
    match other {
        OtherKey::NotAsked => {
            "somebody may be listening in, or the host was reinstalled: find out which, on the host's console, \
             before you replace the known key"
        }
        OtherKey::Proven(_) => {
            "whoever answers also holds a key that is known, so most likely it is the host and one of its keys was made \
             anew: compare the new fingerprint on its console, then replace that line"
        }
        OtherKey::NotProven => {
            "whoever answers holds none of the known keys: somebody may be listening in, or the host was reinstalled: \
             find out which, on the host's console, before you replace the known keys"
        }
    }
}
