//! Hosts that have printed the same, once.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use pipedown_model::{HostName, TextId};
use similar::TextDiff;

use super::own_name::{PLACEHOLDER, normalised};
use crate::printable;
use crate::style::{Style, Tone, count};

/// Comparing two outputs takes no longer; what is not compared by then is shown as changed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one host has printed on one of its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOutput {
    /// The host.
    pub host: HostName,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Hosts that have printed the same, but for their own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputGroup {
    /// The hosts, in the order in which they were given; the bytes are the first one's.
    pub hosts: Vec<HostName>,
    /// Whether they differ in their own names.
    own_names: bool,
    /// Whether they have printed nothing.
    silent: bool,
}

/// What is kept of a host while groups are found.
struct Heard {
    host: HostName,
    /// Of the bytes as they are; none if there are none.
    raw: Option<TextId>,
    /// Of the bytes without the host's own name.
    normal: TextId,
}

/// Finds the hosts that have printed the same. The same bytes are the same, whatever names are in them; hosts that nobody else has the bytes of
/// are together if they differ in their own names only. Those that have printed nothing are a group as well, unless all have.
///
/// One host's bytes are in memory at a time. The largest group comes first, so that the odd ones are at the end.
///
/// # Errors
/// The first error of `outputs`.
pub fn group_outputs(
    outputs: impl IntoIterator<Item = io::Result<HostOutput>>,
) -> io::Result<Vec<OutputGroup>> {
    let mut heard = Vec::new();
    let mut copies: HashMap<TextId, usize> = HashMap::new();
    for output in outputs {
        let HostOutput { host, bytes } = output?;
        let raw = (!bytes.is_empty()).then(|| TextId::of(&bytes));
        if let Some(raw) = raw {
            *copies.entry(raw).or_default() += 1;
        }
        let normal = TextId::of(&normalised(&host, &bytes));
        heard.push(Heard { host, raw, normal });
    }
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    let mut groups: Vec<OutputGroup> = Vec::new();
    // By whether it is one of several with the same bytes, and by what they share.
    let mut places: HashMap<(bool, Option<TextId>), usize> = HashMap::new();
    for Heard { host, raw, normal } in heard {
        let alone = raw.is_some_and(|raw| copies.get(&raw) == Some(&1));
        let key = (alone, if alone { Some(normal) } else { raw });
        match places.get(&key).and_then(|place| groups.get_mut(*place)) {
            Some(group) => {
                group.hosts.push(host);
                group.own_names |= alone;
            }
            None => {
                places.insert(key, groups.len());
                groups.push(OutputGroup { hosts: vec![host], own_names: false, silent: raw.is_none() });
            }
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.hosts.len()));
    Ok(groups)
}

impl OutputGroup {
    /// What they have printed, with a placeholder for the own name of each if that is what they differ in.
    fn text(&self, first: &HostName, bytes: Vec<u8>) -> Vec<u8> {
        if self.own_names { normalised(first, &bytes) } else { bytes }
    }

    fn header(&self, style: &Style) -> String {
        let hosts = style.fold(&self.hosts);
        let note = match (self.silent, self.own_names) {
            (true, _) => ", nothing".to_owned(),
            (_, true) => format!(", {} is each one's name", String::from_utf8_lossy(PLACEHOLDER)),
            (_, false) => String::new(),
        };
        let count = count(self.hosts.len(), "host", "hosts");
        style.paint(Tone::Good, &format!("== {} ({count}{note})", printable(&hosts)))
    }
}

/// Writes each output once, under the hosts that have printed it. `read` gives a host's bytes.
///
/// # Errors
/// When a host's bytes cannot be read, or `out` does not take them.
pub fn fold_outputs(
    groups: &[OutputGroup],
    style: &Style,
    mut read: impl FnMut(&HostName) -> io::Result<Vec<u8>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for group in groups {
        let Some(first) = group.hosts.first() else { continue };
        writeln!(out, "{}", group.header(style))?;
        whole_lines(&group.text(first, read(first)?), out)?;
    }
    out.flush()
}

/// Writes what most hosts have printed, and how the others differ from it.
///
/// # Errors
/// As [`fold_outputs`].
pub fn diff_outputs(
    groups: &[OutputGroup],
    style: &Style,
    mut read: impl FnMut(&HostName) -> io::Result<Vec<u8>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let Some((majority, others)) = groups.split_first() else { return Ok(()) };
    fold_outputs(std::slice::from_ref(majority), style, &mut read, out)?;
    let mut bytes_of = |group: &OutputGroup| match group.hosts.first() {
        // One that is compared with hosts that differ in their own names does not differ by its own.
        Some(first) if group.hosts.len() == 1 && majority.own_names => {
            read(first).map(|bytes| normalised(first, &bytes))
        }
        Some(first) => read(first).map(|bytes| group.text(first, bytes)),
        None => Ok(Vec::new()),
    };
    let usual = lossy(&bytes_of(majority)?);
    for group in others {
        writeln!(out, "{}", group.header(style))?;
        let other = lossy(&bytes_of(group)?);
        if group.silent {
            continue;
        }
        let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&usual, &other);
        whole_lines(diff.unified_diff().context_radius(0).to_string().as_bytes(), out)?;
    }
    out.flush()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn whole_lines(bytes: &[u8], out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(bytes)?;
    if bytes.last().is_some_and(|last| *last != b'\n') {
        out.write_all(b"\n")?;
    }
    Ok(())
}
