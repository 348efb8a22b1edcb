//! Fetches files from one host.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use pipedown_model::{FetchStep, TextId, amount};
use pipedown_ssh::{Chunk, Exec};
use tokio::time::timeout;

use crate::StepError;
use crate::files::batch::batches;
use crate::files::bundle::{self, SMALL};
use crate::files::channel::{Channels, STALL, Said, words};
use crate::files::list::{Listed, Listing, list};
use crate::files::local::{blocking, hash, here, part_name};
use crate::fragment;

const CALL: &str = "the fetch of a file";
/// How much is asked for at once, and how many such blocks may be on their way.
const BLOCK: u64 = 512 * 1024;
const AHEAD: u64 = 4;

/// What a fetch has changed on this machine, or would change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// One line for each thing that was not here as it is there.
    pub diff: Vec<String>,
}

/// Fetches into `folder` what is not there yet; with `apply` false it only looks.
///
/// # Errors
/// When something cannot be read there or written here; files that were done by then stay.
pub async fn fetch(
    channels: &dyn Channels,
    step: &FetchStep,
    folder: &Path,
    apply: bool,
) -> Result<Fetched, StepError> {
    let listed = list(channels, &step.paths, step.recursive).await?;
    let mut diff = Vec::new();
    let mut wanted = Vec::new();
    for thing in &listed {
        let to = folder.join(&thing.name);
        if thing.what == Listing::Folder && !step.recursive {
            return Err(StepError::File {
                text: format!("fetch {}: it is a folder", thing.path),
                hint: Some("-r fetches it with all that is in it"),
            });
        }
        if let Some(line) = differs(folder, thing, &to).await? {
            diff.push(line);
            wanted.push((thing, to));
        }
    }
    if !apply {
        return Ok(Fetched { diff });
    }
    for (thing, to) in &wanted {
        if thing.what == Listing::Folder {
            make(thing, to).await?;
        }
    }
    let gets: Vec<Get<'_>> = wanted.iter().filter_map(|(thing, to)| Get::of(thing, to)).collect();
    channels.expect(gets.iter().map(|get| get.size).sum());
    let (small, mut alone): (Vec<_>, Vec<_>) = gets.iter().partition(|get| get.size <= SMALL);
    for bundle in batches(&small, |get| (get.thing.path.len(), get.size)) {
        let files: Vec<&Listed> = bundle.iter().map(|get| get.thing).collect();
        for (get, content) in bundle.iter().zip(bundle::receive(channels, &files).await?) {
            match content {
                Some(content) => get.keep(channels, content).await?,
                None => alone.push(get),
            }
        }
    }
    for get in alone {
        let from = get.receive(channels).await?;
        if from > 0 {
            diff.push(format!("{}: went on from {} of an earlier attempt", get.to.display(), amount(from)));
        }
    }
    // Last, so that nothing is written through one of them.
    for (thing, to) in &wanted {
        if let Listing::Link { to: target } = &thing.what {
            let (target, place) = (target.clone(), to.clone());
            let made = blocking(move || {
                if place.symlink_metadata().is_ok() {
                    std::fs::remove_file(&place)?;
                }
                std::os::unix::fs::symlink(target, &place)
            });
            made.await.map_err(|error| here("make the link", &to.display().to_string(), &error))?;
        }
    }
    Ok(Fetched { diff })
}

