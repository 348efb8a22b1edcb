//! A file per host and stream.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pipedown_model::{OutputStream, RunId};
use tempfile::NamedTempFile;

use super::Kept;
use crate::stop::Stop;

/// Makes the folder, and sees whether it can be written to.
///
/// # Errors
/// When that cannot be.
pub fn prepare(folder: &Path) -> Result<(), Stop> {
    let made = fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
    made.map(drop).map_err(|e| {
        Stop::bad_input(format!("failed to write to --output-dir {}: {e}", folder.display()))
            .hint("nothing was run; name a folder, or one that can be made")
    })
}

/// Writes what hosts have printed: DIR/HOST.out, DIR/HOST.err, each in one go. A stream on which nothing was printed has
/// no file; one of an earlier run is taken away. A file that cannot be written keeps no other from it.
///
/// # Errors
/// When some file could not be written.
pub fn write(kept: &Kept<'_>, run: &RunId, folder: &Path) -> Result<(), Stop> {
    let mut failed: Vec<(PathBuf, io::Error)> = Vec::new();
    if let Err(error) = fs::create_dir_all(folder) {
        failed.push((folder.to_owned(), error));
    } else {
        for (stream, ending) in [(OutputStream::Stdout, "out"), (OutputStream::Stderr, "err")] {
            for (place, host) in (0_u32..).zip(&kept.plan.hosts) {
                let path = folder.join(format!("{}.{ending}", host.host));
                if let Err(error) = write_one(kept, (place, stream), folder, &path) {
                    failed.push((path, error));
                }
            }
        }
    }
    let Some((first, error)) = failed.first() else { return Ok(()) };
    let others = match failed.len() {
        1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    };
    Err(Stop::failed(format!("write {}: {error}{others}", first.display()))
        .hint(format!("it is kept: `pipedown show {run} --output-dir DIR` writes it again")))
}

fn write_one(
    kept: &Kept<'_>,
    (place, stream): (u32, OutputStream),
    folder: &Path,
    path: &Path,
) -> io::Result<()> {
    if kept.log.length(place, stream) == 0 {
        return match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let mut file = NamedTempFile::new_in(folder)?;
    io::copy(&mut kept.log.reader(place, stream), &mut file)?;
    file.persist(path)?;
    Ok(())
}
