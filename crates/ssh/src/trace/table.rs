//! Message numbers and their names.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::entry::Layer;

const TEXT: &str = include_str!("messages.tsv");

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| TEXT.lines().filter_map(Row::parse).collect());

/// A line of the table.
#[derive(Debug)]
struct Row {
    numbers: Vec<RangeInclusive<u8>>,
    name: &'static str,
    context: Context,
    reference: String,
}

/// What a number's meaning depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Always,
    KeyExchange(KeyExchange),
    Method(Method),
}

/// The families of key exchanges that give 30 to 49 their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// Diffie-Hellman in a fixed group (RFC 4253, section 8).
    Group,
    /// Diffie-Hellman in a group that the server chooses (RFC 4419).
    GroupExchange,
    /// Elliptic curves (RFC 5656, RFC 8731).
    EllipticCurve,
    /// RFC 5656, section 7.2.
    Ecmqv,
    /// Post-quantum and classic together.
    Hybrid,
    /// RFC 4432.
    Rsa,
    /// GSS-API (RFC 4462, section 2.1).
    Gss,
    /// GSS-API in a group that the server chooses (RFC 4462, section 2.2).
    GssGroupExchange,
}

impl KeyExchange {
    /// The family of an algorithm's name.
    pub fn of(algorithm: &str) -> Option<Self> {
        let starts = |prefix: &str| algorithm.starts_with(prefix);
        Some(match () {
            () if starts("diffie-hellman-group-exchange-") => Self::GroupExchange,
            () if starts("diffie-hellman-group") => Self::Group,
            () if starts("ecdh-") || starts("curve25519-") || starts("curve448-") => Self::EllipticCurve,
            () if starts("ecmqv-") => Self::Ecmqv,
            () if starts("mlkem") || starts("sntrup761") => Self::Hybrid,
            () if starts("rsa1024-") || starts("rsa2048-") => Self::Rsa,
            () if starts("gss-gex-") => Self::GssGroupExchange,
            () if starts("gss-") => Self::Gss,
            () => return None,
        })
    }

    /// Whether a row for `row` holds for an exchange of this family.
    fn has(self, row: Self) -> bool {
        self == row || (self == Self::GssGroupExchange && row == Self::Gss)
    }
}

/// The authentication methods that give 60 to 79 their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// RFC 4252, section 7.
    PublicKey,
    /// RFC 4252, section 8.
    Password,
    /// RFC 4256.
    KeyboardInteractive,
    /// RFC 4462, section 3.
    Gssapi,
    /// One without messages of its own: `none`, `hostbased`.
    Other,
}

impl Method {
    /// The method of a name.
    pub fn of(name: &str) -> Self {
        match name {
            "publickey" => Self::PublicKey,
            "password" => Self::Password,
            "keyboard-interactive" => Self::KeyboardInteractive,
            _ if name.starts_with("gssapi") => Self::Gssapi,
            _ => Self::Other,
        }
    }
}

impl Context {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" | "transport" | "kex" | "auth" | "connection" | "channel" | "OpenSSH local" | "-" => {
                Self::Always
            }
            "dh-group*" => Self::KeyExchange(KeyExchange::Group),
            "dh-gex" => Self::KeyExchange(KeyExchange::GroupExchange),
            "ecdh/curve25519/448" => Self::KeyExchange(KeyExchange::EllipticCurve),
            "ecmqv-sha2" => Self::KeyExchange(KeyExchange::Ecmqv),
            "mlkem*/sntrup761*" => Self::KeyExchange(KeyExchange::Hybrid),
            "rsa1024/2048-*" | "rsa*" => Self::KeyExchange(KeyExchange::Rsa),
            "gss-*" => Self::KeyExchange(KeyExchange::Gss),
            "gss-gex-*" => Self::KeyExchange(KeyExchange::GssGroupExchange),
            "publickey" | "password" | "keyboard-interactive" | "gssapi-with-mic" | "gssapi" => {
                Self::Method(Method::of(text))
            }
            _ => return None,
        })
    }
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (numbers, name, context, reference) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let numbers: Option<Vec<_>> = numbers.split(',').map(range).collect();
        Some(Self { numbers: numbers?, name, context: Context::parse(context)?, reference: short(reference) })
    }
}

fn range(text: &str) -> Option<RangeInclusive<u8>> {
    match text.split_once('-') {
        Some((from, to)) => Some(from.parse().ok()?..=to.parse().ok()?),
        None => text.parse().ok().map(|number| number..=number),
    }
}

