//! Copies files to one host.

use std::collections::BTreeSet;

use pipedown_model::{CopyStep, FileKind, FileWanted, amount};

use crate::StepError;
use crate::files::batch::batches;
use crate::files::bundle;
use crate::files::channel::Channels;
use crate::files::make::{Make, make};
use crate::files::put::Put;
use crate::files::seen::{FileThere, Seen, Sum, What, see};

/// What a copy has changed, or would change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// One line for each thing that was not as it is to be.
    pub diff: Vec<String>,
}

/// How far a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is put there by bytes.
    Send,
    /// Its mode or owner changes.
    Dress,
    /// It is made: a folder, a link.
    Make,
    /// It is as it is to be.
    Nothing,
}

/// Copies what is not there yet; with `apply` false it only looks. What is wrong with any of them is found before the
/// first is changed.
///
/// # Errors
/// When something is in the way, cannot be read or cannot be written; files that were done by then stay.
pub async fn copy(
    channels: &dyn Channels,
    step: &CopyStep,
    wanted: &[FileWanted],
    apply: bool,
) -> Result<Copied, StepError> {
    let seen = see(channels, wanted).await?;
    let folders: BTreeSet<&str> = wanted
        .iter()
        .filter(|file| matches!(file.what, FileKind::Folder { .. }))
        .map(|file| file.path.as_str())
        .collect();
    let mut acts = Vec::with_capacity(wanted.len());
    let mut diff = Vec::new();
    for (file, seen) in wanted.iter().zip(&seen) {
        obstacle(file, seen, step, &folders)?;
        let (act, line) = compare(file, seen, step);
        diff.extend(line);
        acts.push(act);
    }
    if !apply {
        return Ok(Copied { diff });
    }
    let bytes = wanted.iter().zip(&acts).filter(|(_, act)| **act == Act::Send);
    channels.expect(bytes.map(|(file, _)| size(file)).sum());
    make(channels, &things(wanted, &seen, &acts, step, &folders)).await?;
    let sends = wanted.iter().zip(&seen).zip(&acts).filter(|(_, act)| **act == Act::Send);
    let puts: Vec<Put<'_>> = sends.filter_map(|((file, seen), _)| put(file, seen, step)).collect();
    let (mut small, mut alone): (Vec<_>, Vec<_>) = puts.iter().partition(|put| put.is_small());
    small.sort_by_key(|put| (put.folder(), &put.owner));
    for bundle in batches(&small, bundle::weight) {
        if bundle.len() == 1 || !bundle::send(channels, bundle).await? {
            alone.extend(bundle);
        }
    }
    for put in alone {
        let had = put.send(channels).await?;
        if had > 0 {
            diff.push(format!("{}: went on from {} of an earlier attempt", put.path, amount(had)));
        }
    }
    Ok(Copied { diff })
}

/// What is to be sent of a file.
fn put<'a>(file: &'a FileWanted, seen: &Seen, step: &CopyStep) -> Option<Put<'a>> {
    let FileKind::File { source, size, sha256, mode } = &file.what else { return None };
    let (mode, owner) = (mode_of(*mode, seen, step), owner_of(seen, step));
    let (followed, part) = (seen.followed, seen.part);
    Some(Put { source, path: &file.path, size: *size, sha256, mode, owner, followed, part })
}

fn size(file: &FileWanted) -> u64 {
    if let FileKind::File { size, .. } = file.what { size } else { 0 }
}

/// Everything that is made or dressed, folders before what lies in them.
fn things(
    wanted: &[FileWanted],
    seen: &[Seen],
    acts: &[Act],
    step: &CopyStep,
    folders: &BTreeSet<&str>,
) -> Vec<Make> {
    let mut things = Vec::new();
    let mut above = BTreeSet::new();
    for ((file, seen), act) in wanted.iter().zip(seen).zip(acts) {
        let parent = parent(&file.path);
        if seen.what == What::Orphan && !folders.contains(parent) && above.insert(parent) {
            let (what, owner) = (String::new(), "-".to_owned());
            things.push(Make { kind: 'p', path: file.path.clone(), what, owner });
        }
        let owner = owner_of(seen, step);
        let (kind, what) = match (&file.what, act) {
            (FileKind::Folder { mode }, Act::Make) => ('d', format!("{mode:o}")),
            (FileKind::Link { to }, Act::Make) => ('l', to.clone()),
            (FileKind::File { mode, .. }, Act::Dress) => ('m', format!("{:o}", mode_of(*mode, seen, step))),
            _ => continue,
        };
        things.push(Make { kind, path: file.path.clone(), what, owner });
    }
    things
}

