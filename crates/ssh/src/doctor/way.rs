//! The way to the server: name, TCP, version line.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::checkup::{Layer, LayerKind};
use super::strangers;
use super::words::{shown, shown_bytes};
use crate::connection::LinkEnd;
use crate::error::{ConnectError, FailureClass, Phase, io_text};
use crate::options::Route;
use crate::target::Target;
use crate::timeline::Observed;

/// What a connect saw, and how it failed if it did.
pub(super) struct Sight<'a> {
    pub(super) target: &'a Target,
    pub(super) observed: &'a Observed,
    pub(super) error: Option<&'a ConnectError>,
}

impl<'a> Sight<'a> {
    /// The error, if it belongs to one of these phases.
    pub(super) fn error_in(&self, phases: &[Phase]) -> Option<&'a ConnectError> {
        self.error.filter(|error| phases.contains(&error.phase()))
    }

    /// A layer that failed as the connect says.
    pub(super) fn failed(kind: LayerKind, error: &ConnectError) -> Layer {
        Layer::bad(kind).seen(shown(&error.to_string())).hint(error.hint())
    }
}

pub(super) fn name(sight: &Sight<'_>) -> Layer {
    let kind = LayerKind::Name;
    let address = &sight.target.address;
    match sight.error_in(&[Phase::Resolve]) {
        Some(ConnectError::Resolve { address, source, .. }) => {
            let why = io_text(source);
            let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
            return Layer::bad(kind).seen(format!("{}: {}", shown(address), shown(why))).hint(format!(
                "{} has no address here: look for a typing error, a missing search domain (resolv.conf) or a missing \
                 alias (HostName in ssh_config, address in the inventory)",
                shown(address)
            ));
        }
        Some(error) => return Sight::failed(kind, error),
        None => {}
    }
    if sight.target.link.route != Route::Direct {
        return Layer::good(kind)
            .seen(format!("{} is looked up by the last machine on the way", shown(address)));
    }
    let Some((took, addresses)) = &sight.observed.resolved else { return Layer::not_reached(kind) };
    let numbers: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let layer = Layer::good(kind).took(*took);
    if numbers == [address.clone()] {
        layer.seen(format!("{address} is an address: nothing to look up"))
    } else {
        layer.seen(format!("{}: {}", shown(address), numbers.join(", ")))
    }
}

pub(super) fn tcp(sight: &Sight<'_>) -> Layer {
    let kind = LayerKind::Tcp;
    let (target, observed) = (sight.target, sight.observed);
    let since = observed.resolved.as_ref().map_or(Duration::ZERO, |(at, _)| *at);
    match sight.error_in(&[Phase::Connect]) {
        Some(ConnectError::Tcp { attempts, .. }) => return tcp_failed(attempts),
        Some(ConnectError::TimedOut { limit, .. }) => {
            return Layer::bad(kind)
                .seen(format!("port {}: no answer within {} s", target.port, limit.as_secs_f64()))
                .hint(TCP_SILENT);
        }
        Some(ConnectError::Dropped { end: LinkEnd::Reset, .. }) => {
            return Layer::bad(kind).seen("the connection was reset at once").hint(RESET);
        }
        Some(error) => return Sight::failed(kind, error),
        None => {}
    }
    let Some((at, local, peer)) = &observed.connected else { return Layer::not_reached(kind) };
    let layer = Layer::good(kind).took(at.saturating_sub(since));
    match (local, peer) {
        (Some(local), Some(peer)) => layer.seen(format!("{peer}, from {local}")),
        _ => layer.seen(match &target.link.route {
            Route::Command(command) => format!("through ProxyCommand: {}", shown(command)),
            Route::Jump(hops) => {
                let hops: Vec<String> = hops.iter().map(|hop| hop.name.clone()).collect();
                format!("{} port {}, through {}", shown(&target.address), target.port, hops.join(", "))
            }
            Route::Direct => format!("{} port {}", shown(&target.address), target.port),
        }),
    }
}

const TCP_SILENT: &str = "nothing answers at all, not even a refusal: a firewall on the way or on the host drops our packets, \
                          or the host is down or overloaded (a full accept queue)";

fn tcp_failed(attempts: &[(SocketAddr, io::Error)]) -> Layer {
    let layer = Layer::bad(LayerKind::Tcp)
        .seen_all(attempts.iter().map(|(address, error)| format!("{address}: {}", tcp_text(error))));
    let hint = match attempts.last().map(|(_, error)| error.kind()) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "the host is up and nothing listens there: start sshd on it (systemctl status ssh), or look for its Port"
        }
        Some(io::ErrorKind::NetworkUnreachable) => {
            "this machine has no route to that network: see `ip route get ADDRESS`, the VPN, and whether IPv6 works here"
        }
        Some(io::ErrorKind::HostUnreachable) => {
            "a router or our own kernel says that the host cannot be reached: it is down, nobody answers for its \
             address (ARP, neighbour discovery), or a gateway rejects it"
        }
        Some(io::ErrorKind::TimedOut) => TCP_SILENT,
        Some(io::ErrorKind::ConnectionReset) => RESET,
        _ => "see the address, the port and firewalls",
    };
    layer.hint(hint)
}