/// `RFC4253 11.1 (reason codes …), RFC…` becomes `RFC 4253 11.1`.
fn short(reference: &str) -> String {
    let end = reference.find([',', '(']).unwrap_or(reference.len());
    let first = reference.get(..end).unwrap_or(reference).trim();
    let first = if first == "idem" { "draft-ietf-sshm-mlkem-hybrid-kex" } else { first };
    match first.strip_prefix("RFC") {
        Some(rest) => format!("RFC {rest}"),
        None => first.to_owned(),
    }
}

/// What a message number means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Its name, or what is known of it.
    pub name: Cow<'static, str>,
    /// Where it is defined.
    pub reference: &'static str,
}

/// Tells what a number means under a key exchange and an authentication method, as far as they are known.
pub fn meaning(number: u8, exchange: Option<KeyExchange>, method: Option<Method>) -> Meaning {
    let fits = |context: Context| match context {
        Context::Always => true,
        Context::KeyExchange(row) => exchange.is_some_and(|exchange| exchange.has(row)),
        Context::Method(row) => method == Some(row),
    };
    let found = ROWS
        .iter()
        .find(|row| row.numbers.iter().any(|numbers| numbers.contains(&number)) && fits(row.context));
    match found {
        Some(row) => Meaning { name: Cow::Borrowed(row.name), reference: &row.reference },
        None => {
            let name = match number {
                30..=49 => "message of the key exchange method",
                60..=79 => "message of the authentication method",
                _ => "invalid message number",
            };
            Meaning { name: Cow::Borrowed(name), reference: Layer::of(number).reference() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8, exchange: Option<KeyExchange>, method: Option<Method>) -> Cow<'static, str> {
        meaning(number, exchange, method).name
    }

    #[test]
    fn every_row_of_the_table_is_understood() {
        let rows = TEXT.lines().filter(|line| !line.starts_with('#')).skip(1);
        for line in rows.clone() {
            assert!(Row::parse(line).is_some(), "{line}");
        }
        assert_eq!(ROWS.len(), rows.count());
    }

    #[test]
    fn every_number_but_0_stands_in_it() {
        for number in 1..=u8::MAX {
            assert!(
                ROWS.iter().any(|row| row.numbers.iter().any(|numbers| numbers.contains(&number))),
                "{number}"
            );
        }
        assert_eq!(name(0, None, None), "invalid message number");
    }

    #[test]
    fn the_key_exchange_gives_30_to_49_their_names() {
        let named = |number, algorithm: &str| name(number, KeyExchange::of(algorithm), None);
        assert_eq!(named(31, "curve25519-sha256@libssh.org"), "SSH_MSG_KEX_ECDH_REPLY");
        assert_eq!(named(31, "diffie-hellman-group14-sha256"), "SSH_MSG_KEXDH_REPLY");
        assert_eq!(named(31, "diffie-hellman-group-exchange-sha256"), "SSH_MSG_KEX_DH_GEX_GROUP");
        assert_eq!(named(31, "mlkem768x25519-sha256"), "SSH_MSG_KEX_HYBRID_REPLY");
        assert_eq!(named(40, "gss-gex-sha1-x"), "SSH_MSG_KEXGSS_GROUPREQ");
        assert_eq!(named(30, "gss-gex-sha1-x"), "SSH_MSG_KEXGSS_INIT");
        assert_eq!(named(30, "moon-sha256"), "message of the key exchange method");
        assert_eq!(named(35, "curve25519-sha256"), "unassigned kex-specific");
    }

    #[test]
    fn the_method_gives_60_to_79_their_names() {
        let named = |number, method: &str| name(number, None, Some(Method::of(method)));
        assert_eq!(named(60, "publickey"), "SSH_MSG_USERAUTH_PK_OK");
        assert_eq!(named(60, "password"), "SSH_MSG_USERAUTH_PASSWD_CHANGEREQ");
        assert_eq!(named(61, "keyboard-interactive"), "SSH_MSG_USERAUTH_INFO_RESPONSE");
        assert_eq!(named(66, "gssapi-with-mic"), "SSH_MSG_USERAUTH_GSSAPI_MIC");
        assert_eq!(named(60, "none"), "message of the authentication method");
    }

    #[test]
    fn references_are_short() {
        assert_eq!(meaning(1, None, None).reference, "RFC 4253 11.1");
        assert_eq!(
            meaning(31, Some(KeyExchange::Hybrid), None).reference,
            "draft-ietf-sshm-mlkem-hybrid-kex"
        );
        assert_eq!(meaning(192, None, None).reference, "PROTOCOL 1.8");
    }
}
