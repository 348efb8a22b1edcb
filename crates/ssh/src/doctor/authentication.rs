//! Whether the server lets us in.

use super::checkup::{Layer, LayerKind};
use super::way::Sight;
use super::words::{list, shown};
use crate::connection::LinkEnd;
use crate::error::{ConnectError, Phase};
use crate::target::Warning;

/// What a refusal looks like when the server keeps its reasons to itself.
const ALIKE: &str = "the server tells nobody why. On its side see, for this user: the key in authorized_keys and its options, owners and \
                     modes of the home (StrictModes), AllowUsers and its kin, PermitRootLogin, PubkeyAcceptedAlgorithms, a locked \
                     or missing account. With another login its log tells: --log-via root@";

/// Judges the login; `identity` is what the server accepted.
pub(super) fn authentication(sight: &Sight<'_>, identity: Option<&str>, left_out: &[Warning]) -> Layer {
    let kind = LayerKind::Authentication;
    let observed = sight.observed;
    let Some(since) = observed.keyed else { return Layer::not_reached(kind) };
    let unusable: &[String] = match sight.error {
        Some(ConnectError::AuthDenied { unusable, .. }) => unusable,
        _ => &[],
    };
    let said = |warning: &&Warning| unusable.iter().any(|text| text.contains(&warning.text));
    let left_out = left_out.iter().filter(|warning| !said(warning));
    let left_out = left_out.map(|warning| format!("left out: {}", shown(&warning.to_string())));
    match sight.error_in(&[Phase::Auth]) {
        Some(error) => refused(error).seen_all(left_out),
        None => {
            let took = observed.logged_in.unwrap_or(since).saturating_sub(since);
            let user = shown(&sight.target.user);
            let layer = Layer::good(kind).took(took);
            let layer = match identity {
                Some(identity) => layer.seen(format!("logged in as {user} with {}", shown(identity))),
                None => layer.seen(format!("logged in as {user}")),
            };
            left_out.fold(layer, |layer, text| {
                layer.warn(
                    text,
                    "a private key that others can read is ignored: chmod 600 it, or take it off the list",
                )
            })
        }
    }
}

fn refused(error: &ConnectError) -> Layer {
    let layer = Layer::bad(LayerKind::Authentication);
    match error {
        ConnectError::AuthDenied { user, methods, accepted, tried, unusable, expired, banner, .. } => {
            let layer = layer
                .seen(match (accepted.is_empty(), tried.is_empty()) {
                    (false, true) => format!("accepted {}, but more is asked for", list(accepted)),
                    (false, false) => {
                        format!("accepted {}, but more is asked for; tried: {}", list(accepted), list(tried))
                    }
                    (true, true) => format!("no identity to offer for {}", shown(user)),
                    (true, false) => format!("refused as {}; tried: {}", shown(user), list(tried)),
                })
                .seen_all(unusable.iter().map(|text| format!("not usable: {}", shown(text))))
                .seen_all((!methods.is_empty()).then(|| format!("the server would accept: {}", list(methods))))
                .seen_all(said(banner));
            // A password that has to be changed is the error's own matter; the rest is said at more length here.
            layer.hint(if *expired { error.hint() } else { denied_hint(methods, accepted, tried, unusable) })
        }
        ConnectError::TimedOut { limit, .. } => layer
            .seen(format!("the server did not decide within {} s", limit.as_secs_f64()))
            .hint(
                "the server waits for something itself: its name service (UseDNS, LDAP, SSSD), PAM, or a home directory on a \
                 network file system",
            ),
        ConnectError::Dropped { end, banner, .. } => layer.seen(shown(&end.to_string())).seen_all(said(banner)).hint(
            match end {
                LinkEnd::Disconnected { message, .. } if message.contains("Too many") => TOO_MANY,
                _ => {
                    "the server ended the connection instead of an answer: LoginGraceTime, MaxAuthTries, PAM, a nologin file, \
                     or a session process that died; its log tells: --log-via root@"
                }
            },
        ),
        other => layer.seen(shown(&other.to_string())).hint(other.hint()),
    }
}

const TOO_MANY: &str = "the server's MaxAuthTries was used up before the right key came: name that key (identity_file, or \
                        IdentityFile with IdentitiesOnly yes), or take keys out of the agent";

fn said(banner: &str) -> Option<String> {
    let words = shown(banner);
    (!words.is_empty()).then(|| format!("the server says: \"{words}\""))
}

fn denied_hint(methods: &[String], accepted: &[String], tried: &[String], unusable: &[String]) -> String {
    let has = |method: &str| methods.iter().any(|m| m == method);
    if !accepted.is_empty() {
        return format!(
            "the key is right, and AuthenticationMethods on the server asks for a second factor: {}",
            list(methods)
        );
    }
    if unusable.iter().any(|text| text.contains("others may read")) && tried.is_empty() {
        return "a private key that others can read is ignored, as ssh does: chmod 600 it".to_owned();
    }
    if tried.is_empty() {
        return "name a private key (identity_file in the inventory, IdentityFile in ssh_config), or load one into the agent \
                (ssh-add)"
            .to_owned();
    }
    if methods.is_empty() {
        return TOO_MANY.to_owned();
    }
    if !has("publickey") {
        return "the server takes no public key from this user: see PubkeyAuthentication, AuthenticationMethods and Match blocks \
                in its sshd_config"
            .to_owned();
    }
    ALIKE.to_owned()
}
