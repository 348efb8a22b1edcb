//! What commands printed on the hosts: bytes beside the events.
//!
//! One file per run, to which records are only ever added: the number of the host (its place in the plan), the stream,
//! the length, the bytes. The order of a stream is the order of its records. What a process that was killed has written
//! stays; a record that it did not finish is left out by who reads, and overwritten by who goes on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pipedown_model::OutputStream;

use crate::EngineError;

/// The first bytes of the file: its kind and its version.
const MAGIC: [u8; 8] = *b"pdout 1\n";

/// A record's head: the host (4 bytes), the stream (1), the length (4); little-endian.
const HEAD: usize = 9;

/// A longer record is no record of ours.
const LONGEST: u32 = 1 << 24;

/// The output of a run's commands.
#[derive(Debug)]
pub struct OutputLog {
    path: PathBuf,
    file: File,
    end: u64,
    records: HashMap<(u32, OutputStream), Vec<Piece>>,
    /// Kept for its memory.
    line: Vec<u8>,
}

/// Where the bytes of a record are.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: u64,
    length: u32,
}

impl OutputLog {
    /// Opens the file to add to it, and makes it if there is none. Only its owner can read it.
    ///
    /// # Errors
    /// When it cannot be made, or is not such a file.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(|e| failed("open", path, e))?;
        let empty = file.metadata().map_err(|e| failed("look at", path, e))?.len() == 0;
        if empty {
            file.write_all_at(&MAGIC, 0).map_err(|e| failed("write", path, e))?;
        }
        let log = Self::scan(path, file)?;
        // What is left of a record that was not finished must not be taken for one behind the next.
        log.file.set_len(log.end).map_err(|e| failed("cut", path, e))?;
        Ok(log)
    }

    /// Reads the file; none if the run has none.
    ///
    /// # Errors
    /// When it cannot be read, or is not such a file.
    pub fn read_only(path: &Path) -> Result<Option<Self>, EngineError> {
        match File::open(path) {
            Ok(file) => Self::scan(path, file).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("open", path, e)),
        }
    }

    fn scan(path: &Path, file: File) -> Result<Self, EngineError> {
        let length = file.metadata().map_err(|e| failed("look at", path, e))?.len();
        let mut magic = [0; MAGIC.len()];
        let read = file.read_exact_at(&mut magic, 0);
        if read.is_err() || magic != MAGIC {
            let why = io::Error::new(io::ErrorKind::InvalidData, "it is no output of a run");
            return Err(failed("read", path, why));
        }
        let mut log = Self {
            path: path.to_owned(),
            file,
            end: MAGIC.len() as u64,
            records: HashMap::new(),
            line: Vec::new(),
        };
        let mut head = [0; HEAD];
        while log.file.read_exact_at(&mut head, log.end).is_ok() {
            let Some((host, stream, size)) = parse(&head) else { break };
            let at = log.end + HEAD as u64;
            let end = at + u64::from(size);
            if end > length {
                break;
            }
            log.note(host, stream, Piece { at, length: size });
            log.end = end;
        }
        Ok(log)
    }

    /// Adds what a host has printed.
    ///
    /// # Errors
    /// When it cannot be written: a full disk. What was there before stays readable.
    pub fn append(&mut self, host: u32, stream: OutputStream, bytes: &[u8]) -> Result<(), EngineError> {
        bytes.chunks(LONGEST as usize).try_for_each(|part| self.record(host, stream, part))
    }

    /// Begins the output of a host anew, for another attempt: what came before is not read any more.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn begin_again(&mut self, host: u32) -> Result<(), EngineError> {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            if self.length(host, stream) > 0 {
                self.record(host, stream, &[])?;
            }
        }
        Ok(())
    }

    fn record(&mut self, host: u32, stream: OutputStream, bytes: &[u8]) -> Result<(), EngineError> {
        // No part is longer than LONGEST.
        let length = u32::try_from(bytes.len()).unwrap_or(LONGEST);
        self.line.clear();
        self.line.extend(host.to_le_bytes());
        self.line.push(match stream {
            OutputStream::Stdout => 1,
            OutputStream::Stderr => 2,
        });
        self.line.extend(length.to_le_bytes());
        self.line.extend(bytes);
        self.file.write_all_at(&self.line, self.end).map_err(|e| failed("write", &self.path, e))?;
        self.note(host, stream, Piece { at: self.end + HEAD as u64, length });
        self.end += self.line.len() as u64;
        Ok(())
    }

    /// A record without bytes is where the output begins anew.
    fn note(&mut self, host: u32, stream: OutputStream, piece: Piece) {
        if piece.length == 0 {
            self.records.remove(&(host, stream));
        } else {
            self.records.entry((host, stream)).or_default().push(piece);
        }
    }

    /// Reads what a host has printed, from its first byte on.
    pub fn reader(&self, host: u32, stream: OutputStream) -> OutputReader<'_> {
        OutputReader { file: &self.file, pieces: self.pieces(host, stream), read: 0 }
    }

    /// How many bytes a host has printed.
    pub fn length(&self, host: u32, stream: OutputStream) -> u64 {
        self.pieces(host, stream).iter().map(|piece| u64::from(piece.length)).sum()
    }

    fn pieces(&self, host: u32, stream: OutputStream) -> &[Piece] {
        self.records.get(&(host, stream)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Reads one stream of one host.
#[derive(Debug)]
pub struct OutputReader<'a> {
    file: &'a File,
    pieces: &'a [Piece],
    /// How much of the first piece was read.
    read: u32,
}

impl Read for OutputReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((piece, later)) = self.pieces.split_first() else { return Ok(0) };
        let left = usize::try_from(piece.length - self.read).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..left) else { return Ok(0) };
        self.file.read_exact_at(room, piece.at + u64::from(self.read))?;
        // It is not more than the piece has.
        self.read += u32::try_from(left).unwrap_or(0);
        if self.read == piece.length {
            (self.pieces, self.read) = (later, 0);
        }
        Ok(left)
    }
}

