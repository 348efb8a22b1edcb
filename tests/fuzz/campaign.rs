//! Runs a parser on many documents, and looks for panics and for work out of proportion.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::mutate::{Chance, mutated};

/// Processor time that one document of at most 4 KiB may take, in a build without optimisation. What takes longer
/// takes more than a line's worth of work for each line.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time after which a document is taken for one that never ends, on however busy a machine.
const FOR_EVER: Duration = Duration::from_secs(180);
/// How many documents are kept because they led to something new.
const CORPUS: usize = 2000;

/// A parser and what to feed it.
pub struct Target {
    /// Its name for `cargo test --test fuzz NAME`.
    pub name: &'static str,
    /// Documents that are valid, or nearly.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Parses, uses what came of it, and tells in words what that was. Panics are what is looked for.
    pub parse: fn(&[u8]) -> String,
}

/// How long a campaign takes.
#[derive(Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    pub seed: u64,
}

/// Runs a campaign; tells how much was tried, or what was found.
pub fn run(target: &Target, limits: Limits) -> Result<String, String> {
    let mut chance = Chance(limits.seed);
    let mut corpus = (target.seeds)();
    let mut seen = HashSet::new();
    let began = Instant::now();
    let (mut executions, mut slowest) = (0_u64, Duration::ZERO);
    let mut queue = corpus.clone();
    let watch = Watch::start(target.name);
    while began.elapsed() < limits.time || !queue.is_empty() {
        let document = queue.pop().unwrap_or_else(|| mutated(&mut chance, &corpus, target.words));
        watch.begin(&document);
        let started = processor_time();
        let outcome = caught(target, &document).map_err(|why| {
            found(target, limits.seed, &format!("panics: {why};"), &smallest(target, &document))
        })?;
        let took = processor_time() - started;
        executions += 1;
        slowest = slowest.max(took);
        if took > PATIENCE {
            return Err(found(target, limits.seed, &format!("takes {took:?}"), &document));
        }
        if seen.insert(kind(&outcome)) && corpus.len() < CORPUS {
            corpus.push(document);
        }
    }
    let rate = f64::from(u32::try_from(executions).unwrap_or(u32::MAX)) / began.elapsed().as_secs_f64();
    Ok(format!(
        "{:<16} {executions:>8} executions, {rate:>6.0}/s, {:>4} kinds of outcome, slowest {slowest:.0?}, seed {}",
        target.name,
        seen.len(),
        limits.seed
    ))
}

/// Ends the process when one document takes for ever: a thread cannot be ended.
struct Watch(Arc<Mutex<Current>>);

/// What is being parsed, and since when.
type Current = Option<(Instant, Vec<u8>)>;

impl Watch {
    fn start(name: &'static str) -> Self {
        let current = Arc::new(Mutex::new(Current::None));
        let watched = Arc::downgrade(&current);
        std::thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                if let Some((since, document)) = &*current.lock().unwrap()
                    && since.elapsed() > FOR_EVER
                {
                    println!("{name} takes for ever: {}", document.escape_ascii());
                    std::process::abort();
                }
                drop(current);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(current)
    }

    fn begin(&self, document: &[u8]) {
        *self.0.lock().unwrap() = Some((Instant::now(), document.to_vec()));
    }
}

/// What a parser says, or with what it panics.
fn caught(target: &Target, document: &[u8]) -> Result<String, String> {
    // What a parser leaves half done is not used again.
    catch_unwind(AssertUnwindSafe(|| (target.parse)(document))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
    })
}

/// What is alike but for numbers and what is quoted is of one kind.
fn kind(outcome: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut quoted = false;
    for character in outcome.chars() {
        quoted ^= matches!(character, '"' | '`');
        if !quoted && !character.is_ascii_digit() {
            character.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The time that this thread has used: a busy machine does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// The document without whatever it does not need to cause a panic.
fn smallest(target: &Target, document: &[u8]) -> Vec<u8> {
    let mut document = document.to_vec();
    let mut size = document.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < document.len() {
            let mut without = document.clone();
            without.drain(at..(at + size).min(document.len()));
            if caught(target, &without).is_err() {
                document = without;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    document
}

/// What was found, and the document in a file, for whoever mends it.
fn found(target: &Target, seed: u64, what: &str, document: &[u8]) -> String {
    let kept =
        tempfile::Builder::new().prefix(target.name).suffix(".fuzz").tempfile().and_then(|mut file| {
            file.write_all(document)?;
            Ok(file.keep()?.1)
        });
    let shown = &document[..document.len().min(400)];
    format!("{} {what} (seed {seed}), see {kept:?}: {}", target.name, shown.escape_ascii())
}