/// The line about a thing that is not here as it is there.
async fn differs(folder: &Path, thing: &Listed, to: &Path) -> Result<Option<String>, StepError> {
    let (folder, thing, place) = (folder.to_owned(), thing.clone(), to.to_owned());
    let compared = blocking(move || {
        guard(&folder, &place)?;
        let meta = match place.symlink_metadata() {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (path, here) = (&thing.path, place.display());
        let blocked = |what: &str| Err(io::Error::other(format!("{what} has that name")));
        Ok(match (&thing.what, meta) {
            (Listing::Folder, Some(meta)) if meta.is_dir() => None,
            (Listing::Folder, Some(_)) => return blocked("another file"),
            (Listing::Folder, None) => Some(format!("{path} -> {here}: new folder")),
            (_, Some(meta)) if meta.is_dir() => return blocked("a folder"),
            (Listing::Link { to }, _) => {
                let same = std::fs::read_link(&place).is_ok_and(|there| there == Path::new(to));
                (!same).then(|| format!("{path} -> {here}: link to {to}"))
            }
            (Listing::File { size, .. }, None) => {
                Some(format!("{path} -> {here}: new, {}, {:04o}", amount(*size), thing.mode & 0o777))
            }
            (Listing::File { size, sum }, Some(meta)) => {
                let same = meta.is_file()
                    && meta.size() == *size
                    && hash(&File::open(&place)?, u64::MAX)? == (*size, *sum);
                let (was, mode) = (amount(meta.size()), thing.mode & 0o777);
                let dressed = meta.permissions().mode() & 0o777 == mode;
                (!same || !dressed)
                    .then(|| format!("{path} -> {here}: {was} -> {}, {mode:04o}", amount(*size)))
            }
        })
    });
    compared.await.map_err(|error| here("fetch to", &to.display().to_string(), &error))
}

/// Refuses a place that symbolic links below the host's folder lead away from.
fn guard(folder: &Path, place: &Path) -> io::Result<()> {
    let Ok(below) = place.strip_prefix(folder) else { return Err(io::Error::other("it leads elsewhere")) };
    let mut at = folder.to_owned();
    let mut parts: Vec<Component<'_>> = below.components().collect();
    parts.pop();
    for part in parts {
        at.push(part);
        if at.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            return Err(io::Error::other(format!("{} is a symbolic link", at.display())));
        }
    }
    Ok(())
}

/// Makes a folder.
async fn make(folder: &Listed, to: &Path) -> Result<(), StepError> {
    // Its own files must get into it.
    let (place, mode) = (to.to_owned(), folder.mode & 0o777 | 0o700);
    let made = blocking(move || DirBuilder::new().recursive(true).mode(mode).create(place));
    made.await.map_err(|error| here("write", &to.display().to_string(), &error))
}

/// A file that is to be fetched.
struct Get<'a> {
    thing: &'a Listed,
    to: &'a Path,
    size: u64,
    sum: TextId,
}

impl<'a> Get<'a> {
    fn of(thing: &'a Listed, to: &'a Path) -> Option<Self> {
        let (size, sum) = thing.content()?;
        Some(Self { thing, to, size, sum })
    }

    fn failed(&self, error: &io::Error) -> StepError {
        here("write", &self.to.display().to_string(), error)
    }

    fn part(&self) -> PathBuf {
        self.to.with_file_name(part_name(&self.to.display().to_string(), &self.sum))
    }

