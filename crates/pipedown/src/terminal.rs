//! Talk: what is said on standard error and asked on the terminal.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

/// Where talk goes while something moves on the terminal: to whoever moves it.
static MOVING: Mutex<Option<UnboundedSender<String>>> = Mutex::new(None);

/// Says a line on standard error. A closed standard error is no reason to stop.
pub fn say(text: &str) {
    let moving = MOVING.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = moving.as_ref().is_some_and(|mover| mover.send(text.to_owned()).is_ok());
    if !taken {
        print(text);
    }
}

/// Prints a line on standard error, whatever moves there.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Hands what is said from now on to `mover`, until the guard is dropped.
pub fn divert(mover: UnboundedSender<String>) -> Diverted {
    *MOVING.lock().unwrap_or_else(PoisonError::into_inner) = Some(mover);
    Diverted
}

/// Talk is diverted as long as this lives.
pub struct Diverted;

impl Drop for Diverted {
    fn drop(&mut self) {
        *MOVING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Why standard output has not taken something, the first time.
static UNWRITTEN: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Standard output of a run: at once, and without stopping the run where nobody takes it. Why not is [`unwritten`].
pub struct Data;

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).inspect_err(|error| {
            let kept = std::io::Error::new(error.kind(), error.to_string());
            UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(kept);
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why [`Data`] has missed something; none if nobody has. A reader that has left (`| head -1`) has seen what it wanted.
pub fn unwritten() -> Option<std::io::Error> {
    let error = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
}

/// Writes data to standard output. A reader that has left (`| head -1`) has seen what it wanted.
///
/// # Errors
/// When it cannot be written, for example on a full disk.
pub fn data(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a yes-or-no question; anything but yes is no.
pub fn confirm(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Asks for an answer in words, without the blanks around it; empty if there is none.
pub fn ask(question: &str) -> String {
    let _ = write!(std::io::stderr(), "{question} ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) => answer.trim().to_owned(),
        Err(_) => String::new(),
    }
}

/// Writes a file atomically: a temporary file beside it, synced and renamed.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_file(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
