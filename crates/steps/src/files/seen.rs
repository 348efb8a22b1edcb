//! What stands on a host where files are to be copied to.

use pipedown_model::{FileKind, FileWanted, TextId};

use crate::StepError;
use crate::files::batch::{Weight, batches};
use crate::files::channel::{Channels, STALL, Said, patience, words};
use crate::files::local::part_name;
use crate::fragment;

const CALL: &str = "the look at files";

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) what: What,
    /// Whether the path is a symbolic link to it.
    pub(crate) followed: bool,
    /// Whether its folder cannot be written to.
    pub(crate) locked: bool,
    /// A part that was begun: its size and its sum.
    pub(crate) part: Option<(u64, Option<TextId>)>,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum What {
    /// Nothing, in a folder that is there.
    #[default]
    Absent,
    /// Nothing, and no folder for it either.
    Orphan,
    File(FileThere),
    Folder,
    /// A symbolic link that leads nowhere.
    Dangling,
    /// The wanted link.
    SameLink,
    /// Something else than the wanted link.
    OtherLink,
    /// A device, a socket, a queue.
    Special,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileThere {
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// `UID:GID`.
    pub(crate) ids: String,
    /// `USER:GROUP`.
    pub(crate) names: String,
    pub(crate) sum: Sum,
}

/// What is known of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Another one than is wanted, by its size alone.
    Other,
    Of(TextId),
    Unreadable,
}

/// Looks at every path; the answers have the order of `wanted`.
pub(crate) async fn see(channels: &dyn Channels, wanted: &[FileWanted]) -> Result<Vec<Seen>, StepError> {
    let mut seen = Vec::with_capacity(wanted.len());
    for batch in batches(wanted, names) {
        let mut bytes: u64 = 0;
        let mut args = Vec::new();
        for (number, file) in batch.iter().enumerate() {
            let (kind, size, part) = match &file.what {
                FileKind::File { size, sha256, .. } => {
                    bytes = bytes.saturating_add(*size);
                    ("f", size.to_string(), part_name(&file.path, sha256))
                }
                FileKind::Folder { .. } => ("d", "0".to_owned(), String::new()),
                FileKind::Link { to } => ("l", to.clone(), String::new()),
            };
            args.extend([number.to_string(), kind.to_owned(), file.path.clone(), size, part]);
        }
        let mut exec = channels.start(words(fragment::files_look(), args)).await?;
        exec.stdin.eof();
        // The file and a part of it may have to be summed up.
        let limit = patience(bytes.saturating_mul(2)).max(STALL);
        let said = Said::read(CALL, &mut exec.output, limit).await?;
        if let Some(tool) = said.failed().and_then(|why| why.strip_prefix("tool ").map(str::to_owned)) {
            return Err(StepError::File {
                text: format!("look at files on the host: it has no {tool}"),
                hint: Some("install coreutils, busybox or openssl there"),
            });
        }
        seen.extend(parse(&said.lines(CALL, "seen")?, batch.len())?);
    }
    Ok(seen)
}

/// What a path adds to a command. Content does not go over the wire here.
fn names(file: &FileWanted) -> Weight {
    let link = if let FileKind::Link { to } = &file.what { to.len() } else { 0 };
    (file.path.len().saturating_add(link), 0)
}

fn parse(lines: &[String], count: usize) -> Result<Vec<Seen>, StepError> {
    let mut seen: Vec<Option<Seen>> = vec![None; count];
    let mut followed = false;
    for line in lines.iter().filter(|line| *line != "seen") {
        let unread = |wanted| StepError::Unread { call: CALL, line: line.clone(), wanted };
        let mut fields = line.split(' ');
        let number = fields.next().and_then(|field| field.parse::<usize>().ok());
        let entry = number.and_then(|number| seen.get_mut(number)).ok_or_else(|| unread("an answer"))?;
        let word = fields.next().unwrap_or_default();
        let rest: Vec<&str> = fields.collect();
        let what = match word {
            "followed" => {
                followed = true;
                continue;
            }
            "locked" => {
                entry.as_mut().ok_or_else(|| unread("in its place"))?.locked = true;
                continue;
            }
            "part" => {
                let part = part(&rest).ok_or_else(|| unread("a part"))?;
                entry.as_mut().ok_or_else(|| unread("in its place"))?.part = Some(part);
                continue;
            }
            "file" => What::File(file(&rest).ok_or_else(|| unread("a file"))?),
            "folder" => What::Folder,
            "absent" => What::Absent,
            "orphan" => What::Orphan,
            "dangling" => What::Dangling,
            "special" => What::Special,
            "same" => What::SameLink,
            "other" => What::OtherLink,
            _ => return Err(unread("an answer")),
        };
        *entry = Some(Seen { what, followed: std::mem::take(&mut followed), ..Seen::default() });
    }
    let missing = || StepError::Unread { call: CALL, line: String::new(), wanted: "as long as it should be" };
    seen.into_iter().map(|seen| seen.ok_or_else(missing)).collect()
}

fn part(fields: &[&str]) -> Option<(u64, Option<TextId>)> {
    let [size, sum] = fields else { return None };
    Some((size.parse().ok()?, TextId::parse(sum).ok()))
}

fn file(fields: &[&str]) -> Option<FileThere> {
    // Names of groups may hold blanks: what stands before the sum and after the numbers.
    let [size, mode, ids, names @ .., sum] = fields else { return None };
    Some(FileThere {
        size: size.parse().ok()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        ids: (*ids).to_owned(),
        names: names.join(" "),
        sum: match *sum {
            "-" => Sum::Other,
            "unreadable" => Sum::Unreadable,
            sum => Sum::Of(TextId::parse(sum).ok()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn answers_are_read() {
        let sum = TextId::of(b"x").hex();
        let text = format!(
            "0 followed\n0 file 12 644 0:4 root:adm {sum}\n0 part 5 {sum}\n1 absent\n1 locked\n2 file 1 600 7:7 a:the \
             group -\nseen"
        );
        let seen = parse(&lines(&text), 3).unwrap();
        assert_eq!(seen[0].part, Some((5, Some(TextId::of(b"x")))));
        assert!(seen[0].followed && !seen[1].followed && seen[1].locked);
        let What::File(there) = &seen[2].what else { panic!("{seen:?}") };
        assert_eq!((there.names.as_str(), &there.sum, there.mode), ("a:the group", &Sum::Other, 0o600));
        assert!(parse(&lines("0 absent\nseen"), 2).is_err());
        assert!(parse(&lines("7 absent\nseen"), 1).is_err());
        assert!(parse(&lines("0 locked\nseen"), 1).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(text in "([0-3] (file|part|absent|locked|followed)?[ 0-9a-z:]{0,20}\n){0,6}") {
            let _ = parse(&lines(&text), 3);
        }
    }
}
