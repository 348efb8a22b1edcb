//! Who vouches for a host key, and which other keys the host proves.

use crate::connector::{Connector, Purpose};
use crate::error::ConnectError;
use crate::host_key::HostKey;
use crate::known_hosts::Verdict;
use crate::target::Target;
use crate::timeline::Timeline;

/// The line by which a key is known.
pub(super) async fn voucher(connector: &Connector, target: &Target, key: &HostKey) -> Option<String> {
    match connector.trust(target).await.known.check(key) {
        Verdict::Trusted { place } => Some(place.to_string()),
        Verdict::Refused(_) => None,
    }
}

/// The key of this type that the host proves to hold, over a short connection of its own without a login.
pub(super) async fn proven(connector: &Connector, target: &Target, key_type: &str) -> Option<HostKey> {
    let names = match key_type {
        "ssh-rsa" => vec!["rsa-sha2-512".to_owned(), "rsa-sha2-256".to_owned()],
        other => vec![other.to_owned()],
    };
    let mut target = target.clone();
    target.algorithms.host_key = Some(names);
    match connector.greet(&target, &Timeline::default(), Purpose::Commands).await {
        Ok((session, ..)) => session.accepted.get().map(|accepted| accepted.key.clone()),
        Err(ConnectError::HostKey { refusal, .. }) => Some(refusal.offered),
        Err(_) => None,
    }
}