/// Takes a record's head apart; none if it is none.
fn parse(head: &[u8; HEAD]) -> Option<(u32, OutputStream, u32)> {
    let [a, b, c, d, stream, e, f, g, h] = *head;
    let stream = match stream {
        1 => OutputStream::Stdout,
        2 => OutputStream::Stderr,
        _ => return None,
    };
    let length = u32::from_le_bytes([e, f, g, h]);
    (length <= LONGEST).then_some((u32::from_le_bytes([a, b, c, d]), stream, length))
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> EngineError {
    EngineError::File { act, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn all(log: &OutputLog, host: u32, stream: OutputStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        log.reader(host, stream).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, log.length(host, stream));
        bytes
    }

    fn stream() -> impl Strategy<Value = OutputStream> {
        prop_oneof![Just(OutputStream::Stdout), Just(OutputStream::Stderr)]
    }

    proptest! {
        #[test]
        fn what_was_added_is_read_in_order_also_after_a_cut(
            records in prop::collection::vec((0..4_u32, stream(), prop::collection::vec(any::<u8>(), 0..40)), 0..30),
            cut in 0..600_u64,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("output");
            let mut log = OutputLog::open(&path).unwrap();
            let mut model: BTreeMap<(u32, OutputStream), Vec<u8>> = BTreeMap::new();
            let mut kept = model.clone();
            for (host, stream, bytes) in &records {
                log.append(*host, *stream, bytes).unwrap();
                model.entry((*host, *stream)).or_default().extend(bytes);
                if log.end <= cut {
                    kept.clone_from(&model);
                }
            }
            let again = OutputLog::read_only(&path).unwrap().unwrap();
            for ((host, stream), bytes) in &model {
                prop_assert_eq!(&all(&log, *host, *stream), bytes);
                prop_assert_eq!(&all(&again, *host, *stream), bytes);
            }
            // The process was killed in the middle of a write, and another one goes on.
            let cut = cut.clamp(MAGIC.len() as u64, log.end);
            log.file.set_len(cut).unwrap();
            let mut after = OutputLog::open(&path).unwrap();
            after.append(9, OutputStream::Stdout, b"more").unwrap();
            let last = OutputLog::read_only(&path).unwrap().unwrap();
            for ((host, stream), bytes) in &kept {
                prop_assert_eq!(&all(&last, *host, *stream), bytes);
            }
            prop_assert_eq!(all(&last, 9, OutputStream::Stdout), b"more");
        }
    }

    #[test]
    fn another_attempt_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        let mut log = OutputLog::open(&path).unwrap();
        log.append(1, OutputStream::Stdout, b"half").unwrap();
        log.append(2, OutputStream::Stdout, b"other").unwrap();
        log.begin_again(1).unwrap();
        log.append(1, OutputStream::Stdout, b"whole").unwrap();
        for log in [&log, &OutputLog::read_only(&path).unwrap().unwrap()] {
            assert_eq!(all(log, 1, OutputStream::Stdout), b"whole");
            assert_eq!(all(log, 2, OutputStream::Stdout), b"other");
        }
    }

    #[test]
    fn other_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(OutputLog::read_only(&dir.path().join("none")).unwrap().is_none());
        let path = dir.path().join("letter");
        std::fs::File::create(&path).unwrap().write_all_at(b"Dear Sir, ", 0).unwrap();
        assert!(OutputLog::open(&path).unwrap_err().to_string().contains("no output of a run"));
        assert_eq!(std::fs::read(&path).unwrap(), b"Dear Sir, ");
    }
}
