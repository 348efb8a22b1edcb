//! The beginning of a connection, which is not encrypted: version lines and the first key exchange.

use super::agreement::{Proposals, proposed};
use super::entry::{Direction, Entry, Layer, Message, Role};
use super::payload;
use super::reader::Reader;
use super::table::{KeyExchange, meaning};
use crate::proposal::Proposal;

/// A longer packet is not SSH (RFC 4253, section 6.1 asks for 35000; OpenSSH takes this).
const LONGEST_PACKET: usize = 256 * 1024;
/// A longer line is not SSH (RFC 4253, section 4.2 allows 255 for the version line).
const LONGEST_LINE: usize = 8 * 1024;
/// More lines before the version line are not shown.
const MOST_LINES: usize = 100;

/// NEWKEYS: the next packet of its direction is encrypted.
const NEWKEYS: u8 = 21;
const KEXINIT: u8 = 20;

/// Reads both directions of one connection up to their NEWKEYS, in bounded memory.
#[derive(Debug)]
pub struct ClearText {
    role: Role,
    sent: Lane,
    received: Lane,
    proposals: Proposals,
    exchange: Option<KeyExchange>,
}

#[derive(Debug)]
struct Lane {
    stage: Stage,
    buffer: Vec<u8>,
    lines: usize,
    sequence: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Lines,
    Packets,
    Over,
}

/// A piece of a direction.
enum Piece {
    Line { text: String, version: bool },
    Packet(Vec<u8>),
    Garbage(String),
}

impl ClearText {
    /// Begins with an open connection.
    pub fn new(role: Role) -> Self {
        let lane = || Lane { stage: Stage::Lines, buffer: Vec::new(), lines: 0, sequence: 0 };
        Self { role, sent: lane(), received: lane(), proposals: Proposals::default(), exchange: None }
    }

    /// Takes bytes in and tells what they are.
    pub fn feed(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let lane = self.lane(direction);
        if lane.stage == Stage::Over {
            return entries;
        }
        lane.buffer.extend_from_slice(bytes);
        while let Some(piece) = self.lane(direction).next() {
            match piece {
                Piece::Line { text, version } => entries.push(Entry::Line { direction, text, version }),
                Piece::Packet(payload) => self.packet(direction, &payload, &mut entries),
                Piece::Garbage(reason) => {
                    self.lane(direction).end();
                    entries.push(Entry::Garbage { direction, reason });
                }
            }
        }
        entries
    }

    /// Whether both directions are encrypted, or no SSH: nothing comes any more.
    pub fn is_over(&self) -> bool {
        self.sent.stage == Stage::Over && self.received.stage == Stage::Over
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }

    fn packet(&mut self, direction: Direction, payload: &[u8], entries: &mut Vec<Entry>) {
        let Some((&number, rest)) = payload.split_first() else { return };
        let meaning = meaning(number, self.exchange, None);
        let lane = self.lane(direction);
        let sequence = lane.sequence;
        lane.sequence = sequence.wrapping_add(1);
        if number == NEWKEYS {
            lane.end();
        }
        entries.push(Entry::Message(Message {
            direction,
            number,
            name: meaning.name,
            layer: Layer::of(number),
            reference: meaning.reference,
            sequence,
            length: Some(payload.len()),
            encrypted: false,
        }));
        let mut proposal = None;
        let details = if number == KEXINIT {
            proposal = Proposal::parse(payload);
            match &proposal {
                Some(proposal) => proposed(proposal),
                None => vec![super::Detail::new("malformed", "not lists of names")],
            }
        } else {
            payload::details(number, rest, self.exchange)
        };
        entries.extend(details.into_iter().map(|detail| Entry::Detail { direction, number, detail }));
        if let Some(agreement) = proposal.and_then(|p| self.proposals.add(self.role, direction, p)) {
            self.exchange = agreement.key_exchange.as_deref().and_then(KeyExchange::of);
            entries.push(Entry::Agreed(agreement));
        }
    }
}

impl Lane {
    fn end(&mut self) {
        self.stage = Stage::Over;
        self.buffer = Vec::new();
    }

    fn next(&mut self) -> Option<Piece> {
        match self.stage {
            Stage::Lines => self.line(),
            Stage::Packets => self.packet(),
            Stage::Over => None,
        }
    }

    fn line(&mut self) -> Option<Piece> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            let long = self.buffer.len() > LONGEST_LINE;
            return long.then(|| Piece::Garbage(format!("a line of more than {LONGEST_LINE} bytes")));
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let version = line.starts_with(b"SSH-");
        if version {
            self.stage = Stage::Packets;
        }
        self.lines += 1;
        if self.lines > MOST_LINES {
            return Some(Piece::Garbage(format!("more than {MOST_LINES} lines and no version among them")));
        }
        Some(Piece::Line { text: String::from_utf8_lossy(&line).into_owned(), version })
    }

    /// The binary packet protocol without a MAC (RFC 4253, section 6).
    fn packet(&mut self) -> Option<Piece> {
        let mut reader = Reader::new(&self.buffer);
        let length = usize::try_from(reader.uint32()?).unwrap_or(usize::MAX);
        if !(2..=LONGEST_PACKET).contains(&length) {
            return Some(Piece::Garbage(format!("a packet that says it has {length} bytes")));
        }
        let packet = reader.take(length)?;
        let payload = packet.split_first().and_then(|(&padding, rest)| {
            let length = rest.len().checked_sub(usize::from(padding))?;
            rest.get(..length).filter(|payload| !payload.is_empty())
        });
        let Some(payload) = payload.map(<[u8]>::to_vec) else {
            return Some(Piece::Garbage("a packet with more padding than it has bytes".to_owned()));
        };
        self.buffer.drain(..4 + length);
        Some(Piece::Packet(payload))
    }
}
