//! Changes to documents: by line, by word, by byte. What comes out is mostly a document with something odd in it, which
//! gets further into a parser than random bytes do.

/// Larger documents are cut: time is better spent on many.
const LARGEST: usize = 4 * 1024;

/// Bytes that mean something somewhere.
const PUNCTUATION: &[u8] = b"\"'`=#!@*?,;:.[](){}|&<>%$\\/~^+-_ \t\r\n\0\x1b\x7f\x80\xc3\xff";

/// Numbers at which something may break.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "00",
    "1",
    "22",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "18446744073709551616",
    "1e9",
];

/// A reproducible source of chance (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one, and 0 below 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        let index = self.below(some.len());
        some.get(index)
    }
}

/// A document, changed in one to four ways.
pub fn mutated(chance: &mut Chance, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut document = chance.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=chance.below(4) {
        document = match chance.below(4) {
            0 => by_line(chance, &document, corpus),
            1 | 2 => by_word(chance, &document, corpus, words),
            _ => by_byte(chance, document),
        };
        document.truncate(LARGEST);
    }
    document
}

fn by_line(chance: &mut Chance, document: &[u8], corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = document.split_inclusive(|byte| *byte == b'\n').collect();
    let at = chance.below(lines.len());
    match chance.below(5) {
        0 if !lines.is_empty() => drop(lines.remove(at)),
        1 => {
            let copies = vec![lines.get(at).copied().unwrap_or_default(); 1 + chance.below(40)];
            lines.splice(at..at, copies);
        }
        2 => {
            let other = chance.below(lines.len());
            if at < lines.len() {
                lines.swap(at, other);
            }
        }
        // A line, or the rest, of another document.
        other => {
            let donor = chance.pick(corpus).map_or(&[][..], |donor| &donor[..]);
            let donated: Vec<&[u8]> = donor.split_inclusive(|byte| *byte == b'\n').collect();
            let from = chance.below(donated.len());
            let until = if other == 3 { (from + 1).min(donated.len()) } else { donated.len() };
            lines.splice(at..at, donated[from..until].iter().copied());
        }
    }
    lines.concat()
}

/// The words of a document, and what is between them.
fn words_of(document: &[u8]) -> Vec<&[u8]> {
    document.chunk_by(|a, b| is_of_word(*a) == is_of_word(*b)).collect()
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'+') || byte >= 0x80
}

fn by_word(chance: &mut Chance, document: &[u8], corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut parts = words_of(document);
    let at = chance.below(parts.len());
    let donor = chance.pick(corpus).cloned().unwrap_or_default();
    let donated = words_of(&donor);
    let new = match chance.below(4) {
        0 => chance.pick(NUMBERS).map_or(&[][..], |number| number.as_bytes()),
        1 => chance.pick(words).map_or(&[][..], |word| word.as_bytes()),
        2 => chance.pick(&donated).copied().unwrap_or_default(),
        _ => &[],
    };
    match chance.below(24) {
        0..8 => parts.insert(at, new),
        8..23 if at < parts.len() => parts[at] = new,
        // Nested or repeated, as often as there is room for it.
        _ => {
            let part = parts.get(at).copied().unwrap_or_default();
            let times = chance.below(LARGEST / part.len().max(1)).min(3000);
            parts.splice(at..at, vec![part; times]);
        }
    }
    parts.concat()
}

fn by_byte(chance: &mut Chance, mut document: Vec<u8>) -> Vec<u8> {
    for _ in 0..=chance.below(3) {
        let at = chance.below(document.len());
        let byte = match chance.below(3) {
            0 => u8::try_from(chance.below(256)).unwrap(),
            _ => chance.pick(PUNCTUATION).copied().unwrap_or_default(),
        };
        match chance.below(4) {
            0 => document.insert(at, byte),
            1 if at < document.len() => document[at] = byte,
            2 if at < document.len() => drop(document.remove(at)),
            _ => document.truncate(at),
        }
    }
    document
}
