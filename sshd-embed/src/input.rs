//! What a client has sent and a command has not read yet.
//!
//! russh gives the client new window as soon as data arrives and stops the whole session while a handler
//! waits, so nothing may ever wait here: a little memory, then an unlinked file used as a ring, then
//! the command is ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes that are taken back from the file at once.
const CHUNK: u64 = 64 * 1024;

/// A queue that never makes its writer wait.
pub(crate) struct Input {
    buffer: Mutex<Buffer>,
    changed: Notify,
}

struct Buffer {
    chunks: VecDeque<Vec<u8>>,
    held: usize,
    memory: usize,
    spill: Option<Ring>,
    capacity: u64,
    ended: bool,
}

/// Why a piece of input was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The command has not read, and the cap is reached.
    #[error("the command does not read its standard input")]
    Full,
    /// The file could not be written.
    #[error("keep standard input in a temporary file: {0}")]
    Spill(#[source] io::Error),
}

impl Input {
    /// Makes a queue of `memory` bytes and then a file of at most `capacity` bytes.
    pub(crate) fn new(memory: usize, capacity: u64) -> Self {
        let buffer = Buffer { chunks: VecDeque::new(), held: 0, memory, spill: None, capacity, ended: false };
        Self { buffer: Mutex::new(buffer), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece without waiting.
    pub(crate) fn push(&self, data: &[u8]) -> Result<(), Refused> {
        let result = self.lock().push(data);
        self.changed.notify_one();
        result
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// Waits for the next piece; `None` after the last.
    pub(crate) async fn next(&self) -> Option<io::Result<Vec<u8>>> {
        loop {
            {
                let mut buffer = self.lock();
                if let Some(piece) = buffer.pop().transpose() {
                    return Some(piece);
                }
                if buffer.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }
}

impl Buffer {
    fn push(&mut self, data: &[u8]) -> Result<(), Refused> {
        let spilled = self.spill.as_ref().is_some_and(|ring| ring.held > 0);
        if !spilled && self.held + data.len() <= self.memory {
            self.held += data.len();
            self.chunks.push_back(data.to_vec());
            return Ok(());
        }
        let ring = match &mut self.spill {
            Some(ring) => ring,
            empty => empty.insert(Ring::new(self.capacity).map_err(Refused::Spill)?),
        };
        ring.push(data)
    }

    fn pop(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(chunk) = self.chunks.pop_front() {
            self.held -= chunk.len();
            return Ok(Some(chunk));
        }
        match &mut self.spill {
            Some(ring) if ring.held > 0 => ring.pop().map(Some),
            _ => Ok(None),
        }
    }
}

/// A file used as a ring: as long as the longest backlog, not as everything that passed.
struct Ring {
    file: File,
    capacity: u64,
    start: u64,
    held: u64,
}

impl Ring {
    fn new(capacity: u64) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, capacity, start: 0, held: 0 })
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Refused> {
        let length = data.len() as u64;
        if self.held + length > self.capacity {
            return Err(Refused::Full);
        }
        let at = (self.start + self.held) % self.capacity;
        let first = usize::try_from(self.capacity - at).unwrap_or(usize::MAX).min(data.len());
        let (before, after) = data.split_at(first);
        self.file.write_all_at(before, at).map_err(Refused::Spill)?;
        self.file.write_all_at(after, 0).map_err(Refused::Spill)?;
        self.held += length;
        Ok(())
    }

    fn pop(&mut self) -> io::Result<Vec<u8>> {
        let length = self.held.min(CHUNK).min(self.capacity - self.start);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut chunk, self.start)?;
        self.start = (self.start + length) % self.capacity;
        self.held -= length;
        if self.held == 0 {
            self.start = 0;
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(input: &Input, out: &mut Vec<u8>, pieces: usize) {
        for _ in 0..pieces {
            match input.lock().pop().unwrap() {
                Some(piece) => out.extend(piece),
                None => break,
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            steps in proptest::collection::vec((0usize..300, 0usize..4), 1..80),
        ) {
            let input = Input::new(128, 700);
            let (mut sent, mut got, mut byte) = (Vec::<u8>::new(), Vec::new(), 0u8);
            for (length, pieces) in steps {
                let piece: Vec<u8> = (0..length).map(|_| { byte = byte.wrapping_add(1); byte }).collect();
                if input.push(&piece).is_ok() {
                    sent.extend_from_slice(&piece);
                }
                drain(&input, &mut got, pieces);
            }
            drain(&input, &mut got, usize::MAX);
            prop_assert_eq!(sent, got);
        }
    }

    #[test]
    fn a_reader_that_never_comes_meets_the_cap() {
        let input = Input::new(10, 20);
        assert!(input.push(&[1; 10]).is_ok());
        assert!(input.push(&[2; 20]).is_ok());
        assert!(matches!(input.push(&[3; 1]), Err(Refused::Full)));
    }

    #[tokio::test]
    async fn the_end_comes_after_everything_else() {
        let input = Input::new(4, 100);
        input.push(b"abcd").unwrap();
        input.push(b"efgh").unwrap();
        input.end();
        assert_eq!(input.next().await.unwrap().unwrap(), b"abcd");
        assert_eq!(input.next().await.unwrap().unwrap(), b"efgh");
        assert!(input.next().await.is_none());
    }
}
