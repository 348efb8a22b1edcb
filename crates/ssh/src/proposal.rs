//! What each side offers in the key exchange, read from the wire while it is still in the clear.

/// More is not a version line and a KEXINIT (RFC 4253, section 6.1: packets of 35000 bytes).
const LONGEST: usize = 48 * 1024;
/// SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;
/// The message's number and its cookie.
const HEAD: usize = 17;

/// The name lists of one side's SSH_MSG_KEXINIT (RFC 4253, section 7.1), languages left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// Key exchange methods, with the extension markers that travel among them.
    pub key_exchange: Vec<String>,
    /// Host key algorithms.
    pub host_key: Vec<String>,
    /// Ciphers, client to server.
    pub cipher: Vec<String>,
    /// Ciphers, server to client.
    pub cipher_back: Vec<String>,
    /// MACs, client to server.
    pub mac: Vec<String>,
    /// MACs, server to client.
    pub mac_back: Vec<String>,
    /// Compression, client to server.
    pub compression: Vec<String>,
    /// Compression, server to client.
    pub compression_back: Vec<String>,
}

impl Proposal {
    /// Reads a KEXINIT payload; `None` when it is none.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        if payload.first() != Some(&KEXINIT) {
            return None;
        }
        let mut rest = payload.get(HEAD..)?;
        let mut list = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (names, after) = after.split_at_checked(length)?;
            rest = after;
            let names = std::str::from_utf8(names).ok()?;
            Some(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        };
        Some(Self {
            key_exchange: list()?,
            host_key: list()?,
            cipher: list()?,
            cipher_back: list()?,
            mac: list()?,
            mac_back: list()?,
            compression: list()?,
            compression_back: list()?,
        })
    }
}

/// What the two proposals lead to (RFC 4253, section 7.1): the client's first that the server has as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The key exchange method.
    pub key_exchange: String,
    /// The host key's algorithm.
    pub host_key: String,
    /// The cipher, client to server.
    pub cipher: String,
    /// The MAC, client to server; `None` when the cipher authenticates by itself.
    pub mac: Option<String>,
    /// Whether both sides keep strict key exchange (OpenSSH's PROTOCOL, section 1.10).
    pub strict: bool,
}

impl Negotiated {
    /// Negotiates; `None` where nothing is in common.
    pub fn of(client: &Proposal, server: &Proposal) -> Option<Self> {
        let cipher = common(&client.cipher, &server.cipher)?;
        let own_mac = cipher.contains("gcm") || cipher.contains("poly1305");
        let mac = if own_mac { None } else { Some(common(&client.mac, &server.mac)?) };
        let has = |side: &Proposal, name: &str| side.key_exchange.iter().any(|k| k == name);
        Some(Self {
            key_exchange: common(&client.key_exchange, &server.key_exchange)?,
            host_key: common(&client.host_key, &server.host_key)?,
            cipher,
            mac,
            strict: has(client, "kex-strict-c-v00@openssh.com")
                && has(server, "kex-strict-s-v00@openssh.com"),
        })
    }

    /// Whether the key exchange withstands a quantum computer.
    pub fn is_post_quantum(&self) -> bool {
        self.key_exchange.starts_with("mlkem") || self.key_exchange.starts_with("sntrup")
    }
}

/// Extension markers travel among the key exchange methods and are none.
fn is_marker(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-")
}

pub(crate) fn common(client: &[String], server: &[String]) -> Option<String> {
    client.iter().find(|name| !is_marker(name) && server.contains(name)).cloned()
}

/// One direction's beginning: other lines, the version line, the first packet.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    bytes: Vec<u8>,
    done: bool,
    /// Lines before the version line.
    pub(crate) before: Vec<u8>,
    pub(crate) version: Option<String>,
    pub(crate) proposal: Option<Proposal>,
}

impl Opening {
    /// Takes bytes in, until the first packet is complete or cannot be one. True when the version line is new.
    pub(crate) fn watch(&mut self, bytes: &[u8]) -> bool {
        if self.done {
            return false;
        }
        let had = self.version.is_some();
        self.bytes.extend(bytes.iter().take(LONGEST.saturating_sub(self.bytes.len())));
        while self.version.is_none() {
            let Some(end) = self.bytes.iter().position(|b| *b == b'\n') else { break };
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            if line.starts_with(b"SSH-") {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                self.version = Some(text);
            } else {
                self.before.extend(line);
            }
        }
        if self.version.is_some() {
            self.packet();
        }
        if self.bytes.len() >= LONGEST || self.before.len() >= LONGEST {
            self.finish();
        }
        self.version.is_some() && !had
    }

    fn packet(&mut self) {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else { return };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return self.finish();
        }
        let Some(packet) = rest.get(..length) else { return };
        self.proposal = packet.split_first().and_then(|(padding, body)| {
            Proposal::parse(body.get(..body.len().checked_sub(usize::from(*padding))?)?)
        });
        self.finish();
    }

    fn finish(&mut self) {
        self.done = true;
        self.bytes = Vec::new();
    }

    /// Everything so far that is not a version line, for a server that does not speak SSH.
    pub(crate) fn other_bytes(&self) -> Vec<u8> {
        let rest: &[u8] = if self.version.is_some() { &[] } else { &self.bytes };
        [self.before.as_slice(), rest].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kexinit(lists: [&str; 6]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([0; 16]);
        for list in lists {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        // Compression, both ways.
        for _ in 0..2 {
            payload.extend(b"\0\0\0\x04none");
        }
        payload
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let padding = 6;
        let mut bytes = u32::try_from(payload.len() + padding + 1).unwrap().to_be_bytes().to_vec();
        bytes.push(u8::try_from(padding).unwrap());
        bytes.extend(payload);
        bytes.extend([0; 6]);
        bytes
    }

    #[test]
    fn the_beginning_is_read_in_any_pieces() {
        let payload = kexinit(["a,b", "h", "c", "c", "m", "m"]);
        let bytes = [b"hello\r\nSSH-2.0-x y\r\n".as_slice(), &packet(&payload), b"encrypted"].concat();
        for step in [1, 3, 7, bytes.len()] {
            let mut opening = Opening::default();
            let greetings = bytes.chunks(step).filter(|piece| opening.watch(piece)).count();
            assert_eq!(greetings, 1);
            assert_eq!(opening.version.as_deref(), Some("SSH-2.0-x y"));
            assert_eq!(opening.before, b"hello\r\n");
            assert_eq!(opening.proposal.as_ref().unwrap().key_exchange, ["a", "b"]);
        }
    }

    #[test]
    fn the_clients_first_that_the_server_has_is_taken() {
        let read = |lists| Proposal::parse(&kexinit(lists)).unwrap();
        let client = read(["ext-info-c,kex-strict-c-v00@openssh.com,p,q", "h", "aes128-ctr", "", "m,n", ""]);
        let server = read(["ext-info-c,q,p,kex-strict-s-v00@openssh.com", "h", "aes128-ctr", "", "n", ""]);
        let negotiated = Negotiated::of(&client, &server).unwrap();
        assert_eq!((negotiated.key_exchange.as_str(), negotiated.strict), ("p", true));
        assert_eq!(negotiated.mac.as_deref(), Some("n"));
        assert_eq!(Negotiated::of(&client, &read(["q", "h", "c", "", "m", ""])), None);
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_costs_more_than_it_may(pieces: Vec<Vec<u8>>) {
            let mut opening = Opening::default();
            for piece in pieces {
                opening.watch(&piece);
            }
            prop_assert!(opening.bytes.len() <= LONGEST);
        }
    }
}
