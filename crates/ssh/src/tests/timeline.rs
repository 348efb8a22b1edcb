//! What a connect saw on its way.

use super::sshd::{Sshd, connector};
use crate::{Negotiated, Timeline};

#[tokio::test]
async fn a_connect_can_be_watched() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let seen = Timeline::new();
    let connection = connector().connect_observed(&sshd.target(), &seen).await.unwrap();
    let observed = seen.observed();
    let (resolved, addresses) = observed.resolved.unwrap();
    let (connected, local, peer) = observed.connected.unwrap();
    let (greeted, version) = observed.greeted.unwrap();
    assert_eq!(addresses, [sshd.address]);
    assert_eq!((local, peer), (connection.local_addr(), Some(sshd.address)));
    assert!(version.starts_with("SSH-2.0-OpenSSH_"), "{version}");
    let negotiated = Negotiated::of(&observed.client.unwrap(), &observed.server.unwrap()).unwrap();
    assert_eq!(negotiated.host_key, "ssh-ed25519");
    let (keyed, logged_in) = (observed.keyed.unwrap(), observed.logged_in.unwrap());
    assert!(resolved <= connected && connected <= greeted && greeted <= keyed && keyed <= logged_in);
    connection.close().await;
}
