//! The journal: every event of a run, durable before the act.

use std::path::{Path, PathBuf};

use pipedown_model::{Event, Plan, RunId, RunState};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use crate::{EngineError, StateDir, StorageKind};

/// Where events are kept. A trait, because several controllers will share a run through another store.
pub trait Journal: Send {
    /// Appends events in one transaction; durable when it returns.
    ///
    /// # Errors
    /// When nothing of it was kept.
    fn append(&mut self, lines: &[(u64, String)]) -> Result<(), EngineError>;
}

/// A journal that keeps nothing: dry runs without a state directory, and `cancel` on a controller that
/// cannot write.
#[derive(Debug, Default)]
pub struct MemoryJournal;

impl Journal for MemoryJournal {
    fn append(&mut self, _lines: &[(u64, String)]) -> Result<(), EngineError> {
        Ok(())
    }
}

/// A journal in SQLite, one database per run.
pub struct SqliteJournal {
    connection: Connection,
    path: PathBuf,
}

/// What a journal holds.
#[derive(Debug)]
pub struct Recorded {
    /// The plan.
    pub plan: Plan,
    /// The options of the run, as the roof stored them.
    pub options: serde_json::Value,
    /// The lines as they are, also those of an unknown kind.
    pub lines: Vec<String>,
    /// The events.
    pub events: Vec<Event>,
    /// Their fold.
    pub state: Option<RunState>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, line TEXT NOT NULL);
    PRAGMA user_version = 1;
";

impl SqliteJournal {
    /// Makes the journal of a new run and stores its plan and options durably.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn create(
        state: &StateDir,
        run: &RunId,
        plan: &Plan,
        options: &serde_json::Value,
    ) -> Result<Self, EngineError> {
        state.create_run_dir(run)?;
        let mut journal = Self::open(state, run)?;
        let plan = serde_json::to_string(plan).map_err(|source| EngineError::Line {
            run: run.clone(),
            seq: 0,
            source,
        })?;
        let path = journal.path.clone();
        let keep = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            let put = "INSERT INTO about (key, value) VALUES (?1, ?2)";
            transaction.execute(put, params!["plan", plan])?;
            transaction.execute(put, params!["options", options.to_string()])?;
            transaction.commit()?;
            // Whatever becomes of the -wal file: the plan is what `cancel` needs.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        keep(&mut journal.connection).map_err(|e| database("write", &path, e))?;
        Ok(journal)
    }

    /// Opens the journal of a run for writing.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(state: &StateDir, run: &RunId) -> Result<Self, EngineError> {
        let path = state.journal(run);
        let kind = StorageKind::of(&state.run_dir(run))?;
        Self::open_as(&path, kind)
    }

    fn open_as(path: &Path, kind: StorageKind) -> Result<Self, EngineError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            let mode = match kind {
                StorageKind::Local => "WAL",
                StorageKind::Network => "DELETE",
            };
            connection.pragma_update(None, "journal_mode", mode)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(connection)
        };
        let connection = open().map_err(|e| database("open", path, e))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Reads a run, without a lock and without writing.
    ///
    /// # Errors
    /// When there is no such run, or its journal is corrupt.
    pub fn read(state: &StateDir, run: &RunId) -> Result<Recorded, EngineError> {
        let path = state.journal(run);
        if !path.exists() {
            return Err(EngineError::NoSuchRun(run.to_string(), state.path().to_owned()));
        }
        let (plan, options, lines) = load(&path).map_err(|e| database("read", &path, e))?;
        let bad = |seq: usize| {
            let run = run.clone();
            move |source| EngineError::Line { run, seq: seq as u64, source }
        };
        let events = lines
            .iter()
            .enumerate()
            .map(|(i, line)| serde_json::from_str(line).map_err(bad(i + 1)))
            .collect::<Result<Vec<Event>, _>>()?;
        let folded =
            RunState::replay(&events).map_err(|source| EngineError::Corrupt { run: run.clone(), source })?;
        Ok(Recorded {
            plan: serde_json::from_str(&plan).map_err(bad(0))?,
            options: serde_json::from_str(&options).map_err(bad(0))?,
            lines,
            events,
            state: folded,
        })
    }
}

fn load(path: &Path) -> rusqlite::Result<(String, String, Vec<String>)> {
    let connection = open_reader(path)?;
    let about = |key: &str| {
        connection.query_row("SELECT value FROM about WHERE key = ?1", [key], |row| row.get::<_, String>(0))
    };
    let mut rows = connection.prepare("SELECT line FROM event ORDER BY seq")?;
    let lines = rows.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok((about("plan")?, about("options")?, lines))
}

/// Read-only where that works. A WAL database whose `-shm` file cannot be made (full disk) is read with its index in
/// memory while nobody else has it open; one that cannot be written at all, as an immutable file: what was checkpointed
/// is better than nothing.
fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let read_only = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(path, read_only)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    if is_readable(&connection) {
        return Ok(connection);
    }
    drop(connection);
    // This VFS keeps the index in memory, and reads only if nobody else has the file open.
    let read_write = flags | OpenFlags::SQLITE_OPEN_READ_WRITE;
    if let Ok(alone) = Connection::open_with_flags_and_vfs(path, read_write, c"unix-excl") {
        alone.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if is_readable(&alone) {
            return Ok(alone);
        }
    }
    let escaped: String = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), read_only)
}

fn is_readable(connection: &Connection) -> bool {
    connection.query_row("SELECT count(*) FROM about", [], |_| Ok(())).is_ok()
}

fn database(act: &'static str, path: &Path, source: rusqlite::Error) -> EngineError {
    EngineError::Journal { act, path: path.to_owned(), source: Box::new(source) }
}

impl Journal for SqliteJournal {
    fn append(&mut self, lines: &[(u64, String)]) -> Result<(), EngineError> {
        let path = self.path.clone();
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut put = transaction.prepare_cached("INSERT INTO event (seq, line) VALUES (?1, ?2)")?;
                for (seq, line) in lines {
                    put.execute(params![i64::try_from(*seq).unwrap_or(i64::MAX), line])?;
                }
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(|e| database("write", &path, e))
    }
}

#[cfg(test)]
mod tests;
