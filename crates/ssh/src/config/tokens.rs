//! `%h`, `${HOME}`: what stands for something else (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use super::local::Local;

/// Which tokens a keyword takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `%h`, the name as it was given (`HostName`).
    Name,
    /// Everything about the connection.
    Connection,
    /// The same, and the environment.
    Environment,
    /// The same; what the host's key decides stays as it is, for later (`KnownHostsCommand`).
    Later,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) local: &'a Local,
    /// `%h`: where we connect to.
    pub(super) host: &'a str,
    /// `%n`: what was asked for.
    pub(super) name: &'a str,
    /// `%k`: under which name its key is known.
    pub(super) alias: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`.
    pub(super) user: &'a str,
    /// `%j`: the hosts on the way.
    pub(super) jump: &'a str,
}

impl Tokens<'_> {
    /// Replaces what stands for something else.
    ///
    /// # Errors
    /// What cannot be replaced, in words.
    pub(super) fn expand(&self, text: &str, takes: Takes) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            let (before, after) = rest.split_at(at);
            expanded.push_str(before);
            rest = match after.strip_prefix('%') {
                Some(after) => self.token(after, takes, &mut expanded)?,
                None => self.variable(after, takes, &mut expanded)?,
            };
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn token<'t>(&self, after: &'t str, takes: Takes, expanded: &mut String) -> Result<&'t str, String> {
        let Some(token) = after.chars().next() else {
            return Err("`%` at the end stands for nothing; write %% for a percent sign".to_owned());
        };
        let rest = after.get(token.len_utf8()..).unwrap_or_default();
        if takes == Takes::Later && "%fHIKt".contains(token) {
            expanded.push('%');
            expanded.push(token);
            return Ok(rest);
        }
        let value = match (token, takes) {
            ('%', _) => "%".to_owned(),
            ('h', _) => self.host.to_owned(),
            (_, Takes::Name) => return Err(format!("%{token} stands for nothing here, only %h and %% do")),
            ('n', _) => self.name.to_owned(),
            ('k', _) => self.alias.to_owned(),
            ('p', _) => self.port.to_string(),
            ('r', _) => self.user.to_owned(),
            ('j', _) => self.jump.to_owned(),
            ('u', _) => self.local.user.clone(),
            ('i', _) => self.local.uid.to_string(),
            ('l', _) => self.local.host.clone(),
            ('L', _) => self.local.short_host().to_owned(),
            ('C', _) => self.hash(),
            ('d', _) => match &self.local.home {
                Some(home) => home.to_string_lossy().into_owned(),
                None => return Err("%d has no meaning here: HOME is not set".to_owned()),
            },
            _ => {
                return Err(format!(
                    "%{} stands for nothing; write %% for a percent sign",
                    token.escape_debug()
                ));
            }
        };
        if takes == Takes::Later {
            expanded.push_str(&value.replace('%', "%%"));
        } else {
            expanded.push_str(&value);
        }
        Ok(rest)
    }

    fn variable<'t>(&self, after: &'t str, takes: Takes, expanded: &mut String) -> Result<&'t str, String> {
        let environment = matches!(takes, Takes::Environment | Takes::Later);
        let Some(inside) = after.strip_prefix("${").filter(|_| environment) else {
            expanded.push('$');
            return Ok(after.get(1..).unwrap_or_default());
        };
        let Some((name, rest)) = inside.split_once('}') else {
            return Err("`${` lacks its `}`".to_owned());
        };
        let value = self.local.variables.get(name);
        let value = value.ok_or_else(|| format!("the environment has no variable {name:?}"))?;
        expanded.push_str(value);
        Ok(rest)
    }

    /// `%C`: SHA-1 of `%l%h%p%r%j`.
    fn hash(&self) -> String {
        let mut hash = Sha1::new();
        let port = self.port.to_string();
        for part in [self.local.host.as_str(), self.host, &port, self.user, self.jump] {
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
