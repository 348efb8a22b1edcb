//! A file per host and stream.

use std::fs;
use std::io;
use std::path::Path;

use pipedown_model::OutputStream;
use tempfile::NamedTempFile;

use super::Kept;
use crate::stop::Stop;

/// Writes what hosts have printed: DIR/HOST.out, DIR/HOST.err, each in one go. A stream on which nothing was printed has
/// no file; one of an earlier run is taken away.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_files(kept: &Kept<'_>, folder: &Path) -> Result<(), Stop> {
    let failed = |e: io::Error| Stop::failed(format!("write to {}: {e}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    for (stream, ending) in [(OutputStream::Stdout, "out"), (OutputStream::Stderr, "err")] {
        for (place, host) in (0_u32..).zip(&kept.plan.hosts) {
            let path = folder.join(format!("{}.{ending}", host.host));
            if kept.log.length(place, stream) == 0 {
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                    _ => continue,
                }
            }
            let written = NamedTempFile::new_in(folder).and_then(|mut file| {
                io::copy(&mut kept.log.reader(place, stream), &mut file)?;
                file.persist(&path)?;
                Ok(())
            });
            written.map_err(failed)?;
        }
    }
    Ok(())
}
