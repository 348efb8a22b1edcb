//! What a session may do: a command, a terminal, sftp, forwarding.

use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Error};
use tokio::time::{Instant, timeout, timeout_at};

use super::checkup::{Layer, LayerKind, Verdict};
use super::words::{shown, shown_bytes};
use crate::connection::Connection;
use crate::trace::{note_open, note_request};

/// What the command prints: nothing that a profile would.
const MARK: &str = "pipedown-doctor-was-here";
/// How much of each stream is kept.
const KEPT: usize = 16 * 1024;
/// SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02, section 4).
const SFTP_INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
/// SSH_FXP_VERSION and the version, after the length.
const SFTP_VERSION: [u8; 5] = [2, 0, 0, 0, 3];

/// How a channel came to be, or not.
enum Opened {
    Open(Channel<Msg>),
    Refused(ChannelOpenFailure),
    Silent,
    Gone,
}

/// What a channel brought.
#[derive(Debug, Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<u32>,
    accepted: bool,
    refused: bool,
    closed: bool,
    late: bool,
}

pub(super) struct Examination<'a> {
    pub(super) connection: &'a Connection,
    /// The server's port: forwarding is tried towards itself only.
    pub(super) port: u16,
    /// For each of the questions.
    pub(super) limit: Duration,
}

