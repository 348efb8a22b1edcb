//! What host sets and large inventories cost: `cargo bench -p pipedown-plan`.
//!
//! Everything is measured within this process, except `nodeset` (ClusterShell), which is measured as a process if it
//! is on the PATH: its start, some 0.1 s, is shown too, so that it can be taken off.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pipedown_plan::{HostSet, InputError, Inventory, Source, fold};

const NAMES: u64 = 100_000;
const HOSTS: u64 = 50_000;
const ROUNDS: usize = 5;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("{NAMES} names, in no order, median of {ROUNDS}: parse, evaluate and fold\n");
    for (what, name) in [("one number", one as fn(u64) -> String), ("two", two), ("IPv4", four)] {
        let text: Vec<String> = shuffled().into_iter().map(name).collect();
        let text = text.join("\n");
        let ours = median(|| folded(&text))?;
        let theirs = nodeset(&text)?;
        println!("{what:<12} {:>9} {}", ms(ours), against(ours, theirs));
    }
    println!("{:<12} {:>9}", "nodeset of 1", nodeset("n1")?.map_or("-".to_owned(), ms));
    println!("\n`--count` on {HOSTS} hosts, median of {ROUNDS}: read the inventory and count\n");
    for (what, text) in [("ranges", ranges()), ("a list", list()), ("sections", sections())] {
        let took = median(|| counted(&text))?;
        println!("{what:<12} {:>9}  goal 200 ms", ms(took));
    }
    Ok(())
}

fn one(n: u64) -> String {
    format!("node{n:06}")
}

fn two(n: u64) -> String {
    format!("rack{}n{:03}", n / 500, n % 500)
}

fn four(n: u64) -> String {
    format!("10.{}.{}.{}", n / 40_000, n / 200 % 200, n % 200)
}

/// All numbers, each once: 48271 has no divisor in common with their count.
fn shuffled() -> Vec<u64> {
    (0..NAMES).map(|n| n * 48_271 % NAMES).collect()
}

fn folded(text: &str) -> Result<String, InputError> {
    Ok(fold(&HostSet::parse(&text.replace('\n', ","))?.names()?))
}

fn counted(text: &str) -> Result<usize, InputError> {
    let inventory = Inventory::parse(Source::new("inventory.toml", text), Path::new("/"), None)?;
    Ok(inventory.evaluate(&HostSet::all())?.len())
}

fn ranges() -> String {
    format!("[groups.n]\nhosts = \"n[00001-{HOSTS}].example.org\"\n")
}

fn list() -> String {
    let names: Vec<String> = (0..HOSTS).map(|n| format!("  \"n{n}.example.org\",\n")).collect();
    format!("[groups.n]\nhosts = [\n{}]\n", names.concat())
}

fn sections() -> String {
    let section = |n| {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        format!("[hosts.\"n{n}.example.org\"]\naddress = \"{address}\"\nvars = {{ role = \"db\" }}\n")
    };
    (0..HOSTS).map(section).collect()
}

/// What `nodeset -f` takes for the same names, if it is there.
fn nodeset(text: &str) -> Outcome<Option<Duration>> {
    if Command::new("nodeset").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    median(|| -> Outcome<()> {
        let mut command = Command::new("nodeset");
        let mut child = command.arg("-f").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        Ok(child.wait().map(drop)?)
    })
    .map(Some)
}

fn against(ours: Duration, theirs: Option<Duration>) -> String {
    match theirs {
        None => "(nodeset is not installed)".to_owned(),
        Some(theirs) => {
            let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
            format!("nodeset -f {:>9}  ratio {ratio:.3}  goal 0.1", ms(theirs))
        }
    }
}

fn median<T, E: Into<Box<dyn std::error::Error>>>(work: impl Fn() -> Result<T, E>) -> Outcome<Duration> {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        black_box(work().map_err(Into::into)?);
        took.push(begun.elapsed());
    }
    took.sort();
    Ok(took.get(ROUNDS / 2).copied().unwrap_or_default())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
