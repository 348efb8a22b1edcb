//! Our side of russh's callbacks. They only decide and record: a callback that waits would stall the session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::PublicKey;
use russh::keys::ssh_key::public::KeyData;
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio::sync::watch;

use crate::connection::LinkEnd;
use crate::host_key::{HostKey, HostKeyRefusal};
use crate::keepalive::Keepalives;
use crate::route::Refusals;
use crate::trust::{Accepted, Trust};

/// How many characters of banners are kept.
const MAX_BANNER: usize = 4096;

/// How many characters of the server's goodbye are kept.
const MAX_GOODBYE: usize = 256;

/// What makes a callback end the session.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// russh's own trouble.
    Russh(russh::Error),
    /// The host key was refused.
    HostKey(Box<HostKeyRefusal>),
    /// The host's RSA key has fewer bits than are asked for.
    ShortHostKey { bits: u32, least: u32 },
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Russh(error)
    }
}

/// Judges the host key, refuses whatever the server wants to open, and tells how the link ended.
pub(crate) struct Client {
    pub(crate) trust: Trust,
    /// The fewest bits that an RSA key may have.
    pub(crate) rsa_bits: u32,
    /// The accepted key.
    pub(crate) accepted: Arc<OnceLock<Accepted>>,
    /// What the server showed before or during the login, nologin's text for example.
    pub(crate) banner: Arc<Mutex<String>>,
    /// What the server says when it refuses a channel.
    pub(crate) refusals: Refusals,
    /// Dropped together with the session's task: its receivers learn the end in any case.
    pub(crate) ended: watch::Sender<Option<LinkEnd>>,
    /// How many key exchanges have come to their end.
    pub(crate) exchanges: Arc<AtomicU64>,
    /// Learns how long packets are.
    pub(crate) keepalives: Arc<Keepalives>,
    /// The host keys that the server has announced, not proven.
    pub(crate) announced: Announced,
}

/// Host keys that a server has announced, the last announcement only.
pub(crate) type Announced = Arc<Mutex<Vec<PublicKey>>>;

impl Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        if let KeyData::Rsa(key) = offered.public_key().key_data()
            && key.key_size() < self.rsa_bits
        {
            return Err(ClientError::ShortHostKey { bits: key.key_size(), least: self.rsa_bits });
        }
        let blob = match offered.certificate() {
            Some(certificate) => certificate.to_bytes().map_err(russh::Error::from)?,
            None => offered.public_key().to_bytes().map_err(russh::Error::from)?,
        };
        let Some(key) = HostKey::from_blob(blob) else { return Ok(false) };
        // This waits for nothing but a KnownHostsCommand, before which nothing else could go on.
        match self.trust.judge(&key).await {
            Ok(accepted) => Ok(self.accepted.set(accepted).is_ok()),
            Err(refusal) => Err(ClientError::HostKey(Box::new(refusal))),
        }
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        names: &Names,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        self.keepalives.agreed(names);
        self.exchanges.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    async fn auth_banner(&mut self, text: &str, _: &mut Session) -> Result<(), ClientError> {
        let mut banner = self.banner.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_BANNER.saturating_sub(banner.len());
        banner.extend(text.chars().take(room));
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<ClientError>) -> Result<(), ClientError> {
        let end = match reason {
            DisconnectReason::ReceivedDisconnect(info) => LinkEnd::Disconnected {
                code: format!("{:?}", info.reason_code),
                message: info.message.chars().take(MAX_GOODBYE).collect(),
            },
            DisconnectReason::Error(ClientError::Russh(error)) => LinkEnd::from_russh(&error),
            DisconnectReason::Error(ClientError::HostKey(refusal)) => LinkEnd::Failed(refusal.to_string()),
            DisconnectReason::Error(ClientError::ShortHostKey { bits, .. }) => {
                LinkEnd::Failed(format!("the RSA host key has {bits} bits only"))
            }
        };
        self.ended.send_replace(Some(end));
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        words: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        self.refusals.heard(words);
        Ok(())
    }

    // russh accepts all of the following by default. We never ask for any of them, so a server that opens one is
    // up to something; a reply that is dropped is a refusal.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn server_channel_open_unknown(
        &mut self,
        _: Channel<Msg>,
        refused: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        drop(refused);
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<PublicKey>,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}
