//! Covers points in several dimensions with few blocks: `a1b1 a1b2 a2b1 a2b2` is `a[1-2]b[1-2]`.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::fold::Number;

/// For each axis the numbers, in order, that a block has there; it holds all their combinations.
pub(super) type Block = Vec<Vec<Number>>;

/// Covers points (`axes` numbers each, one after the other) with blocks that do not overlap, in order.
pub(super) fn blocks(numbers: &[Number], axes: usize) -> Vec<Block> {
    match axes {
        0 => vec![Block::new()],
        1 => vec![vec![distinct(numbers.iter())]],
        _ => Cover::new(numbers, axes).blocks(),
    }
}

fn distinct<'a>(numbers: impl Iterator<Item = &'a Number>) -> Vec<Number> {
    let mut distinct: Vec<Number> = numbers.copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// Blocks as rows of small numbers: which set of numbers a block has on each axis.
struct Cover {
    axes: Vec<Axis>,
    /// As many entries per row as there are axes.
    rows: Vec<u32>,
}

/// The sets of numbers that blocks have on one axis.
struct Axis {
    sets: Vec<Vec<Number>>,
    known: HashMap<Vec<Number>, u32>,
}

impl Axis {
    /// Every number as a set of its own.
    fn new(numbers: Vec<Number>) -> Self {
        Self { sets: numbers.into_iter().map(|number| vec![number]).collect(), known: HashMap::new() }
    }

    fn single(&self, number: Number) -> u32 {
        let found = self.sets.binary_search_by(|set| set.as_slice().cmp(&[number]));
        found.ok().and_then(|index| u32::try_from(index).ok()).unwrap_or_default()
    }

    /// Unites sets that have nothing in common.
    fn unite(&mut self, sets: impl Iterator<Item = u32>) -> u32 {
        let members = sets.filter_map(|set| self.sets.get(set as usize)).flatten();
        let united = distinct(members);
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        *self.known.entry(united).or_insert_with_key(|united| {
            self.sets.push(united.clone());
            next
        })
    }
}

impl Cover {
    fn new(numbers: &[Number], width: usize) -> Self {
        let axes: Vec<Axis> =
            (0..width).map(|axis| Axis::new(distinct(numbers.iter().skip(axis).step_by(width)))).collect();
        let rows = numbers.chunks_exact(width).flat_map(|point| {
            point.iter().zip(&axes).map(|(number, axis)| axis.single(*number)).collect::<Vec<_>>()
        });
        let mut cover = Self { rows: rows.collect(), axes };
        let order = cover.sorted(None);
        cover.rows = order
            .chunk_by(|a, b| a == b)
            .filter_map(|same| same.first())
            .copied()
            .flatten()
            .copied()
            .collect();
        cover
    }

    /// The rows sorted by all axes but one.
    fn sorted(&self, but: Option<usize>) -> Vec<&[u32]> {
        let mut rows: Vec<&[u32]> = self.rows.chunks_exact(self.axes.len()).collect();
        rows.sort_by(|a, b| compare(a, b, but));
        rows
    }

    /// Unites blocks along one axis after the other, each time the one that leaves the fewest.
    fn blocks(mut self) -> Vec<Block> {
        let width = self.axes.len();
        // Where numbers are always the same, nothing can be united.
        let varying: Vec<usize> =
            (0..width).filter(|axis| self.axes.get(*axis).is_some_and(|axis| axis.sets.len() > 1)).collect();
        // Nearly always once per axis is all; what is left then, only takes time.
        for _ in 0..2 * varying.len() {
            let groups = |axis: &usize| {
                let rows = self.sorted(Some(*axis));
                rows.chunk_by(|a, b| compare(a, b, Some(*axis)) == Ordering::Equal).count()
            };
            let best = match varying.as_slice() {
                [only] => Some((*only, 0)),
                // Of several that are as good, the last: ranges on the right are what people write.
                several => {
                    several.iter().rev().map(|axis| (*axis, groups(axis))).min_by_key(|(_, groups)| *groups)
                }
            };
            match best {
                Some((axis, groups)) if groups * width < self.rows.len() => self.unite(axis),
                _ => break,
            }
            if self.rows.len() == width {
                break;
            }
        }
        self.told()
    }

    fn unite(&mut self, along: usize) {
        // Of every group the first row and the sets of all; where there are several, these make one.
        let groups: Vec<(Vec<u32>, Vec<u32>)> = self
            .sorted(Some(along))
            .chunk_by(|a, b| compare(a, b, Some(along)) == Ordering::Equal)
            .filter_map(|same| {
                let sets = same.iter().filter_map(|row| row.get(along).copied());
                Some((same.first()?.to_vec(), sets.collect()))
            })
            .collect();
        let Some(axis) = self.axes.get_mut(along) else { return };
        let mut united = Vec::new();
        for (mut row, sets) in groups {
            if let (Some(slot), true) = (row.get_mut(along), sets.len() > 1) {
                *slot = axis.unite(sets.into_iter());
            }
            united.append(&mut row);
        }
        self.rows = united;
    }

    /// The blocks by their first numbers.
    fn told(&self) -> Vec<Block> {
        let rows = self.rows.chunks_exact(self.axes.len());
        let mut blocks: Vec<Block> = rows
            .map(|row| {
                let sets = row.iter().zip(&self.axes);
                sets.map(|(set, axis)| axis.sets.get(*set as usize).cloned().unwrap_or_default()).collect()
            })
            .collect();
        blocks.sort();
        blocks
    }
}

fn compare(a: &[u32], b: &[u32], but: Option<usize>) -> Ordering {
    match but {
        None => a.cmp(b),
        Some(but) => {
            let (a_head, a_tail) = a.split_at_checked(but).unwrap_or((a, &[]));
            let (b_head, b_tail) = b.split_at_checked(but).unwrap_or((b, &[]));
            a_head.cmp(b_head).then_with(|| a_tail.get(1..).cmp(&b_tail.get(1..)))
        }
    }
}