/// What a path lies in; a path without a slash lies where the login begins.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What is in the way of a file.
fn obstacle(
    file: &FileWanted,
    seen: &Seen,
    step: &CopyStep,
    folders: &BTreeSet<&str>,
) -> Result<(), StepError> {
    let path = &file.path;
    let no = |text: String, hint| Err(StepError::File { text, hint: Some(hint) });
    let is_folder = matches!(file.what, FileKind::Folder { .. });
    match &seen.what {
        What::Folder if !is_folder => no(
            format!("copy to {path}: a folder has that name"),
            "write the path with a final slash to copy into it",
        ),
        What::Special => no(
            format!("copy to {path}: what has that name is neither a file nor a folder"),
            "remove it on the host, or choose another name",
        ),
        What::Dangling => no(
            format!("copy to {path}: it is a symbolic link that leads nowhere"),
            "remove it on the host, or copy to where it is to lead",
        ),
        What::Orphan if !step.parents && !folders.contains(parent(path)) => no(
            format!("copy to {path}: the folder {} is not there", parent(path)),
            "--parents makes missing folders",
        ),
        What::File(FileThere { sum: Sum::Unreadable, .. }) => {
            no(format!("read {path}: permission denied"), "--sudo copies as root")
        }
        _ if seen.locked && compare(file, seen, step).0 != Act::Nothing => no(
            format!("copy to {path}: its folder cannot be written to"),
            "--sudo copies as root; a file system may also be mounted read-only",
        ),
        _ => Ok(()),
    }
}

/// What has to be done about a file, and the line that says so.
fn compare(file: &FileWanted, seen: &Seen, step: &CopyStep) -> (Act, Option<String>) {
    let path = &file.path;
    let through = if seen.followed { " (a symbolic link, which is followed)" } else { "" };
    match (&file.what, &seen.what) {
        (FileKind::Folder { .. }, What::Folder) | (FileKind::Link { .. }, What::SameLink) => {
            (Act::Nothing, None)
        }
        (FileKind::Folder { mode }, _) => (Act::Make, Some(format!("{path}: new folder, {mode:04o}"))),
        (FileKind::Link { to }, _) => (Act::Make, Some(format!("{path}: link to {to}"))),
        (FileKind::File { size, sha256, mode, .. }, What::File(there)) => {
            let mode = mode_of(*mode, seen, step);
            let mut dress = Vec::new();
            if mode != there.mode {
                dress.push(format!("{:04o} -> {mode:04o}", there.mode));
            }
            if let Some(owner) = step.owner.as_deref().filter(|owner| !owns(owner, there)) {
                dress.push(format!("{} -> {owner}", there.names));
            }
            if there.sum != Sum::Of(*sha256) {
                if mode == there.mode {
                    dress.insert(0, format!("{mode:04o}"));
                }
                let (from, to) = (amount(there.size), amount(*size));
                let bytes = if from == to {
                    format!("{to} -> {to} of other content")
                } else {
                    format!("{from} -> {to}")
                };
                return (Act::Send, Some(format!("{path}{through}: {bytes}, {}", dress.join(", "))));
            }
            if dress.is_empty() {
                (Act::Nothing, None)
            } else {
                (Act::Dress, Some(format!("{path}{through}: {}", dress.join(", "))))
            }
        }
        (FileKind::File { size, mode, .. }, _) => {
            let mode = mode_of(*mode, seen, step);
            (Act::Send, Some(format!("{path}: new, {}, {mode:04o}", amount(*size))))
        }
    }
}

/// The mode that a file gets: what was asked for, what it has, what the source has.
fn mode_of(source: u32, seen: &Seen, step: &CopyStep) -> u32 {
    step.mode.unwrap_or(match &seen.what {
        What::File(there) => there.mode,
        _ => source & 0o777,
    })
}

/// The owner that a file gets; `-` for whoever makes it.
fn owner_of(seen: &Seen, step: &CopyStep) -> String {
    match (&step.owner, &seen.what) {
        (Some(owner), _) => owner.clone(),
        (None, What::File(there)) => there.ids.clone(),
        _ => "-".to_owned(),
    }
}

