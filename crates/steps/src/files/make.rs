//! Makes folders and links, and gives files their mode.

use crate::StepError;
use crate::files::batch::batches;
use crate::files::channel::{Channels, STALL, Said, words};
use crate::files::put::{hint, reason};
use crate::fragment;

const CALL: &str = "the making of folders";

/// One thing to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Make {
    /// `p`, `d`, `l`, `m` or `r`, as the fragment has it.
    pub(crate) kind: char,
    pub(crate) path: String,
    /// Mode in octal; of a link where it leads; of a part its name.
    pub(crate) what: String,
    /// `-` for whoever makes it.
    pub(crate) owner: String,
}

/// Makes all of them, in this order.
pub(crate) async fn make(channels: &dyn Channels, things: &[Make]) -> Result<(), StepError> {
    for batch in batches(things, |thing| (thing.path.len().saturating_add(thing.what.len()), 0)) {
        let args = batch.iter().flat_map(|thing| {
            [thing.kind.to_string(), thing.path.clone(), thing.what.clone(), thing.owner.clone()]
        });
        let mut exec = channels.start(words(fragment::files_make(), args)).await?;
        exec.stdin.eof();
        let said = Said::read(CALL, &mut exec.output, STALL).await?;
        if let Some(failed) = said.failed() {
            let (word, path) = failed.split_once(' ').unwrap_or((&failed, ""));
            let why = reason(&said.complaint());
            let text = match word {
                "folder" => format!("make a link at {path}: a folder has that name"),
                "remove" => format!("remove the part of {path}: {why}"),
                "mode" => format!("give {path} its mode and owner: {why}"),
                _ => format!("make {path}: {why}"),
            };
            let hint = if word == "folder" { Some("remove it on the host") } else { hint(word, &why) };
            return Err(StepError::File { text, hint });
        }
        said.lines(CALL, "made")?;
    }
    Ok(())
}
