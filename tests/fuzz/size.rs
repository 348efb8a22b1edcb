//! How much the hosts of a document are, before a parser has seen it: by its brackets alone, in whatever format.

/// A bracket with more numbers than this is refused by every parser.
const REFUSED: u64 = 1_000_000;

/// The bytes of all names that a document may stand for, at most.
pub fn of_names(document: &[u8]) -> u64 {
    // No pattern goes beyond white space. Several that stand side by side count as one, which is more.
    let words = document.split(u8::is_ascii_whitespace);
    words.fold(0_u64, |sum, word| {
        let length = u64::try_from(word.len()).unwrap();
        sum.saturating_add(names(word).saturating_mul(length))
    })
}

fn names(word: &[u8]) -> u64 {
    let (mut count, mut at) = (1_u64, 0);
    while let Some(open) = word[at..].iter().position(|byte| *byte == b'[') {
        let before = &word[at..at + open];
        at += open + 1;
        // What begins a list is no bracket of a pattern.
        match word[at..].iter().position(|byte| b"[]".contains(byte)) {
            Some(length) if word[at + length] == b']' => {
                let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
                count =
                    count.saturating_mul(numbers(&word[at..at + length], &before[before.len() - digits..]));
                at += length + 1;
            }
            _ => {}
        }
    }
    count
}

/// How many numbers or letters there are in a bracket, at most; digits before it belong to them in a host set. One when
/// it is refused.
fn numbers(inside: &[u8], digits: &[u8]) -> u64 {
    let (mut least, mut most) = (0_u64, 0_u64);
    for run in inside.split(|byte| *byte == b',') {
        let bounds: Vec<&[u8]> = run.split(|byte| b":-/".contains(byte)).collect();
        let bound = |number: usize| bounds.get(number).copied().unwrap_or_default();
        let step = number(&[], bound(2)).unwrap_or(1).max(1);
        let range = |digits: &[u8]| {
            let first = if bound(0).is_empty() { Some(0) } else { number(digits, bound(0)) };
            Some(number(digits, bound(1))?.checked_sub(first?)?.saturating_add(1))
        };
        match (bounds.len(), bound(0), bound(1)) {
            (1, ..) => most = most.saturating_add(1),
            (_, [first], [last]) if first.is_ascii_alphabetic() && last.is_ascii_alphabetic() => {
                most = most.saturating_add(u64::from(first.abs_diff(*last)) + 1);
            }
            _ => {
                least = least.saturating_add(range(&[]).unwrap_or(0) / step);
                most = most.saturating_add(range(digits).unwrap_or(1));
            }
        }
    }
    if least > REFUSED { 1 } else { most.max(1) }
}

fn number(digits: &[u8], text: &[u8]) -> Option<u64> {
    std::str::from_utf8(&[digits, text].concat()).ok()?.parse().ok()
}