fn tcp_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => shown(&io_text(error)),
    }
}

pub(super) fn version(sight: &Sight<'_>) -> Layer {
    let kind = LayerKind::Version;
    let observed = sight.observed;
    let since = observed.connected.as_ref().map_or(Duration::ZERO, |(at, ..)| *at);
    match &observed.greeted {
        Some((at, line)) => greeted(observed, line).took(at.saturating_sub(since)),
        None => match sight.error_in(&[Phase::Banner, Phase::KeyExchange]) {
            Some(error) => no_version(observed, error),
            None => Layer::not_reached(kind),
        },
    }
}

/// Whether the version line is one that we can speak with.
pub(super) fn speaks_ssh2(line: &str) -> bool {
    line.starts_with("SSH-2.0-") || line.starts_with("SSH-1.99-")
}

fn greeted(observed: &Observed, line: &str) -> Layer {
    let kind = LayerKind::Version;
    let before = shown_bytes(&observed.other_bytes);
    let before = (!before.is_empty()).then(|| format!("before it: \"{before}\""));
    if !speaks_ssh2(line) {
        return Layer::bad(kind).seen(shown(line)).seen_all(before).hint(
            "the server speaks SSH protocol 1 only: a legacy device; update it, or reach it in another way (protocol 1 is \
             broken and no current client speaks it)",
        );
    }
    let layer = Layer::good(kind).seen(shown(line)).seen_all(before);
    match weak(line) {
        Some((what, hint)) => layer.warn(what, hint),
        None => layer,
    }
}

/// What is known against a server of this version. Distributions mend without a new version: only the very old count.
fn weak(line: &str) -> Option<(&'static str, &'static str)> {
    let software = line.splitn(3, '-').nth(2)?;
    if let Some(version) = software.strip_prefix("OpenSSH_") {
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
        let (major, minor) = version.split_once('.')?;
        if (number(major)?, number(minor)?) < (7, 4) {
            return Some((
                "OpenSSH before 7.4 (2016)",
                "update the server: it has had no fixes for years, and weak algorithms by default",
            ));
        }
    }
    if ["libssh_0.6", "libssh-0.6", "libssh_0.7", "libssh-0.7"].iter().any(|old| software.starts_with(old)) {
        return Some((
            "libssh before 0.8",
            "update the server: versions from 0.6 on let anybody in (CVE-2018-10933)",
        ));
    }
    None
}

const RESET: &str = "something refuses our address after the handshake: fail2ban or sshguard on the host, a firewall's reject, or a \
                     load balancer without a healthy host";

fn no_version(observed: &Observed, error: &ConnectError) -> Layer {
    let layer = Layer::bad(LayerKind::Version);
    let first = &observed.other_bytes;
    if !first.is_empty() {
        let said = format!("no version line; the first bytes: \"{}\"", shown_bytes(first));
        return if let Some(hint) = strangers::refusal(first) {
            layer.seen(said).hint(hint)
        } else if let Some(name) = strangers::name(first) {
            let hint = format!("this port is served by {name}, not by sshd: look for the right Port");
            layer.seen(format!("this is {name}")).seen(said).hint(hint)
        } else {
            let hint =
                "what answers does not speak SSH: look for the right Port, or for something in between";
            layer.seen(said).hint(hint)
        };
    }
    match (error.class(), error) {
        (FailureClass::TimedOut, ConnectError::TimedOut { limit, .. }) => layer
            .seen(format!("the port accepts and says nothing for {} s", limit.as_secs_f64()))
            .hint(
                "sshd hangs (its host may be out of memory or processes), a filter waits in between, or another service \
                 that waits for its client to begin has this port",
            ),
        (_, ConnectError::Dropped { end: LinkEnd::Reset, .. }) => layer
            .seen("the connection was reset before the version line")
            .hint(RESET),
        (_, ConnectError::Dropped { end: LinkEnd::Closed, .. }) => layer
            .seen("the connection was closed before the version line")
            .hint(
                "the server limits logins (MaxStartups; PerSourcePenalties in OpenSSH 9.8 and later), refuses our address \
                 (hosts.deny), or its sshd cannot start a session process: its log tells",
            ),
        _ => layer.seen(shown(&error.to_string())).hint(error.hint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_old_are_called_weak() {
        assert!(weak("SSH-2.0-OpenSSH_5.3").is_some());
        assert!(weak("SSH-2.0-OpenSSH_7.3p1 Debian-1").is_some());
        assert!(weak("SSH-2.0-OpenSSH_7.4").is_none());
        assert!(weak("SSH-2.0-OpenSSH_10.0p2 Debian-7").is_none());
        assert!(weak("SSH-2.0-libssh_0.7.5").is_some());
        assert!(weak("SSH-2.0-").is_none());
        assert!(weak("SSH-2.0-OpenSSH_").is_none());
    }
}
