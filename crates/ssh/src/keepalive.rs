//! Counting the keepalives of a server (ClientAliveInterval, sshd_config(5)) on a connection on which nothing runs.
//!
//! sshd asks for a sign of life by a global request named `keepalive@openssh.com`. The SSH library answers it by itself
//! and tells nobody, so it is recognised at the stream under the session, by two things together:
//!
//! * its length, which follows from its name, the cipher and the MAC. The library reads a packet in two parts, first
//!   what tells the length and then exactly the rest, so packets are told apart although they are encrypted;
//! * that it is answered at once. On a connection on which nothing runs, this side says nothing of its own accord
//!   (its own keepalives have to be off), and OpenSSH's server has no other request that wants an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::Names;
use tokio::sync::watch;

/// Message number, name with its length, and whether an answer is wanted (RFC 4254, section 4), in bytes.
const REQUEST: usize = 1 + 4 + "keepalive@openssh.com".len() + 1;

/// What the library asks for to learn a packet's length, in bytes: the length itself, or a cipher's first block. The
/// rest of a packet is never as short as the one nor as long as the other: there is a MAC in it, of 16 bytes or more.
const HEADS: [usize; 2] = [4, 16];

/// What is known about a connection's keepalives.
#[derive(Debug)]
pub(crate) struct Keepalives {
    /// How long a packet with the request is on the wire; 0 as long as that is unknown.
    length: AtomicUsize,
    /// How many channels there are.
    channels: AtomicUsize,
    count: watch::Sender<u64>,
}

impl Default for Keepalives {
    fn default() -> Self {
        Self { length: AtomicUsize::new(0), channels: AtomicUsize::new(0), count: watch::Sender::new(0) }
    }
}

impl Keepalives {
    /// Learns how packets look from now on.
    pub(crate) fn agreed(&self, names: &Names) {
        let length = packet_length(names.cipher.as_ref(), names.server_mac.as_ref(), REQUEST);
        self.length.store(length.unwrap_or_default(), Ordering::Release);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Tells about each further one.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    fn is_idle(&self) -> bool {
        self.channels.load(Ordering::Acquire) == 0
    }
}

/// A channel of a connection. As long as there is one, the connection is not idle.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Keepalives>);

impl InUse {
    pub(crate) fn new(keepalives: &Arc<Keepalives>) -> Self {
        keepalives.channels.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(keepalives))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Listens at a stream.
#[derive(Debug)]
pub(crate) struct Ear {
    keepalives: Arc<Keepalives>,
    /// The length of the part that was read last, if it was a head.
    head: usize,
    /// How many bytes were written since a packet of the right length; `None` after any other.
    answer: Option<usize>,
}

impl Ear {
    pub(crate) fn new(keepalives: Arc<Keepalives>) -> Self {
        Self { keepalives, head: 0, answer: None }
    }

    /// The session asks for a part of a packet: whatever it has to say about the one before has been said.
    pub(crate) fn begun(&mut self) {
        if self.answer.take().is_some_and(|bytes| bytes > 0) && self.keepalives.is_idle() {
            self.keepalives.count.send_modify(|count| *count += 1);
        }
    }

    /// A part of a packet has been read.
    pub(crate) fn read(&mut self, length: usize) {
        if HEADS.contains(&length) {
            self.head = length;
            return;
        }
        let packet = std::mem::take(&mut self.head) + length;
        let is_request = packet == self.keepalives.length.load(Ordering::Acquire);
        self.answer = (is_request && self.keepalives.is_idle()).then_some(0);
    }

    /// Something has been written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        if let Some(answer) = &mut self.answer {
            *answer += bytes;
        }
    }
}

/// How long a packet is on the wire, with as little padding as RFC 4253, section 6, allows; `None` for ciphers and MACs
/// that are not known here.
fn packet_length(cipher: &str, mac: &str, payload: usize) -> Option<usize> {
    let (block, mac, clear_length) = match cipher {
        "chacha20-poly1305@openssh.com" => (8, 16, true),
        "aes256-gcm@openssh.com" | "aes128-gcm@openssh.com" => (16, 16, true),
        "aes256-ctr" | "aes192-ctr" | "aes128-ctr" | "aes256-cbc" | "aes192-cbc" | "aes128-cbc" => {
            match mac {
                "hmac-sha1" => (16, 20, false),
                "hmac-sha1-etm@openssh.com" => (16, 20, true),
                "hmac-sha2-256" => (16, 32, false),
                "hmac-sha2-256-etm@openssh.com" => (16, 32, true),
                "hmac-sha2-512" => (16, 64, false),
                "hmac-sha2-512-etm@openssh.com" => (16, 64, true),
                _ => return None,
            }
        }
        _ => return None,
    };
    // The padding's length, the payload, and four bytes of padding at least, in whole blocks; the packet's length is
    // before these or in them.
    let (before, within) = if clear_length { (4, 0) } else { (0, 4) };
    let blocks: usize = within + 1 + payload + 4;
    Some(before + blocks.next_multiple_of(block) + mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_length_on_the_wire() {
        assert_eq!(packet_length("chacha20-poly1305@openssh.com", "", REQUEST), Some(52));
        assert_eq!(packet_length("aes256-gcm@openssh.com", "", REQUEST), Some(52));
        assert_eq!(packet_length("aes128-ctr", "hmac-sha2-256", REQUEST), Some(80));
        assert_eq!(packet_length("aes128-ctr", "hmac-sha2-512-etm@openssh.com", REQUEST), Some(100));
        assert_eq!(packet_length("none", "hmac-sha2-256", REQUEST), None);
    }

    fn hears(parts: &[usize], written: usize) -> Arc<Keepalives> {
        let keepalives = Arc::new(Keepalives::default());
        keepalives.length.store(52, Ordering::Release);
        let mut ear = Ear::new(Arc::clone(&keepalives));
        for length in parts {
            ear.begun();
            ear.read(*length);
        }
        ear.wrote(written);
        ear.begun();
        ear.begun();
        keepalives
    }

    #[test]
    fn what_is_not_answered_or_of_another_length_does_not_count() {
        assert_eq!(hears(&[4, 48], 36).count(), 1);
        assert_eq!(hears(&[4, 400, 4, 48], 36).count(), 1);
        assert_eq!(hears(&[4, 48], 0).count(), 0);
        assert_eq!(hears(&[4, 49], 36).count(), 0);
        assert_eq!(hears(&[4, 48, 4, 100], 36).count(), 0);
        assert_eq!(hears(&[4, 48, 4], 36).count(), 0, "the answer is to another packet");
    }

    #[test]
    fn a_connection_with_channels_is_not_idle() {
        let keepalives = hears(&[4, 48], 36);
        let mut ear = Ear::new(Arc::clone(&keepalives));
        let channel = InUse::new(&keepalives);
        let packet = |ear: &mut Ear| {
            ear.begun();
            ear.read(4);
            ear.begun();
            ear.read(48);
            ear.wrote(36);
            ear.begun();
        };
        packet(&mut ear);
        assert_eq!(keepalives.count(), 1);
        drop(channel);
        packet(&mut ear);
        assert_eq!(keepalives.count(), 2);
    }
}