impl Examination<'_> {
    /// Session, sftp and forwarding.
    pub(super) async fn layers(&self) -> [Layer; 3] {
        let session = self.timed(self.session()).await;
        let sftp = match session.verdict {
            // Whatever is in the way of commands is in the way of sftp.
            Verdict::Bad => Layer::not_reached(LayerKind::Sftp),
            _ => self.timed(self.sftp()).await,
        };
        let forwarding = self.timed(self.forwarding()).await;
        [session, sftp, forwarding]
    }

    async fn timed(&self, layer: impl Future<Output = Layer>) -> Layer {
        let begun = Instant::now();
        let layer = layer.await;
        layer.took(begun.elapsed())
    }

    async fn open(&self) -> Opened {
        note_open("session");
        self.opened(self.connection.session.channel_open_session()).await
    }

    async fn opened(&self, opening: impl Future<Output = Result<Channel<Msg>, Error>>) -> Opened {
        match timeout(self.limit, opening).await {
            Ok(Ok(channel)) => Opened::Open(channel),
            Ok(Err(Error::ChannelOpenFailure(reason))) => Opened::Refused(reason),
            Ok(Err(_)) => Opened::Gone,
            Err(_) => Opened::Silent,
        }
    }

    /// Listens until `enough`, the channel's end or the deadline.
    async fn listen(&self, channel: &mut Channel<Msg>, enough: impl Fn(&Heard) -> bool) -> Heard {
        let until = Instant::now() + self.limit;
        let mut heard = Heard::default();
        while !enough(&heard) {
            let Ok(message) = timeout_at(until, channel.wait()).await else {
                heard.late = true;
                break;
            };
            let keep = |kept: &mut Vec<u8>, data: &[u8]| {
                kept.extend(data.iter().take(KEPT.saturating_sub(kept.len())));
            };
            match message {
                Some(ChannelMsg::Data { data }) => keep(&mut heard.stdout, &data),
                Some(ChannelMsg::ExtendedData { data, .. }) => keep(&mut heard.stderr, &data),
                Some(ChannelMsg::ExitStatus { exit_status }) => heard.status = Some(exit_status),
                Some(ChannelMsg::Success) => heard.accepted = true,
                Some(ChannelMsg::Failure) => heard.refused = true,
                Some(ChannelMsg::Close) | None => {
                    heard.closed = true;
                    break;
                }
                Some(_) => {}
            }
        }
        heard
    }

    async fn session(&self) -> Layer {
        let kind = LayerKind::Session;
        let mut channel = match self.open().await {
            Opened::Open(channel) => channel,
            Opened::Refused(reason) => return no_session(&reason),
            Opened::Silent => return self.silent(kind),
            Opened::Gone => return self.gone(kind).await,
        };
        note_request("exec");
        if channel.exec(true, format!("echo {MARK}")).await.is_err() {
            return self.gone(kind).await;
        }
        let heard = self.listen(&mut channel, |heard| heard.refused).await;
        // The connection is dropped soon: a channel that does not close is no matter.
        let _ = channel.close().await;
        let layer = ran(&heard, self.connection.user());
        if layer.verdict == Verdict::Bad || self.connection.is_closed() {
            return if heard.late { self.silent(kind) } else { layer };
        }
        self.terminal(layer).await
    }

    async fn terminal(&self, layer: Layer) -> Layer {
        let Opened::Open(mut channel) = self.open().await else {
            return layer
                .warn("a second session is refused", "raise MaxSessions in the server's sshd_config");
        };
        note_request("pty-req");
        if channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.is_err() {
            return layer;
        }
        let heard = self.listen(&mut channel, |heard| heard.accepted || heard.refused).await;
        // As above.
        let _ = channel.close().await;
        if heard.refused {
            layer.warn(
                "no terminal: the server refused a pty (message 100)",
                "PermitTTY no in the server's sshd_config, or no-pty or restrict before the key in authorized_keys; \
                 pipedown needs no terminal, people do",
            )
        } else {
            layer
        }
    }

    async fn sftp(&self) -> Layer {
        let kind = LayerKind::Sftp;
        let mut channel = match self.open().await {
            Opened::Open(channel) => channel,
            Opened::Silent => return self.silent(kind),
            Opened::Refused(_) | Opened::Gone => return Layer::not_reached(kind),
        };
        note_request("subsystem");
        if channel.request_subsystem(true, "sftp").await.is_err() {
            return Layer::not_reached(kind);
        }
        let mut heard = self.listen(&mut channel, |heard| heard.accepted || heard.refused).await;
        // There is no room to send before the server has started it.
        if heard.accepted
            && timeout(self.limit, channel.data(&SFTP_INIT[..])).await.is_ok_and(|sent| sent.is_ok())
        {
            heard = self.listen(&mut channel, |heard| version_at(&heard.stdout).is_some()).await;
        }
        // As above.
        let _ = channel.close().await;
        spoke_sftp(&heard, self.limit)
    }

    async fn forwarding(&self) -> Layer {
        let kind = LayerKind::Forwarding;
        let port = self.port;
        note_open("direct-tcpip");
        let opening =
            self.connection.session.channel_open_direct_tcpip("127.0.0.1", port.into(), "127.0.0.1", 0);
        match self.opened(opening).await {
            Opened::Open(channel) => {
                // As above.
                let _ = channel.close().await;
                Layer::good(kind).seen(format!("allowed: tried towards its own port {port}"))
            }
            Opened::Refused(ChannelOpenFailure::AdministrativelyProhibited) => Layer::good(kind).warn(
                "forbidden (open failure 1, administratively prohibited)",
                "AllowTcpForwarding no, DisableForwarding yes or PermitOpen in the server's sshd_config, or no-port-forwarding \
                 or restrict before the key in authorized_keys; only a bastion (ProxyJump) needs it",
            ),
            Opened::Refused(_) => Layer::good(kind)
                .seen(format!("allowed; nothing answers there at 127.0.0.1 port {port} (open failure 2)")),
            Opened::Silent => self.silent(kind),
            Opened::Gone => Layer::not_reached(kind),
        }
    }

    fn silent(&self, kind: LayerKind) -> Layer {
        Layer::bad(kind).seen(format!("no answer within {} s", self.limit.as_secs_f64())).hint(
            "the host does not get to it: it is overloaded, or the login shell, its profile or the home directory hangs",
        )
    }

    async fn gone(&self, kind: LayerKind) -> Layer {
        let end = timeout(self.limit, self.connection.closed()).await;
        let end = end.map_or_else(|_| "the link is gone".to_owned(), |end| shown(&end.to_string()));
        Layer::bad(kind).seen(format!("right after the login: {end}")).hint(
            "the server let us in and then ended the connection: a nologin file, PAM's session part, or limits of the \
             account; its log tells: --log-via root@",
        )
    }
}

fn no_session(reason: &ChannelOpenFailure) -> Layer {
    let layer = Layer::bad(LayerKind::Session);
    match reason {
        ChannelOpenFailure::ConnectFailed => layer.seen("no session: open failure 2, connect failed").hint(
            "MaxSessions in the server's sshd_config is used up (0 allows forwarding only): raise it, or log in to a host \
             that has sessions",
        ),
        ChannelOpenFailure::AdministrativelyProhibited => {
            layer.seen("no session: open failure 1, administratively prohibited").hint(
                "the server allows no sessions to this user: see Match blocks and the options before the key in \
                 authorized_keys",
            )
        }
        ChannelOpenFailure::ResourceShortage => layer
            .seen("no session: open failure 4, resource shortage")
            .hint("the server is short of processes, memory or terminals"),
        ChannelOpenFailure::UnknownChannelType => {
            layer.seen("no session: open failure 3, unknown channel type").hint("this server has no sessions at all")
        }
        ChannelOpenFailure::Other { code, .. } => {
            layer.seen(format!("no session: open failure {code}")).hint("the server's log tells more")
        }
    }
}

