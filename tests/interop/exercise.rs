//! What our client is put through with every server, and what came of it: a table, one line for each thing.

use std::time::{Duration, Instant};

use pipedown_ssh::{Chunk, Connection, Connector, Exec, Settings, Target};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::sftp;

/// For each thing that is tried; a busy machine is slow, and nothing takes this long when all is well.
const LIMIT: Duration = Duration::from_secs(240);
const MEBIBYTE: usize = 1 << 20;

/// What is tried, and how much of it.
pub struct Exercise {
    pub target: Target,
    /// The same kind of server, one that wants new keys after a few mebibytes and asks every second whether we are
    /// there. (An answer to that while we ask for new keys would be an error in the protocol.)
    pub busy: Target,
    /// Mebibytes that go each way.
    pub mebibytes: usize,
    /// A file that the server's side has, and its content.
    pub file: (String, Vec<u8>),
}

type Tried = Result<(), String>;

impl Exercise {
    /// Tries everything, and tells what came of it: `yes`, or what happened instead.
    pub async fn run(&self) -> String {
        let connector = Connector::new(settings(), None);
        let mut table = String::new();
        let mut began = Instant::now();
        let mut line = |what: &str, tried: Tried| {
            let line = format!("{what:<20} {}", tried.map_or_else(|why| why, |()| "yes".to_owned()));
            println!("{line} ({:.1} s)", began.elapsed().as_secs_f64());
            began = Instant::now();
            table += &format!("{line}\n");
        };
        let connection = match connector.connect(&self.target).await {
            Ok(connection) => connection,
            Err(error) => return format!("connect: {error}\n"),
        };
        line("exec and status", within(streams_and_status(&connection)).await);
        line("exit signal", within(exit_signal(&connection)).await);
        line("signal to it", within(signal_sent(&connection)).await);
        line("output", within(self.output(&connection)).await);
        line("input", within(self.input(&connection)).await);
        line("both ways at once", within(self.echo(&connection)).await);
        line("sftp", within(sftp::reads(&connection, &self.file)).await);
        line("re-key by us", within(self.rekey(&connection)).await);
        line("re-key by server", within(self.rekeyed()).await);
        connection.close().await;
        let (from_us, from_server) = tokio::join!(self.stays(Duration::from_secs(1)), self.stays(LIMIT));
        line("keepalive by us", from_us);
        line("keepalive by server", from_server);
        table
    }

    /// Whether a silent connection stays. A machine that stands still for three seconds looks like a peer that does not
    /// answer; one that never answers is lost every time.
    async fn stays(&self, keepalive: Duration) -> Tried {
        for _ in 0..2 {
            if self.idle(keepalive).await.is_ok() {
                return Ok(());
            }
        }
        self.idle(keepalive).await
    }

    /// Silence in which either side would give the other up, did it not answer. Servers ask every second here, and
    /// count to four or less; a packet of ours, of whatever kind, would begin their count anew.
    async fn idle(&self, keepalive: Duration) -> Tried {
        let connector = Connector::new(Settings { keepalive, keepalive_max: 4, ..settings() }, None);
        let connection = connector.connect(&self.busy).await.map_err(text_of)?;
        let command = "sleep 8; echo still here";
        let heard = within_value(hear(connection.exec(command).await.map_err(text_of)?)).await?;
        same("output", &heard.stdout, b"still here\n")?;
        heard.ended_with(&Chunk::Exit(0))
    }

    /// A flood that the server sends as fast as it can.
    async fn output(&self, connection: &Connection) -> Tried {
        let size = self.mebibytes * MEBIBYTE;
        let text: Vec<u8> = b"0123456789abcde\n".repeat(size / 16);
        let command = format!("yes 0123456789abcde | head -c {size}");
        let heard = hear(connection.exec(&command).await.map_err(text_of)?).await;
        same("output", &heard.stdout, &text)?;
        heard.ended_with(&Chunk::Exit(0))
    }

    /// A flood that the server takes in.
    async fn input(&self, connection: &Connection) -> Tried {
        let sent = pattern(self.mebibytes * MEBIBYTE);
        let Exec { mut stdin, output, .. } = connection.exec("sha256sum").await.map_err(text_of)?;
        stdin.write_all(&sent).await.map_err(text_of)?;
        stdin.eof();
        let heard = hear_output(output).await;
        // Without optimisation this takes so long that a server would miss us.
        let sum = spawn_blocking(move || Sha256::digest(&sent)).await.map_err(text_of)?;
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        same("checksum", heard.stdout.get(..64).unwrap_or_default(), sum.as_bytes())?;
        heard.ended_with(&Chunk::Exit(0))
    }

    async fn echo(&self, connection: &Connection) -> Tried {
        let sent = pattern(self.mebibytes * MEBIBYTE);
        let Exec { mut stdin, output, .. } = connection.exec("cat").await.map_err(text_of)?;
        let (written, heard) = tokio::join!(
            async {
                let written = stdin.write_all(&sent).await;
                stdin.eof();
                written
            },
            hear_output(output)
        );
        written.map_err(text_of)?;
        same("echo", &heard.stdout, &sent)?;
        heard.ended_with(&Chunk::Exit(0))
    }

