//! What a process prints, as it arrives, and processes whose output is watched.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Bytes that arrive, each with its time; carriage returns and bells are left out.
#[derive(Default)]
pub struct Feed {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    /// Up to which offset everything had arrived at a time.
    arrivals: Vec<(usize, f64)>,
    ended: Option<f64>,
}

impl Seen {
    fn arrival(&self, offset: usize) -> f64 {
        let at = self.arrivals.partition_point(|(end, _)| *end < offset);
        self.arrivals[at].1
    }
}

impl Feed {
    fn collect(self: Arc<Self>, mut from: impl Read + Send + 'static) {
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // A pty whose last process has ended answers with an error.
                let count = from.read(&mut buffer).unwrap_or(0);
                let mut seen = self.seen.lock().unwrap();
                if count == 0 {
                    seen.ended = Some(now());
                    self.changed.notify_all();
                    return;
                }
                seen.bytes.extend(buffer[..count].iter().filter(|b| !matches!(b, b'\r' | 0x07)));
                let end = seen.bytes.len();
                seen.arrivals.push((end, now()));
                self.changed.notify_all();
            }
        });
    }

    /// Everything up to now.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    /// How often a text has arrived.
    pub fn count(&self, what: &str) -> usize {
        find(&self.seen.lock().unwrap().bytes, what).count()
    }

    /// Waits until a text has arrived, and says when.
    pub fn wait_for(&self, what: &str, patience: Duration) -> f64 {
        self.wait_for_nth(what, 1, patience)
    }

    /// Waits until a text has arrived `nth` times, and says when.
    pub fn wait_for_nth(&self, what: &str, nth: usize, patience: Duration) -> f64 {
        let found =
            self.wait(patience, |seen| find(&seen.bytes, what).nth(nth - 1).map(|end| seen.arrival(end)));
        found.unwrap_or_else(|| panic!("{what:?} (number {nth}) did not arrive; there was:\n{}", self.text()))
    }

    /// Waits until nothing more can come, and says when that was.
    pub fn wait_for_end(&self, patience: Duration) -> f64 {
        let ended = self.wait(patience, |seen| seen.ended.map(Some).unwrap_or_default());
        ended.unwrap_or_else(|| panic!("no end; there was:\n{}", self.text()))
    }

    fn wait<T>(&self, patience: Duration, look: impl Fn(&Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut seen = self.seen.lock().unwrap();
        loop {
            if let Some(found) = look(&seen) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if seen.ended.is_some() {
                return None;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
    }
}

/// The offsets after each occurrence of a text.
fn find<'a>(bytes: &'a [u8], what: &'a str) -> impl Iterator<Item = usize> + 'a {
    let what = what.as_bytes();
    bytes.windows(what.len()).enumerate().filter(move |(_, w)| *w == what).map(move |(at, _)| at + what.len())
}

/// A process whose output is watched. It is killed when this is dropped.
pub struct Watched {
    child: Child,
    keyboard: Option<Box<dyn Write + Send>>,
    /// Standard output; on a terminal, everything.
    pub out: Arc<Feed>,
    /// Standard error; nothing on a terminal.
    pub err: Arc<Feed>,
}

impl Watched {
    /// Starts a process with pipes; its standard input is empty.
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Arc::<Feed>::default(), Arc::<Feed>::default());
        Arc::clone(&out).collect(child.stdout.take().unwrap());
        Arc::clone(&err).collect(child.stderr.take().unwrap());
        Self { child, keyboard: None, out, err }
    }

    /// Starts a process on a terminal of its own.
    pub fn start_on_terminal(command: Command) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(50, 160)).unwrap();
        let child = pty_process::blocking::Command::from(command).spawn(pts).unwrap();
        let (out, err) = (Arc::<Feed>::default(), Arc::<Feed>::default());
        let pty = std::fs::File::from(OwnedFd::from(pty));
        Arc::clone(&out).collect(pty.try_clone().unwrap());
        Self { child, keyboard: Some(Box::new(pty)), out, err }
    }

    /// Types on the terminal.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The number of the process.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        self.out.wait_for_end(patience);
        self.child.wait().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