/// Judges the command that was to print the mark.
fn ran(heard: &Heard, user: &str) -> Layer {
    let layer = Layer::bad(LayerKind::Session);
    if heard.refused {
        return layer.seen("the server refused to run a command (message 100)").hint(
            "commands are forbidden to this user: see ForceCommand and Match blocks in the server's sshd_config",
        );
    }
    let text = String::from_utf8_lossy(&heard.stdout);
    let stderr = shown_bytes(&heard.stderr);
    let stderr = (!stderr.is_empty()).then(|| format!("on standard error: \"{stderr}\""));
    if let Some((before, _)) = text.split_once(MARK) {
        let layer = Layer::good(LayerKind::Session).seen("runs commands").seen_all(stderr);
        let noise = shown(before);
        return if noise.is_empty() {
            layer
        } else {
            layer.warn(
                format!("a profile prints before every command: \"{noise}\""),
                "guard it: on the host, let ~/.bashrc (or the shell's own) print only to terminals: [ -t 1 ] || return",
            )
        };
    }
    let said = [shown_bytes(&heard.stdout), shown_bytes(&heard.stderr)].concat();
    let status =
        heard.status.map_or_else(|| "without a status".to_owned(), |status| format!("with status {status}"));
    let layer = layer.seen(if said.is_empty() {
        format!("let in, then ended {status}, without a word")
    } else {
        format!("let in, then ended {status}, with the words: \"{said}\"")
    });
    layer.hint(ended_hint(&said, heard.status).replace("USER", &shown(user)))
}

fn ended_hint(said: &str, status: Option<u32>) -> &'static str {
    match status {
        _ if said.contains("account is currently not available") => {
            "the account's shell is nologin: on the host, give it one (usermod -s /bin/sh USER), or log in as another user"
        }
        // do_nologin() in OpenSSH's session.c.
        Some(254) => {
            "a nologin file keeps everybody but root out (/etc/nologin, /run/nologin): maintenance, or a boot or shutdown \
             under way; remove it on the host when that is over"
        }
        Some(_) if said.is_empty() => {
            "the account's shell ends at once: /bin/false or the like, or ForceCommand; on the host, see `getent passwd USER`"
        }
        Some(_) => {
            "the server ran something else than our command: ForceCommand, command= before the key in authorized_keys, or a \
             restricted shell"
        }
        None => "the session process died: the server's log tells: --log-via root@",
    }
}

/// Where the answer to SFTP_INIT begins.
fn version_at(bytes: &[u8]) -> Option<usize> {
    bytes.windows(SFTP_VERSION.len()).position(|window| window == SFTP_VERSION)?.checked_sub(4)
}

fn spoke_sftp(heard: &Heard, limit: Duration) -> Layer {
    let layer = Layer::good(LayerKind::Sftp);
    match version_at(&heard.stdout) {
        Some(0) => layer.seen("version 3"),
        Some(garbage) => layer.warn(
            format!(
                "garbage before the first byte of sftp: \"{}\"",
                shown_bytes(heard.stdout.get(..garbage).unwrap_or_default())
            ),
            "a profile on the host prints to non-interactive logins, and every sftp and scp fails: let it print only to \
             terminals: [ -t 1 ] || return",
        ),
        None if heard.refused => layer.warn(
            "no sftp (message 100)",
            "no `Subsystem sftp` in the server's sshd_config: add `Subsystem sftp internal-sftp`; pipedown does without",
        ),
        None if heard.late => layer.warn(
            format!("no answer within {} s", limit.as_secs_f64()),
            "the subsystem was started and says nothing: look at its command in the server's sshd_config",
        ),
        None => {
            let said = [shown_bytes(&heard.stdout), shown_bytes(&heard.stderr)].concat();
            let said = if said.is_empty() { "without a word".to_owned() } else { format!("with the words: \"{said}\"") };
            layer.warn(
                format!("the subsystem ended, {said}"),
                "the command of `Subsystem sftp` in the server's sshd_config does not run: the program is missing, or the \
                 account's shell does not run it",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_sftp_is_found_behind_garbage() {
        assert_eq!(version_at(&[0, 0, 0, 5, 2, 0, 0, 0, 3]), Some(0));
        assert_eq!(version_at(b"hi\n\0\0\0\x05\x02\0\0\0\x03"), Some(3));
        assert_eq!(version_at(b"\x02\0\0\0\x03"), None);
        assert_eq!(version_at(b"hello"), None);
    }
}