    /// New keys, wanted by the server in the middle of a transfer.
    async fn rekeyed(&self) -> Tried {
        let connector = Connector::new(settings(), None);
        let connection = connector.connect(&self.busy).await.map_err(text_of)?;
        let transferred = self.echo(&connection).await;
        stands(&connection, transferred).await?;
        if connection.key_exchanges() > 1 { Ok(()) } else { Err("never".to_owned()) }
    }

    /// New keys, wanted by us in the middle of a transfer in both directions.
    async fn rekey(&self, connection: &Connection) -> Tried {
        let sent = pattern(4 * MEBIBYTE);
        let before = connection.key_exchanges();
        let Exec { mut stdin, output, .. } = connection.exec("cat").await.map_err(text_of)?;
        let (written, heard) = tokio::join!(
            async {
                for part in sent.chunks(MEBIBYTE) {
                    stdin.write_all(part).await.map_err(text_of)?;
                    connection.rekey().await.map_err(text_of)?;
                }
                stdin.eof();
                Ok::<(), String>(())
            },
            hear_output(output)
        );
        let told = |why| format!("{why} ({:?} after {} bytes)", heard.ends, heard.stdout.len());
        stands(connection, written.map_err(told)).await?;
        same("echo", &heard.stdout, &sent)?;
        heard.ended_with(&Chunk::Exit(0))?;
        if connection.key_exchanges() > before { Ok(()) } else { Err("no exchange".to_owned()) }
    }
}

/// Settings under which a busy machine does not look like a dead server.
fn settings() -> Settings {
    let mut settings = Settings { keepalive: LIMIT, inactivity: LIMIT, ..Settings::default() };
    let limits = &mut settings.deadlines;
    for limit in [
        &mut limits.connect,
        &mut limits.banner,
        &mut limits.key_exchange,
        &mut limits.auth,
        &mut limits.open,
    ] {
        *limit = Duration::from_secs(120);
    }
    settings
}

async fn within(trial: impl Future<Output = Tried>) -> Tried {
    within_value(trial).await?
}

async fn within_value<T>(trial: impl Future<Output = T>) -> Result<T, String> {
    timeout(LIMIT, trial).await.map_err(|_| "took too long".to_owned())
}

/// What came of a transfer; if it failed because the link did, how that ended.
async fn stands(connection: &Connection, transferred: Tried) -> Tried {
    match transferred {
        Ok(()) => Ok(()),
        Err(why) => {
            let end = timeout(Duration::from_secs(5), connection.closed()).await;
            Err(end.map_or(why, |end| format!("the link ended: {end}")))
        }
    }
}

fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Bytes with a period that no packet or window has.
fn pattern(size: usize) -> Vec<u8> {
    let mut bytes = (0..=250_u8).collect::<Vec<_>>().repeat(size / 251 + 1);
    bytes.truncate(size);
    bytes
}

fn same(what: &str, found: &[u8], wanted: &[u8]) -> Tried {
    if found == wanted {
        return Ok(());
    }
    let at = found.iter().zip(wanted).take_while(|(found, wanted)| found == wanted).count();
    Err(format!("{what} differs at {at}: {} bytes instead of {}", found.len(), wanted.len()))
}

/// Everything a command said, and how it ended.
#[derive(Default)]
pub struct Heard {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub ends: Vec<Chunk>,
}

impl Heard {
    fn ended_with(&self, end: &Chunk) -> Tried {
        if self.ends == [end.clone()] { Ok(()) } else { Err(format!("{:?}", self.ends)) }
    }
}

async fn hear(exec: Exec) -> Heard {
    hear_output(exec.output).await
}

async fn hear_output(mut output: pipedown_ssh::ExecOutput) -> Heard {
    let mut heard = Heard::default();
    while let Some(chunk) = output.next().await {
        match chunk {
            Chunk::Stdout(bytes) => heard.stdout.extend(bytes),
            Chunk::Stderr(bytes) => heard.stderr.extend(bytes),
            end => heard.ends.push(end),
        }
    }
    heard
}

async fn streams_and_status(connection: &Connection) -> Tried {
    let exec = connection.exec("printf out; printf err >&2; exit 3").await.map_err(text_of)?;
    let heard = hear(exec).await;
    same("standard output", &heard.stdout, b"out")?;
    same("standard error", &heard.stderr, b"err")?;
    heard.ended_with(&Chunk::Exit(3))
}

async fn exit_signal(connection: &Connection) -> Tried {
    let exec = connection.exec("kill -TERM $$").await.map_err(text_of)?;
    hear(exec).await.ended_with(&Chunk::Signal("TERM".to_owned()))
}

/// A command that waits for input, gets a signal, and then some input: on one channel, so in this order.
async fn signal_sent(connection: &Connection) -> Tried {
    let script = "trap 'echo got TERM; exit 7' TERM; echo ready; read -r line; echo got none";
    let mut exec = connection.exec(script).await.map_err(text_of)?;
    if exec.output.next().await != Some(Chunk::Stdout(b"ready\n".to_vec())) {
        return Err("the command did not start".to_owned());
    }
    exec.signals.send("TERM").map_err(text_of)?;
    // Signals have a queue of their own on our side.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A command that got the signal may have ended.
    let _ = exec.stdin.write_all(b"\n").await;
    let heard = hear_output(exec.output).await;
    if heard.stdout == b"got none\n" {
        return Err("not delivered".to_owned());
    }
    same("what the command said", &heard.stdout, b"got TERM\n")?;
    heard.ended_with(&Chunk::Exit(7))
}
