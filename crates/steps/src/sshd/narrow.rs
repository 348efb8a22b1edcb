//! Who could log in before and cannot after.

use std::net::IpAddr;

use pipedown_model::sshd_words;

use super::effective::values_of;
use super::{RecentLogin, SshdEffective, patterns};

/// Somebody who logged in lately and would be shut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdShutOut {
    /// Who, from where, how, and when last.
    pub login: RecentLogin,
    /// What shuts them out.
    pub keyword: &'static str,
    /// Why, as a fragment that goes on after the name: `is not among AllowUsers: deploy, adm*`.
    pub why: String,
}

impl std::fmt::Display for SshdShutOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.login.user)?;
        if let Some(address) = &self.login.address {
            write!(f, " from {address}")?;
        }
        write!(f, " {}", self.why)
    }
}

/// Names those of `logins` who would be refused, or get another session, by the values `after`, and were not by those `before`.
///
/// Values belong to a login by user and address, or else by user alone. Where nothing is known of before, that they did log in
/// counts. Algorithms, keys' own options and what PAM says are not seen here: a login shows them.
pub fn sshd_shut_out(
    logins: &[RecentLogin],
    before: &[SshdEffective],
    after: &[SshdEffective],
) -> Vec<SshdShutOut> {
    let mut out = Vec::new();
    for login in logins {
        let Some(after) = of(login, after).filter(|after| after.error.is_none()) else { continue };
        let before = of(login, before).filter(|before| before.error.is_none());
        if before.is_some_and(|before| refusal(login, before).is_some()) {
            continue;
        }
        let reason = refusal(login, after).or_else(|| before.and_then(|before| other_session(before, after)));
        out.extend(reason.map(|(keyword, why)| SshdShutOut { login: login.clone(), keyword, why }));
    }
    out
}

/// The values that are somebody's.
fn of<'a>(login: &RecentLogin, values: &'a [SshdEffective]) -> Option<&'a SshdEffective> {
    let theirs = |of: &&SshdEffective| of.identity.user == login.user;
    values
        .iter()
        .filter(theirs)
        .find(|of| of.identity.address == login.address)
        .or_else(|| values.iter().find(theirs))
}

