//! What commands are given: scripts and standard input, each read once.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// It is in memory, once, while hosts take it.
const MOST: u64 = 64 << 20;

/// Reads standard input to its end, if it is wanted.
///
/// # Errors
/// When it cannot be read, is too long, or was something else.
pub fn read(around: &Surroundings, wanted: bool) -> Result<Option<Arc<[u8]>>, Stop> {
    if !wanted {
        return Ok(None);
    }
    around.take_stdin("--stdin")?;
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|e| Stop::failed(format!("read standard input: {e}")))?;
    if bytes.len() as u64 > MOST {
        return Err(Stop::usage(format!("standard input is longer than {} MiB", MOST >> 20))
            .hint("`pipedown copy` brings large files to hosts"));
    }
    Ok(Some(bytes.into()))
}

/// Reads a script; `-` is standard input. Returns its name and its text.
///
/// # Errors
/// When it cannot be read, is no text, or if standard input was something else.
pub fn script(around: &Surroundings, file: &Path) -> Result<(String, String), Stop> {
    if file.as_os_str() == "-" {
        around.take_stdin("--script -")?;
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|e| Stop::failed(format!("read a script from standard input: {e}")))?;
        return Ok(("script".to_owned(), text));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|e| Stop::bad_input(format!("failed to read the script {}: {e}", file.display())))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, text))
}
