//! Connections inside others, to a server that a command runs ([`Carrier`]).

use super::{Connector, Purpose, dropped};
use crate::carrier::{Carrier, CarrierWire, NotBegun, begin};
use crate::connection::{Connection, LinkEnd};
use crate::dial::timed_out;
use crate::error::{ConnectError, Phase};
use crate::host_key::HostKey;
use crate::key_ring::Identities;
use crate::options::UnknownHost;
use crate::route::Via;
use crate::target::Target;
use crate::timeline::Timeline;

/// How much of what is not SSH is shown, in bytes.
const SHOWN: usize = 64;

impl Connector {
    /// Connects to a server at the far end of a running command, and logs in.
    ///
    /// The target says who we are and who vouches for the host; its address is not connected to. The host key must
    /// be the one that the carrier brings, or be known: nothing is learned, recorded or asked for. Each phase has
    /// the deadline that it has in [`connect`](Self::connect), the text before the SSH stream that of TCP's connect
    /// and the version line together. The connection ends with the outer one, and the command with the connection:
    /// dropping this future or the connection closes its standard input, which ends `sshd -i`; a command that is still
    /// there a second later is sent `TERM` (OpenSSH's server passes that on to commands of other users than root), and
    /// after another second the channel is closed.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect). What the command said on standard error and how it ended is part of the error
    /// ([`ConnectError::Carried`], [`LinkEnd::Carrier`]).
    pub async fn connect_on(&self, target: &Target, carrier: Carrier) -> Result<Connection, ConnectError> {
        let Carrier { exec, begins_after, host_key } = carrier;
        let settings = &self.0.settings;
        let identities = self.0.keys.identities(target, settings).await;
        let deadlines = &settings.deadlines;
        let limit = target.link.connect_timeout.unwrap_or(deadlines.connect) + deadlines.banner;
        let (wire, listener) = begin(exec, &begins_after, limit).await.map_err(|why| match why {
            NotBegun::Ended(end) => dropped(target, Phase::Banner, end),
            NotBegun::Nonsense(said, stderr) => {
                let first = said.get(..SHOWN).unwrap_or(&said).escape_ascii().to_string();
                ConnectError::NotSsh { host: target.name.clone(), first }.carried(stderr)
            }
            NotBegun::Late(stderr) => timed_out(target, Phase::Banner, limit).carried(stderr),
        })?;
        match self.inside(target, wire, host_key, identities).await {
            // Its end tells what it said.
            Err(error @ ConnectError::Dropped { end: LinkEnd::Carrier(_), .. }) => Err(error),
            Err(error) => Err(error.carried(listener.last_words().await)),
            Ok(connection) => Ok(connection),
        }
    }

    async fn inside(
        &self,
        target: &Target,
        wire: CarrierWire,
        host_key: HostKey,
        identities: Identities,
    ) -> Result<Connection, ConnectError> {
        let mut trust = self.trust(target).await;
        trust.unknown = UnknownHost::Refuse;
        trust.proven = Some(host_key);
        let seen = Timeline::default();
        let session = self.shake_hands(target, Box::new(wire), trust, &seen, Purpose::Commands).await?;
        self.log_in(target, session, Via::Channel, identities, &seen).await
    }
}