    /// The part, and how much of it is here already.
    async fn open(&self) -> Result<(Arc<File>, u64), StepError> {
        let (file, had) = open_part(self.to, &self.part()).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StepError::File {
                text: format!("fetch to {} on this machine: {error}", self.to.display()),
                hint: Some("wait for it, and fetch again"),
            },
            _ => self.failed(&error),
        })?;
        Ok((Arc::new(file), had))
    }

    /// Keeps what has arrived whole.
    async fn keep(&self, channels: &dyn Channels, content: Vec<u8>) -> Result<(), StepError> {
        let (file, _) = self.open().await?;
        let into = Arc::clone(&file);
        let written = blocking(move || {
            into.set_len(0)?;
            into.write_all_at(&content, 0)
        });
        if let Err(error) = written.await {
            self.remove().await;
            return Err(self.failed(&error));
        }
        channels.moved(self.size);
        self.settle(file).await
    }

    /// Fetches it over a channel of its own; how much of it was here already.
    async fn receive(&self, channels: &dyn Channels) -> Result<u64, StepError> {
        let (file, had) = self.open().await?;
        let mut from = (had / BLOCK).saturating_mul(BLOCK);
        if had > self.size {
            let long = Arc::clone(&file);
            blocking(move || long.set_len(0)).await.map_err(|error| self.failed(&error))?;
            from = 0;
        }
        channels.moved(from);
        loop {
            if let Err(error) = self.blocks(channels, &file, from).await {
                if matches!(error, StepError::Local { .. } | StepError::File { .. }) {
                    // A part that fills the disk helps nobody, nor does one of a file that has changed there.
                    self.remove().await;
                }
                return Err(error);
            }
            let whole = Arc::clone(&file);
            let arrived =
                blocking(move || hash(&whole, u64::MAX)).await.map_err(|error| self.failed(&error))?;
            if arrived == (self.size, self.sum) {
                break;
            }
            // An earlier part was not what it seemed.
            let empty = Arc::clone(&file);
            blocking(move || empty.set_len(0)).await.map_err(|error| self.failed(&error))?;
            if from == 0 {
                self.remove().await;
                return Err(StepError::File {
                    text: format!("fetch {}: it was changed while it was read", self.thing.path),
                    hint: Some("fetch it again"),
                });
            }
            from = 0;
            channels.expect(self.size);
        }
        self.settle(file).await?;
        Ok(from)
    }

    /// Asks for block after block, and writes each as it comes.
    async fn blocks(&self, channels: &dyn Channels, file: &Arc<File>, from: u64) -> Result<(), StepError> {
        let size = self.size;
        if from >= size {
            return Ok(());
        }
        let args = [self.thing.path.clone(), BLOCK.to_string()];
        let Exec { mut stdin, mut output, .. } = channels.start(words(fragment::files_get(), args)).await?;
        let mut said = Said::default();
        let (mut at, mut asked) = (from, from);
        while at < size {
            while asked < size && asked < at.saturating_add(BLOCK.saturating_mul(AHEAD)) {
                let line = format!("{}\n", asked / BLOCK);
                // One who listens no more says why.
                let _ = timeout(STALL, stdin.write_all(line.as_bytes())).await;
                asked = asked.saturating_add(BLOCK);
            }
            if asked >= size {
                stdin.eof();
            }
            match timeout(STALL, output.next()).await {
                Err(_) => return Err(StepError::Deadline { call: CALL, limit: STALL }),
                Ok(Some(Chunk::Stdout(mut bytes))) => {
                    let room = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
                    // A log that has grown since is fetched as it was.
                    bytes.truncate(room);
                    let count = bytes.len() as u64;
                    let (into, place) = (Arc::clone(file), at);
                    let written = blocking(move || into.write_all_at(&bytes, place)).await;
                    written.map_err(|error| self.failed(&error))?;
                    channels.moved(count);
                    at = at.saturating_add(count);
                }
                Ok(Some(chunk)) => said.take(chunk),
                Ok(None) => break,
            }
        }
        // What is still on its way is taken: nobody else could use the connection.
        stdin.eof();
        while let Ok(Some(chunk)) = timeout(STALL, output.next()).await {
            if !matches!(chunk, Chunk::Stdout(_)) {
                said.take(chunk);
            }
        }
        if at >= size {
            return Ok(());
        }
        let complaint = said.complaint();
        if said.is_well() || !complaint.is_empty() {
            let why = if complaint.is_empty() { "it became shorter".to_owned() } else { complaint };
            return Err(StepError::File {
                text: format!("fetch {}: {why}", self.thing.path),
                hint: Some("fetch it again"),
            });
        }
        Err(said.ended(CALL))
    }

    /// Gives the part its mode and its name.
    async fn settle(&self, part: Arc<File>) -> Result<(), StepError> {
        let (from, to, mode) = (self.part(), self.to.to_owned(), self.thing.mode & 0o777);
        let settled = blocking(move || {
            part.set_permissions(Permissions::from_mode(mode))?;
            part.sync_all()?;
            std::fs::rename(from, to)
        });
        settled.await.map_err(|error| self.failed(&error))
    }

    /// Removes the part. The error that led to it says more than that this did not work.
    async fn remove(&self) {
        let part = self.part();
        let _ = blocking(move || std::fs::remove_file(part)).await;
    }
}

async fn open_part(to: &Path, part: &Path) -> io::Result<(File, u64)> {
    let (folder, part) = (to.parent().map(PathBuf::from), part.to_owned());
    blocking(move || {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
        }
        if part.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
            return Err(io::Error::other("what has the name of its part is no file"));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = loop {
            let file = options.open(&part)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, "another fetch is writing it"));
                }
                // Not all file systems have locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Another fetch may have given it its final name meanwhile.
            if part.metadata().is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino())) {
                break file;
            }
        };
        let had = file.metadata()?.len();
        Ok((file, had))
    })
    .await
}
