//! As much of SSH's server side as it takes to be hostile at any point of a connection: one algorithm of each kind,
//! every packet made by hand. Blocking: a server is a thread.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const VERSION: &str = "SSH-2.0-Hostile";
const SERVICE_ACCEPT: u8 = 6;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
const KEX_ECDH_REPLY: u8 = 31;
const USERAUTH_SUCCESS: u8 = 52;
const CHANNEL_OPEN: u8 = 90;
const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
const CHANNEL_REQUEST: u8 = 98;
const CHANNEL_SUCCESS: u8 = 99;

/// How long a tag of AES-GCM is.
const TAG: usize = 16;

/// The host key of all servers here.
pub fn host_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// Its public half as it travels and as known_hosts has it, before base64.
pub fn host_key_blob() -> Vec<u8> {
    [string(b"ssh-ed25519"), string(host_key().public_key().as_ref())].concat()
}

/// A string as it travels: its length first.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

/// A positive number as it travels.
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().take_while(|byte| **byte == 0).count();
    let sign: &[u8] = if bytes.get(start).is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    string(&[sign, &bytes[start..]].concat())
}

/// One direction's key (RFC 5647).
struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Direction {
    fn new(key: &[u8], iv: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        Self { key, iv: iv[..12].try_into().unwrap() }
    }

    fn nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let counter = u64::from_be_bytes(self.iv[4..].try_into().unwrap());
        self.iv[4..].copy_from_slice(&counter.wrapping_add(1).to_be_bytes());
        nonce
    }
}

/// A server's end of a connection.
pub struct Wire {
    reader: BufReader<TcpStream>,
    socket: TcpStream,
    sealing: Option<Direction>,
    opening: Option<Direction>,
    client_version: String,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    pending: Option<(Direction, Direction)>,
    /// The client's number of the channel.
    pub channel: u32,
}