type Reason = Option<(&'static str, String)>;

/// Why somebody is refused, in the order in which sshd asks.
fn refusal(login: &RecentLogin, values: &SshdEffective) -> Reason {
    connection(values)
        .or_else(|| account(login, values))
        .or_else(|| root(login, values))
        .or_else(|| method(login, values))
        .or_else(|| methods_together(login, values))
}

fn is(values: &SshdEffective, keyword: &str, value: &str) -> bool {
    values_of(values, keyword).iter().any(|have| have.eq_ignore_ascii_case(value))
}

fn connection(values: &SshdEffective) -> Reason {
    if is(values, "RefuseConnection", "yes") {
        return Some(("RefuseConnection", "is refused the connection (RefuseConnection yes)".to_owned()));
    }
    if is(values, "MaxAuthTries", "0") {
        return Some(("MaxAuthTries", "has no try to log in (MaxAuthTries 0)".to_owned()));
    }
    None
}

/// auth.c, `allowed_user`.
fn account(login: &RecentLogin, values: &SshdEffective) -> Reason {
    if login.locked && is(values, "UsePAM", "no") {
        return Some((
            "UsePAM",
            "has a locked password, and without PAM sshd refuses such accounts".to_owned(),
        ));
    }
    let address: Option<IpAddr> = login.address.as_deref().and_then(|address| address.parse().ok());
    let listed = |keyword: &str| -> Option<(bool, bool, String)> {
        let patterns = values_of(values, keyword);
        let found: Vec<Option<bool>> =
            patterns.iter().map(|pattern| patterns::user(pattern, &login.user, address)).collect();
        let listed = found.contains(&Some(true));
        (!patterns.is_empty()).then(|| (listed, !listed && found.contains(&None), patterns.join(", ")))
    };
    let unsure = |unsure| if unsure { " (it is not known from where they come)" } else { "" };
    if let Some((listed, maybe, all)) = listed("DenyUsers").filter(|(listed, maybe, _)| *listed || *maybe) {
        let why = format!("is among DenyUsers: {all}{}", unsure(maybe && !listed));
        return Some(("DenyUsers", why));
    }
    if let Some((_, maybe, all)) = listed("AllowUsers").filter(|(listed, ..)| !listed) {
        return Some(("AllowUsers", format!("is not among AllowUsers: {all}{}", unsure(maybe))));
    }
    let in_groups = |keyword: &str| {
        let patterns = values_of(values, keyword);
        let found = patterns.iter().any(|p| login.groups.iter().any(|group| patterns::glob(p, group)));
        (!patterns.is_empty()).then(|| (found, patterns.join(", ")))
    };
    if let Some((_, all)) = in_groups("DenyGroups").filter(|(found, _)| *found) {
        return Some(("DenyGroups", format!("is in a group of DenyGroups: {all}")));
    }
    let (_, all) = in_groups("AllowGroups").filter(|(found, _)| !found)?;
    Some(("AllowGroups", format!("is in no group of AllowGroups: {all}")))
}

/// The name of the method they used, without its device.
fn used(login: &RecentLogin) -> Option<&str> {
    login.method.as_deref().and_then(|method| method.split(['/', ':']).next())
}

/// auth.c, `auth_root_allowed`.
fn root(login: &RecentLogin, values: &SshdEffective) -> Reason {
    if login.user != "root" {
        return None;
    }
    let value = values_of(values, "PermitRootLogin").first()?.to_ascii_lowercase();
    let refused = match (value.as_str(), used(login)) {
        ("no", _) => true,
        ("without-password" | "prohibit-password", method) => {
            matches!(method, Some("password" | "keyboard-interactive"))
        }
        ("forced-commands-only", _) => true,
        _ => false,
    };
    refused.then(|| ("PermitRootLogin", format!("is refused by PermitRootLogin {value}")))
}

/// Whether the method they used is still there; if that is not known, whether any is.
fn method(login: &RecentLogin, values: &SshdEffective) -> Reason {
    let off = |keyword: &'static str| is(values, keyword, "no").then_some(keyword);
    let unset = |keyword: &str| {
        let values = values_of(values, keyword);
        values.is_empty() || values.iter().all(|value| value == "none")
    };
    let sources = ["AuthorizedKeysFile", "AuthorizedKeysCommand", "TrustedUserCAKeys"];
    let keys = || {
        let none = sources.iter().all(|source| unset(source));
        off("PubkeyAuthentication").or_else(|| none.then_some("AuthorizedKeysFile"))
    };
    let keyboard = "KbdInteractiveAuthentication";
    let gone = match used(login) {
        Some("publickey") => keys(),
        Some("password") => off("PasswordAuthentication"),
        Some("keyboard-interactive") => off(keyboard),
        Some("hostbased") => off("HostbasedAuthentication"),
        Some("gssapi-with-mic") => off("GSSAPIAuthentication"),
        _ => keys().filter(|_| off("PasswordAuthentication").is_some() && off(keyboard).is_some()),
    }?;
    let why = match (used(login), gone) {
        (_, "AuthorizedKeysFile") => "logs in by public key, and sshd would look for keys nowhere".to_owned(),
        (Some(used), gone) => format!("logs in by {used}, which {gone} no switches off"),
        (None, _) => "has no way left: all usual methods are switched off".to_owned(),
    };
    Some((gone, why))
}

/// Whether the one method they used is enough.
fn methods_together(login: &RecentLogin, values: &SshdEffective) -> Reason {
    let all = values_of(values, "AuthenticationMethods").join(" ");
    let lists = sshd_words(&all).filter(|lists| !lists.is_empty() && *lists != ["any"])?;
    let name = |method: &str| method.split(':').next().unwrap_or_default().to_owned();
    let enough = |list: &String| match used(login) {
        Some(used) => name(list) == used && !list.contains(','),
        None => !list.contains(','),
    };
    if lists.iter().any(enough) {
        return None;
    }
    let how = used(login).map_or("with one method".to_owned(), |used| format!("by {used} alone"));
    Some(("AuthenticationMethods", format!("logs in {how}, and AuthenticationMethods demands {all}")))
}

/// Whether they come in, but to something else than before.
fn other_session(before: &SshdEffective, after: &SshdEffective) -> Reason {
    let new = |keyword: &str, none: &str| {
        let value = values_of(after, keyword).join(" ");
        let old = values_of(before, keyword).join(" ");
        (!value.is_empty() && value != none && value != old).then_some(value)
    };
    if let Some(command) = new("ForceCommand", "none") {
        return Some(("ForceCommand", format!("would get {command} instead of what they call for")));
    }
    if let Some(folder) = new("ChrootDirectory", "none") {
        return Some(("ChrootDirectory", format!("would be locked into {folder}")));
    }
    let without = |keyword: &str, value: &str| is(after, keyword, value) && !is(before, keyword, value);
    if without("MaxSessions", "0") {
        return Some(("MaxSessions", "would get no session (MaxSessions 0)".to_owned()));
    }
    without("PermitTTY", "no").then(|| ("PermitTTY", "would get no terminal (PermitTTY no)".to_owned()))
}

#[cfg(test)]
mod tests;
