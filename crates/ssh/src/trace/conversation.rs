//! Both sources of a trace in one order, with names.

use super::entry::{Detail, Direction, Entry, Layer, Message};
use super::overheard::Overheard;
use super::table::{KeyExchange, Method, meaning};

const NEWKEYS: u8 = 21;

/// What is known of one connection: the state that gives numbers their names.
///
/// Until a direction's NEWKEYS the bytes speak ([`clear`](Self::clear)) and what the library says is not needed;
/// from then on the library speaks ([`heard`](Self::heard)). What it says too early is kept until the bytes have
/// caught up.
#[derive(Debug, Default)]
pub struct Conversation {
    exchange: Option<KeyExchange>,
    method: Option<Method>,
    strict: bool,
    sent: Lane,
    received: Lane,
    /// What the next messages of a number say, in their order.
    ahead: Vec<(u8, Detail)>,
}

#[derive(Debug, Default)]
struct Lane {
    /// The library has spoken of NEWKEYS.
    told: bool,
    /// The bytes have shown NEWKEYS.
    sealed: bool,
    held: Vec<Overheard>,
    sequence: u32,
    last: u8,
}

/// A peer that never seals its side does not make us keep more than this.
const MOST_HELD: usize = 1000;

impl Conversation {
    /// Begins with an open connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what was read from the bytes.
    pub fn clear(&mut self, entry: Entry) -> Vec<Entry> {
        let mut sealed = None;
        match &entry {
            Entry::Agreed(agreement) => {
                self.exchange = agreement.key_exchange.as_deref().and_then(KeyExchange::of);
                self.strict = agreement.strict;
            }
            Entry::Message(message) => {
                let strict = self.strict;
                let lane = self.lane(message.direction);
                lane.sequence = message.sequence.wrapping_add(1);
                lane.last = message.number;
                if message.number == NEWKEYS {
                    if strict {
                        lane.sequence = 0;
                    }
                    sealed = Some(message.direction);
                }
            }
            Entry::Line { .. } | Entry::Detail { .. } | Entry::Garbage { .. } => {}
        }
        let mut entries = vec![entry];
        if let Some(direction) = sealed {
            let lane = self.lane(direction);
            lane.sealed = true;
            for held in std::mem::take(&mut lane.held) {
                entries.extend(self.take(held));
            }
        }
        entries
    }

    /// Takes in what the library said.
    pub fn heard(&mut self, heard: Overheard) -> Vec<Entry> {
        let direction = match &heard {
            Overheard::Message { direction, number, .. } => {
                let lane = self.lane(*direction);
                if !lane.told {
                    lane.told = *number == NEWKEYS;
                    return Vec::new();
                }
                *direction
            }
            Overheard::Detail { direction, .. } => {
                if !self.lane(*direction).told {
                    return Vec::new();
                }
                *direction
            }
            Overheard::Method(_) | Overheard::Ahead { .. } => return self.take(heard),
        };
        let lane = self.lane(direction);
        if lane.sealed {
            return self.take(heard);
        }
        if lane.held.len() < MOST_HELD {
            lane.held.push(heard);
        }
        Vec::new()
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }

    fn take(&mut self, heard: Overheard) -> Vec<Entry> {
        match heard {
            Overheard::Message { direction, number, length } => self.message(direction, number, length),
            Overheard::Detail { direction, detail } => {
                let number = self.lane(direction).last;
                vec![Entry::Detail { direction, number, detail }]
            }
            Overheard::Method(name) => {
                self.method = Some(Method::of(&name));
                Vec::new()
            }
            Overheard::Ahead { number, detail } => {
                if self.ahead.len() < MOST_HELD {
                    self.ahead.push((number, detail));
                }
                Vec::new()
            }
        }
    }

    fn message(&mut self, direction: Direction, number: u8, length: Option<usize>) -> Vec<Entry> {
        let meaning = meaning(number, self.exchange, self.method);
        let strict = self.strict;
        let lane = self.lane(direction);
        let sequence = lane.sequence;
        lane.sequence = if number == NEWKEYS && strict { 0 } else { sequence.wrapping_add(1) };
        lane.last = number;
        let message = Message {
            direction,
            number,
            name: meaning.name,
            layer: Layer::of(number),
            reference: meaning.reference,
            sequence,
            length,
            encrypted: true,
        };
        let mut entries = vec![Entry::Message(message)];
        if direction == Direction::Sent {
            let said = self.said_by(number);
            entries.extend(said.into_iter().map(|detail| Entry::Detail { direction, number, detail }));
        }
        entries
    }

    /// What was said ahead about the next message of a number: no name twice, that is another message's.
    fn said_by(&mut self, number: u8) -> Vec<Detail> {
        let mut said: Vec<Detail> = Vec::new();
        let mut over = false;
        let mut kept = Vec::new();
        for (about, detail) in std::mem::take(&mut self.ahead) {
            over |= about == number && said.iter().any(|before| before.name == detail.name);
            if about == number && !over {
                said.push(detail);
            } else {
                kept.push((about, detail));
            }
        }
        self.ahead = kept;
        said
    }
}