impl Wire {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(socket.try_clone().unwrap()),
            socket,
            sealing: None,
            opening: None,
            client_version: String::new(),
            ours: Vec::new(),
            theirs: Vec::new(),
            pending: None,
            channel: 0,
        }
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Says that nothing more will come.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Reads and forgets until the client goes away.
    pub fn wait_for_end(&mut self) {
        // A reset is an end as well.
        let _ = io::copy(&mut self.reader, &mut io::sink());
    }

    /// Reads and forgets in a thread of its own.
    pub fn read_aside(&self) {
        let mut socket = self.socket.try_clone().unwrap();
        std::thread::spawn(move || io::copy(&mut socket, &mut io::sink()));
    }

    /// The packet as it travels.
    pub fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        let (block, counted) = if self.sealing.is_some() { (16, 1) } else { (8, 5) };
        let mut padding = block - (counted + payload.len()) % block;
        if padding < 4 {
            padding += block;
        }
        let length = u32::try_from(1 + payload.len() + padding).unwrap().to_be_bytes();
        let mut body = [&[u8::try_from(padding).unwrap()], payload, &vec![0; padding]].concat();
        if let Some(sealing) = &mut self.sealing {
            let nonce = sealing.nonce();
            sealing.key.seal_in_place_append_tag(nonce, Aad::from(length), &mut body).unwrap();
        }
        [&length, &body[..]].concat()
    }

    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let packet = self.sealed(payload);
        self.raw(&packet)
    }

    /// The next packet's payload.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length)?;
        let tag = if self.opening.is_some() { TAG } else { 0 };
        let mut body = vec![0; u32::from_be_bytes(length) as usize + tag];
        self.reader.read_exact(&mut body)?;
        if let Some(opening) = &mut self.opening {
            let nonce = opening.nonce();
            opening.key.open_in_place(nonce, Aad::from(length), &mut body).unwrap();
        }
        Ok(body[1..body.len() - tag - usize::from(body[0])].to_vec())
    }

    /// The next packet of this kind; keepalives and extensions that come before it are left unanswered.
    fn receive_kind(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.receive()?;
            if payload[0] == kind {
                return Ok(payload);
            }
        }
    }

    /// Version lines.
    pub fn greet(&mut self) -> io::Result<()> {
        self.raw(format!("{VERSION}\r\n").as_bytes())?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        self.client_version = line.trim_end().to_owned();
        Ok(())
    }

    /// Both proposals.
    pub fn propose(&mut self) -> io::Result<()> {
        let lists = [
            "curve25519-sha256",
            "ssh-ed25519",
            "aes256-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "hmac-sha2-256",
            "hmac-sha2-256",
            "none",
            "none",
            "",
            "",
        ];
        self.ours = proposal(&lists.map(|list| list.as_bytes().to_vec()));
        let ours = self.ours.clone();
        self.send(&ours)?;
        self.theirs = self.receive_kind(KEXINIT)?;
        Ok(())
    }

    /// The client's half of the exchange, and ours.
    pub fn exchange(&mut self) -> io::Result<()> {
        let init = self.receive()?;
        let theirs = &init[5..];
        let random = SystemRandom::new();
        let private = EphemeralPrivateKey::generate(&X25519, &random).unwrap();
        let ours = private.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, theirs);
        let secret = agree_ephemeral(private, &peer, mpint).unwrap();
        let hashed = [
            string(self.client_version.as_bytes()),
            string(VERSION.as_bytes()),
            string(&self.theirs),
            string(&self.ours),
            string(&host_key_blob()),
            string(theirs),
            string(ours.as_ref()),
            secret.clone(),
        ]
        .concat();
        let hash = digest(&SHA256, &hashed);
        let hash = hash.as_ref();
        // This is the first exchange, so its hash is the session's identifier as well.
        let key =
            |letter: u8| digest(&SHA256, &[&secret[..], hash, &[letter], hash].concat()).as_ref().to_vec();
        let signature = [string(b"ssh-ed25519"), string(host_key().sign(hash).as_ref())].concat();
        let reply = [string(&host_key_blob()), string(ours.as_ref()), string(&signature)].concat();
        self.send(&[&[KEX_ECDH_REPLY], &reply[..]].concat())?;
        let (opening, sealing) =
            (Direction::new(&key(b'C'), &key(b'A')), Direction::new(&key(b'D'), &key(b'B')));
        self.pending = Some((opening, sealing));
        Ok(())
    }

    /// New keys in both directions.
    pub fn use_keys(&mut self) -> io::Result<()> {
        self.send(&[NEWKEYS])?;
        self.receive_kind(NEWKEYS)?;
        let (opening, sealing) = self.pending.take().unwrap();
        (self.opening, self.sealing) = (Some(opening), Some(sealing));
        Ok(())
    }

    /// Lets the client ask for its login.
    pub fn accept_service(&mut self) -> io::Result<()> {
        self.receive()?;
        self.send(&[&[SERVICE_ACCEPT], &string(b"ssh-userauth")[..]].concat())
    }

    /// Lets anybody in.
    pub fn let_in(&mut self) -> io::Result<()> {
        self.receive()?;
        self.send(&[USERAUTH_SUCCESS])
    }

    /// Opens the channel that the client wants, with a window for almost everything.
    pub fn open_channel(&mut self) -> io::Result<()> {
        let open = self.receive_kind(CHANNEL_OPEN)?;
        // The kind, "session" with its length, and the client's number.
        self.channel = u32::from_be_bytes(open[12..16].try_into().unwrap());
        let body = [self.channel, 0, 0x7fff_ffff, 32768].map(u32::to_be_bytes).concat();
        self.send(&[&[CHANNEL_OPEN_CONFIRMATION], &body[..]].concat())
    }

    /// Starts the command, so to speak.
    pub fn start_command(&mut self) -> io::Result<()> {
        self.receive_kind(CHANNEL_REQUEST)?;
        let channel = self.channel.to_be_bytes();
        self.send(&[&[CHANNEL_SUCCESS], &channel[..]].concat())
    }
}

/// A proposal of these ten lists (RFC 4253, section 7.1).
pub fn proposal(lists: &[Vec<u8>; 10]) -> Vec<u8> {
    let lists: Vec<u8> = lists.iter().flat_map(|list| string(list)).collect();
    [&[KEXINIT][..], &[9; 16], &lists[..], &[0; 5]].concat()
}
