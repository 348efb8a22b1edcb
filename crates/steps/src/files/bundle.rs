//! Many small files over one channel: a command, a sum and some round trips for all of them, instead of as many for each.
//!
//! What does not go this way has not gone: it goes on its own then, which tells what is wrong with it.

use std::time::Duration;

use pipedown_model::TextId;
use pipedown_ssh::{Chunk, Exec};
use ring::digest::{Context, SHA256};
use tokio::time::timeout;

use crate::StepError;
use crate::files::batch::Weight;
use crate::files::channel::{CRAWL, Channels, STALL, Said, words};
use crate::files::list::Listed;
use crate::files::local::{Source, finished};
use crate::files::put::Put;
use crate::fragment;

const COPY: &str = "the copy of small files";
const FETCH: &str = "the fetch of small files";
/// The largest file that is worth it, in bytes: more takes longer on the wire than a command of its own does.
pub(crate) const SMALL: u64 = 32 * 1024;

/// How long a host may need for so many files, of which each has to reach the disk.
fn patience(files: usize) -> Duration {
    STALL.saturating_add(Duration::from_secs(files as u64))
}

/// What a file adds to a bundle.
pub(crate) fn weight(put: &&Put<'_>) -> Weight {
    (put.path.len(), put.size)
}

/// Files of one folder, with one owner.
struct Archive {
    tar: Vec<u8>,
    args: Vec<String>,
}

/// Puts files in place; false if they have to go one by one, although some may be there by now. Those of one folder stand
/// together.
///
/// # Errors
/// When the link goes away, or nothing comes back.
pub(crate) async fn send(channels: &dyn Channels, puts: &[&Put<'_>]) -> Result<bool, StepError> {
    let mut args = Vec::new();
    let mut tars = Vec::new();
    for puts in puts.chunk_by(|a, b| a.folder() == b.folder() && a.owner == b.owner) {
        let Some(archive) = archive(puts).await else { return Ok(false) };
        args.push(archive.args.len().to_string());
        args.extend(archive.args);
        tars.extend(archive.tar);
    }
    let Exec { mut stdin, mut output, .. } = channels.start(words(fragment::files_bundle(), args)).await?;
    let write = timeout(CRAWL, stdin.write_all(&tars)).await;
    // Who does not take it says so on the other side.
    let _ = write.map_err(|_| StepError::Deadline { call: COPY, limit: CRAWL })?;
    stdin.eof();
    let said = Said::read(COPY, &mut output, patience(puts.len())).await?;
    if said.is_cut() {
        return Err(said.ended(COPY));
    }
    let Ok(lines) = said.lines(COPY, "put") else { return Ok(false) };
    let wanted = puts.iter().map(|put| format!("{} {:o}", put.size, put.mode));
    let arrived = lines.into_iter().eq(wanted.chain(["put".to_owned()]));
    if arrived {
        channels.moved(puts.iter().map(|put| put.size).sum());
    }
    Ok(arrived)
}

/// Some files of one folder as an archive; nothing if one of them is no longer what was to be copied.
async fn archive(puts: &[&Put<'_>]) -> Option<Archive> {
    let first = puts.first()?;
    let mut tar = tar::Builder::new(Vec::new());
    let mut whole = Context::new(&SHA256);
    for put in puts {
        let source = Source::open(put.source).await.ok()?;
        let bytes = source.block(0, put.size.saturating_add(1)).await.ok()?;
        if bytes.len() as u64 != put.size || TextId::of(&bytes) != *put.sha256 {
            return None;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(put.size);
        header.set_mode(put.mode);
        tar.append_data(&mut header, put.name(), bytes.as_slice()).ok()?;
        whole.update(&bytes);
    }
    let tar = tar.into_inner().ok()?;
    let args = [tar.len().to_string(), finished(whole).hex(), first.owner.clone(), first.folder().to_owned()];
    let names = puts.iter().map(|put| put.name().to_owned());
    Some(Archive { args: args.into_iter().chain(names).collect(), tar })
}

/// Reads files of a host: what each holds, as far as it is what was listed.
///
/// # Errors
/// When the link goes away, or nothing comes back.
pub(crate) async fn receive(
    channels: &dyn Channels,
    files: &[&Listed],
) -> Result<Vec<Option<Vec<u8>>>, StepError> {
    let sizes: Vec<(u64, TextId)> = files.iter().filter_map(|file| file.content()).collect();
    let total = sizes.iter().map(|(size, _)| *size).sum::<u64>();
    let args = files.iter().zip(&sizes).flat_map(|(file, (size, _))| [file.path.clone(), size.to_string()]);
    let Exec { mut stdin, mut output, .. } = channels.start(words(fragment::files_cat(), args)).await?;
    stdin.eof();
    let mut said = Said::default();
    let mut content: Vec<u8> = Vec::new();
    loop {
        match timeout(STALL, output.next()).await {
            Err(_) => return Err(StepError::Deadline { call: FETCH, limit: STALL }),
            Ok(None) => break,
            // A host that says more than was asked for is not listened to.
            Ok(Some(Chunk::Stdout(bytes))) if content.len() as u64 <= total => content.extend(bytes),
            Ok(Some(Chunk::Stdout(_))) => {}
            Ok(Some(chunk)) => said.take(chunk),
        }
    }
    if said.is_cut() {
        return Err(said.ended(FETCH));
    }
    let mut rest = content.as_slice();
    Ok(sizes
        .iter()
        .map(|(size, sum)| {
            let (bytes, after) = rest.split_at_checked(usize::try_from(*size).ok()?)?;
            rest = after;
            (TextId::of(bytes) == *sum).then(|| bytes.to_vec())
        })
        .collect())
}
