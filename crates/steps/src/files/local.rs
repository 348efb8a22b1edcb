//! Files of the controller: read in blocks, never whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use pipedown_model::TextId;
use ring::digest::{Context, SHA256};

use crate::StepError;

/// How much is read, and sent, at once.
pub(crate) const BLOCK: usize = 256 * 1024;
/// The longest name of a file (limits.h, NAME_MAX).
const NAME_MAX: usize = 255;

/// Hashes a file: its size and its sum. Waits for the disk.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> io::Result<(u64, TextId)> {
    let file = File::open(path)?;
    hash(&file, u64::MAX)
}

/// Hashes the first `limit` bytes of a file; how many there were, and their sum.
pub(crate) fn hash(file: &File, limit: u64) -> io::Result<(u64, TextId)> {
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < limit {
        let most = usize::try_from(limit - at).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read_at(block.get_mut(..most).unwrap_or_default(), at)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        context.update(bytes);
        at = at.saturating_add(read as u64);
    }
    Ok((at, finished(context)))
}

/// The sum of what was hashed.
pub(crate) fn finished(context: Context) -> TextId {
    let digest = context.finish();
    // SHA-256 has 32 bytes.
    TextId::of_digest(digest.as_ref().try_into().unwrap_or_default())
}

/// The name of the part of a file: the same for the same content, so that what a broken link has left is found again.
pub fn part_name(path: &str, sum: &TextId) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let tag: String = sum.hex().chars().take(12).collect();
    let end = format!(".pipedown-{tag}.part");
    let mut cut = NAME_MAX.saturating_sub(end.len()).saturating_sub(1).min(name.len());
    while !name.is_char_boundary(cut) {
        cut = cut.saturating_sub(1);
    }
    format!(".{}{end}", name.get(..cut).unwrap_or_default())
}

/// A file of the controller, open for reading.
pub(crate) struct Source {
    file: Arc<File>,
    name: String,
}

impl Source {
    pub(crate) async fn open(path: &Path) -> Result<Self, StepError> {
        let (name, path) = (path.display().to_string(), path.to_owned());
        let opened = blocking(move || File::open(path)).await;
        match opened {
            Ok(file) => Ok(Self { file: Arc::new(file), name }),
            Err(error) => Err(here("read", &name, &error)),
        }
    }

    /// The next block from a place on; empty at the end.
    pub(crate) async fn block(&self, at: u64, most: u64) -> Result<Vec<u8>, StepError> {
        let file = Arc::clone(&self.file);
        let most = usize::try_from(most).unwrap_or(BLOCK).min(BLOCK);
        let read = blocking(move || {
            let mut block = vec![0; most];
            let read = file.read_at(&mut block, at)?;
            block.truncate(read);
            Ok(block)
        });
        read.await.map_err(|error| here("read", &self.name, &error))
    }

    /// The sum of its first bytes, and how many these are.
    pub(crate) async fn sum(&self, limit: u64) -> Result<(u64, TextId), StepError> {
        let file = Arc::clone(&self.file);
        blocking(move || hash(&file, limit)).await.map_err(|error| here("read", &self.name, &error))
    }
}

/// Waits for the disk on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// An error with a file of the controller.
pub(crate) fn here(act: &str, name: &str, error: &io::Error) -> StepError {
    StepError::Local { text: format!("{act} {name} on this machine: {}", reason(error)) }
}

/// Without the number that the standard library adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
