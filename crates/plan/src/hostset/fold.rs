//! Prints many hosts shortly: `rack[1-20]n[01-40]`.

use std::collections::HashMap;
use std::fmt::Write as _;

use pipedown_model::HostName;

use super::block::blocks;

/// Stands for a number in a [shape](Shape); no host name has it.
const NUMBER: char = '\0';

/// Longer numbers do not fit; they are left as text.
const LONGEST: usize = 18;

/// A number of a name: its value and how many digits it is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Number {
    pub value: u64,
    pub digits: u8,
}

/// Names that differ in their numbers only, and all numbers of one name after those of another.
struct Shape {
    text: String,
    /// How many numbers a name has.
    axes: usize,
    numbers: Vec<Number>,
}

/// Prints hosts as a host set that parses back to the same hosts.
///
/// Names that differ only in numbers share brackets, in as many dimensions as they have numbers. What comes out is
/// short, not always the shortest: to find that would take too long.
pub fn fold(hosts: &[HostName]) -> String {
    let mut shapes = shapes(hosts);
    shapes.sort_unstable_by(|a, b| a.text.cmp(&b.text));
    let mut folded = String::new();
    for shape in &shapes {
        for block in blocks(&shape.numbers, shape.axes) {
            if !folded.is_empty() {
                folded.push(',');
            }
            let mut axes = block.iter();
            for (index, text) in shape.text.split(NUMBER).enumerate() {
                if index > 0 {
                    print(&mut folded, axes.next().map_or(&[], Vec::as_slice));
                }
                folded.push_str(text);
            }
        }
    }
    folded
}

fn shapes(hosts: &[HostName]) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let (mut text, mut numbers) = (String::new(), Vec::new());
    let mut last = 0;
    for host in hosts {
        text.clear();
        numbers.clear();
        cut(host.as_str(), &mut text, &mut numbers);
        // Hosts of one kind mostly stand together.
        let known = match shapes.get(last) {
            Some(shape) if shape.text == text => Some(last),
            _ => index.get(text.as_str()).copied(),
        };
        last = known.unwrap_or_else(|| {
            let next = shapes.len();
            index.insert(text.clone(), next);
            shapes.push(Shape { text: text.clone(), axes: numbers.len(), numbers: Vec::new() });
            next
        });
        if let Some(shape) = shapes.get_mut(last) {
            shape.numbers.extend_from_slice(&numbers);
        }
    }
    shapes
}

/// Takes the numbers out of a name.
fn cut(name: &str, shape: &mut String, numbers: &mut Vec<Number>) {
    let mut rest = name;
    while let Some(start) = rest.bytes().position(|b| b.is_ascii_digit()) {
        let (text, tail) = rest.split_at(start);
        let end = tail.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(tail.len());
        let (number, behind) = tail.split_at(end);
        shape.push_str(text);
        match (number.parse(), u8::try_from(end)) {
            (Ok(value), Ok(digits)) if end <= LONGEST => {
                shape.push(NUMBER);
                numbers.push(Number { value, digits });
            }
            _ => shape.push_str(number),
        }
        rest = behind;
    }
    shape.push_str(rest);
}

/// Prints the numbers of one place in a name: as it is if it is one, else as a list of ranges in brackets.
fn print(to: &mut String, numbers: &[Number]) {
    if let [one] = numbers {
        one.print(to);
        return;
    }
    to.push('[');
    for (index, (first, last)) in runs(numbers).iter().enumerate() {
        if index > 0 {
            to.push(',');
        }
        first.print(to);
        if first != last {
            to.push('-');
            last.print(to);
        }
    }
    to.push(']');
}

impl Number {
    fn print(self, to: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(to, "{:0width$}", self.value, width = usize::from(self.digits));
    }

    /// How many digits it would have without leading zeros.
    fn bare(self) -> u8 {
        self.value.checked_ilog10().and_then(|digits| u8::try_from(digits + 1).ok()).unwrap_or(1)
    }

    fn is_padded(self) -> bool {
        self.digits > self.bare()
    }
}

/// The ranges of sorted numbers, by their first numbers. `08`, `09`, `10` are a range and `8`, `9`, `10` are another:
/// a `10` goes on with the padded ones if `09` is there.
fn runs(numbers: &[Number]) -> Vec<(Number, Number)> {
    let padded_until = |number: &Number| {
        let before = number.value.checked_sub(1)?;
        numbers.binary_search(&Number { value: before, digits: number.digits }).ok()
    };
    // The width that a number's range is padded to; 1 for none.
    let mut runs: Vec<(u8, Number, Number)> = Vec::new();
    let mut classed: Vec<(u8, Number)> = Vec::with_capacity(numbers.len());
    let mut goes_on = [false; LONGEST + 1];
    for number in numbers {
        let width = usize::from(number.digits);
        let smallest =
            number.value.checked_ilog10().is_some_and(|d| 10_u64.checked_pow(d) == Some(number.value));
        if let Some(slot) = goes_on.get_mut(width).filter(|_| !number.is_padded() && smallest) {
            *slot = width > 1 && padded_until(number).is_some();
        }
        let with_padded = number.is_padded() || goes_on.get(width).is_some_and(|on| *on);
        classed.push((if with_padded { number.digits } else { 1 }, *number));
    }
    classed.sort_unstable();
    for (class, number) in classed {
        match runs.last_mut() {
            Some((of, _, last)) if *of == class && last.value.checked_add(1) == Some(number.value) => {
                *last = number
            }
            _ => runs.push((class, number, number)),
        }
    }
    runs.sort_unstable_by_key(|(_, first, _)| *first);
    runs.into_iter().map(|(_, first, last)| (first, last)).collect()
}
