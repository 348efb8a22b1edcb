//! As much of SFTP's version 3 as it takes to read a file (draft-ietf-secsh-filexfer-02).

use pipedown_ssh::{Chunk, Connection, Exec};

const INIT: u8 = 1;
const VERSION: u8 = 2;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;

/// How much is asked for at once; all servers give this much (section 3).
const BLOCK: u32 = 32 * 1024;

/// Starts the subsystem, and reads a file.
pub async fn reads(connection: &Connection, (path, content): &(String, Vec<u8>)) -> Result<(), String> {
    let exec = connection.subsystem("sftp").await.map_err(|error| error.to_string())?;
    let mut sftp = Sftp { exec, unread: Vec::new() };
    sftp.send(INIT, &3_u32.to_be_bytes()).await?;
    let version = sftp.receive(VERSION).await?;
    if version.get(..4) != Some(&3_u32.to_be_bytes()) {
        return Err(format!("version {version:?}"));
    }
    let open = [&1_u32.to_be_bytes(), &string(path.as_bytes())[..], &1_u32.to_be_bytes(), &[0; 4]].concat();
    sftp.send(OPEN, &open).await?;
    // The request's number, and the handle as a string.
    let handle = sftp.receive(HANDLE).await?.split_off(4);
    let mut read = Vec::new();
    while read.len() < content.len() {
        let offset = u64::try_from(read.len()).map_err(|error| error.to_string())?;
        let ask = [&2_u32.to_be_bytes(), &handle[..], &offset.to_be_bytes(), &BLOCK.to_be_bytes()].concat();
        sftp.send(READ, &ask).await?;
        read.extend(sftp.receive(DATA).await?.split_off(8));
    }
    sftp.send(CLOSE, &[&3_u32.to_be_bytes(), &handle[..]].concat()).await?;
    sftp.receive(STATUS).await?;
    sftp.exec.stdin.eof();
    // dropbear closes what is started while this is under way.
    while sftp.exec.output.next().await.is_some() {}
    if read == *content { Ok(()) } else { Err(format!("read {} bytes that differ", read.len())) }
}

struct Sftp {
    exec: Exec,
    unread: Vec<u8>,
}

impl Sftp {
    async fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), String> {
        let packet = string(&[&[kind], body].concat());
        self.exec.stdin.write_all(&packet).await.map_err(|error| error.to_string())
    }

    /// The body of the next packet, which must be of this kind.
    async fn receive(&mut self, kind: u8) -> Result<Vec<u8>, String> {
        loop {
            if let Some((length, rest)) = self.unread.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some((packet, rest)) = rest.split_at_checked(length) {
                    let (packet, rest) = (packet.to_vec(), rest.to_vec());
                    self.unread = rest;
                    let (found, body) = packet.split_first().ok_or("an empty packet")?;
                    let text = || format!("packet {found} instead of {kind}: {}", body.escape_ascii());
                    return if *found == kind { Ok(body.to_vec()) } else { Err(text()) };
                }
            }
            match self.exec.output.next().await {
                Some(Chunk::Stdout(bytes)) => self.unread.extend(bytes),
                Some(Chunk::Refused) => return Err("refused".to_owned()),
                Some(Chunk::Stderr(bytes)) => return Err(bytes.escape_ascii().to_string()),
                other => return Err(format!("ended: {other:?}")),
            }
        }
    }
}

/// A string as it travels: its length first.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}