/// Whether a file belongs to `USER`, `USER:GROUP` or `:GROUP`, by name or by number.
fn owns(owner: &str, there: &FileThere) -> bool {
    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
    let [names, ids] = [&there.names, &there.ids].map(|text| text.split_once(':').unwrap_or((text, "")));
    let is = |wanted: &str, name: &str, id: &str| wanted.is_empty() || wanted == name || wanted == id;
    is(user, names.0, ids.0) && is(group, names.1, ids.1)
}

#[cfg(test)]
mod tests {
    use pipedown_model::TextId;

    use super::*;

    fn step() -> CopyStep {
        CopyStep { manifest: TextId::of(b""), mode: None, owner: None, parents: false, root: false }
    }

    fn file(path: &str, content: &[u8]) -> FileWanted {
        let size = content.len() as u64;
        let what = FileKind::File { source: "/x".into(), size, sha256: TextId::of(content), mode: 0o100_640 };
        FileWanted { path: path.to_owned(), what }
    }

    fn there(content: &[u8], mode: u32) -> Seen {
        let file = FileThere {
            size: content.len() as u64,
            mode,
            ids: "0:4".to_owned(),
            names: "root:adm".to_owned(),
            sum: Sum::Of(TextId::of(content)),
        };
        Seen { what: What::File(file), ..Seen::default() }
    }

    #[test]
    fn lines_say_what_changes() {
        let mut lines = Vec::new();
        let mut say = |seen: &Seen, step: &CopyStep| {
            let (act, line) = compare(&file("/etc/motd", b"all hands"), seen, step);
            lines.push(format!("{act:?}: {}", line.unwrap_or_default()));
        };
        say(&Seen::default(), &step());
        say(&there(b"all hands", 0o600), &step());
        say(&there(b"all", 0o600), &step());
        say(&Seen { followed: true, ..there(b"ALL HANDS", 0o600) }, &step());
        let dressed = CopyStep { mode: Some(0o644), owner: Some("www:www".to_owned()), ..step() };
        say(&there(b"all hands", 0o600), &dressed);
        say(&there(b"all", 0o644), &dressed);
        let same = CopyStep { mode: Some(0o600), owner: Some(":4".to_owned()), ..step() };
        say(&there(b"all hands", 0o600), &same);
        insta::assert_snapshot!(lines.join("\n"), @r"
        Send: /etc/motd: new, 9 B, 0640
        Nothing: 
        Send: /etc/motd: 3 B -> 9 B, 0600
        Send: /etc/motd (a symbolic link, which is followed): 9 B -> 9 B of other content, 0600
        Dress: /etc/motd: 0600 -> 0644, root:adm -> www:www
        Send: /etc/motd: 3 B -> 9 B, 0644, root:adm -> www:www
        Nothing: 
        ");
    }

    #[test]
    fn what_is_in_the_way_is_named_before_anything_is_sent() {
        let mut lines = Vec::new();
        let mut say = |what: What, locked: bool| {
            let seen = Seen { what, locked, ..Seen::default() };
            let end = obstacle(&file("/srv/a/b", b"x"), &seen, &step(), &BTreeSet::new());
            let text =
                end.map_or_else(|e| format!("{e} ({})", e.hint().unwrap_or_default()), |()| "well".into());
            lines.push(text);
        };
        for what in [What::Absent, What::Orphan, What::Folder, What::Special, What::Dangling] {
            say(what, false);
        }
        say(What::Absent, true);
        insta::assert_snapshot!(lines.join("\n"), @r"
        well
        copy to /srv/a/b: the folder /srv/a is not there (--parents makes missing folders)
        copy to /srv/a/b: a folder has that name (write the path with a final slash to copy into it)
        copy to /srv/a/b: what has that name is neither a file nor a folder (remove it on the host, or choose another name)
        copy to /srv/a/b: it is a symbolic link that leads nowhere (remove it on the host, or copy to where it is to lead)
        copy to /srv/a/b: its folder cannot be written to (--sudo copies as root; a file system may also be mounted read-only)
        ");
        // In a folder that is itself to be made, nothing is missing.
        let orphan = Seen { what: What::Orphan, ..Seen::default() };
        assert!(obstacle(&file("/srv/a/b", b"x"), &orphan, &step(), &BTreeSet::from(["/srv/a"])).is_ok());
        // What is as it is to be needs no right to write.
        let same = Seen { locked: true, ..there(b"x", 0o600) };
        assert!(obstacle(&file("/srv/a/b", b"x"), &same, &step(), &BTreeSet::new()).is_ok());
    }
}
