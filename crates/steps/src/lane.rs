//! One stream of the privileged shell, taken apart at its markers.

use std::collections::VecDeque;

/// What ends a part of a stream.
#[derive(Debug)]
enum Marker {
    /// A fixed text.
    Plain(Vec<u8>),
    /// A text, and the rest of its line.
    Line(Vec<u8>),
}

impl Marker {
    fn text(&self) -> &[u8] {
        match self {
            Self::Plain(text) | Self::Line(text) => text,
        }
    }
}

/// What stood before a marker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    pub(crate) truncated: bool,
    /// The rest of the marker's line, without the newline.
    pub(crate) rest: Vec<u8>,
}

/// One stream: bytes go in, parts come out, in the order in which their markers were announced.
///
/// Memory is bounded by the limit per announced marker. What comes when no marker is awaited is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    limit: usize,
    awaited: VecDeque<Marker>,
    parts: VecDeque<Part>,
    kept: Vec<u8>,
    truncated: bool,
    /// Bytes that may be the beginning of a marker.
    carry: Vec<u8>,
}

impl Lane {
    /// Begins with whatever stands before the text that says that the host is ready.
    pub(crate) fn new(limit: usize, ready: &str) -> Self {
        Self {
            limit,
            awaited: VecDeque::from([Marker::Plain(ready.as_bytes().to_vec())]),
            parts: VecDeque::new(),
            kept: Vec::new(),
            truncated: false,
            carry: Vec::new(),
        }
    }

    /// Announces the end marker of a request.
    pub(crate) fn announce(&mut self, nonce: &str) {
        self.awaited.push_back(Marker::Line(format!("\n{nonce} ").into_bytes()));
    }

    /// Takes the oldest finished part.
    pub(crate) fn take(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }

    /// Whether a part is finished.
    pub(crate) fn has_part(&self) -> bool {
        !self.parts.is_empty()
    }

    /// What has come of the part that is not finished.
    pub(crate) fn unfinished(&self) -> Vec<u8> {
        [self.kept.as_slice(), self.carry.as_slice()].concat()
    }

    /// Takes bytes from the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.carry.extend_from_slice(bytes);
        while self.advance() {}
    }

    /// Finishes a part if its marker is there; false when more bytes are needed.
    fn advance(&mut self) -> bool {
        let Some(marker) = self.awaited.front() else {
            self.carry.clear();
            return false;
        };
        let text = marker.text();
        let Some(start) = find(&self.carry, text) else {
            let settled = self.carry.len().saturating_sub(text.len().saturating_sub(1));
            self.keep(settled);
            return false;
        };
        let after = start.saturating_add(text.len());
        let whole_line = matches!(marker, Marker::Line(_));
        let rest = self.carry.get(after..).unwrap_or_default();
        let (rest, used) = if whole_line {
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                return self.wait_for_line(start);
            };
            (rest.get(..end).unwrap_or_default().to_vec(), text.len().saturating_add(end).saturating_add(1))
        } else {
            (Vec::new(), text.len())
        };
        self.keep(start);
        self.carry.drain(..used);
        self.awaited.pop_front();
        let bytes = std::mem::take(&mut self.kept);
        self.parts.push_back(Part { bytes, truncated: std::mem::take(&mut self.truncated), rest });
        true
    }

    /// The marker's line is not whole yet: what stands before it is settled.
    fn wait_for_line(&mut self, start: usize) -> bool {
        self.keep(start);
        false
    }

    /// Moves the first bytes of the carry to what is kept, as far as the limit allows.
    fn keep(&mut self, count: usize) {
        let room = self.limit.saturating_sub(self.kept.len());
        self.truncated |= count > room;
        self.kept.extend(self.carry.drain(..count).take(room));
    }
}

/// Finds a text in bytes.
pub(crate) fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = text.first()?;
    let mut from = 0;
    while let Some(offset) = bytes.get(from..)?.iter().position(|byte| byte == first) {
        let start = from.saturating_add(offset);
        if bytes.get(start..)?.starts_with(text) {
            return Some(start);
        }
        from = start.saturating_add(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(lane: &mut Lane) -> Vec<Part> {
        std::iter::from_fn(|| lane.take()).collect()
    }

    #[test]
    fn parts_end_at_their_own_markers_only() {
        let mut lane = Lane::new(100, "ready\n");
        lane.announce("n1");
        lane.announce("n2");
        lane.push(b"Welcome!\nready\nn1 in the text\nn2 too\nn1 0 ran\n\nn2 1 late");
        assert_eq!(parts(&mut lane).len(), 2);
        assert_eq!(lane.unfinished(), b"\nn2 1 late");
        lane.push(b"\njunk that nobody awaits");
        let part = lane.take().unwrap();
        assert_eq!((part.bytes.as_slice(), part.rest.as_slice()), (&b""[..], &b"1 late"[..]));
        assert_eq!(lane.unfinished(), b"");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            texts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\nab ".to_vec()), 0..12), 1..4),
            cuts in prop::collection::vec(1..5_usize, 1..60),
        ) {
            let names: Vec<String> = (0..texts.len()).map(|i| format!("abab{i}")).collect();
            let mut stream = b"ready\n".to_vec();
            let mut lane = Lane::new(8, "ready\n");
            for (name, text) in names.iter().zip(&texts) {
                lane.announce(name);
                stream.extend([text.as_slice(), format!("\n{name} 0 ran\n").as_bytes()].concat());
            }
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                lane.push(piece);
                rest = after;
                if rest.is_empty() { break; }
            }
            let found = parts(&mut lane);
            prop_assert_eq!(&found[0].bytes, b"");
            let wanted: Vec<Part> = texts.iter().map(|text| Part {
                bytes: text.iter().copied().take(8).collect(),
                truncated: text.len() > 8,
                rest: b"0 ran".to_vec(),
            }).collect();
            prop_assert_eq!(&found[1..], wanted.as_slice());
        }
    }
}
