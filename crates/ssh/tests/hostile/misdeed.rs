//! What a hostile server does, and where.

use std::io;

use crate::wire::{Wire, proposal, string};

/// How far a connection comes before the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Banner,
    Proposal,
    Reply,
    NewKeys,
    Service,
    Auth,
    Open,
    Exec,
    Output,
    Close,
}

pub const STAGES: [Stage; 10] = [
    Stage::Banner,
    Stage::Proposal,
    Stage::Reply,
    Stage::NewKeys,
    Stage::Service,
    Stage::Auth,
    Stage::Open,
    Stage::Exec,
    Stage::Output,
    Stage::Close,
];

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Says nothing more.
    Stall,
    /// Closes its half.
    HalfClose,
    /// Sends bytes that mean nothing.
    Garbage,
    /// Announces a packet of two gibibytes.
    HugePacket,
    /// Sends a packet whose tag is wrong.
    WrongTag,
    /// Sends lines before its version line, without end.
    Lines,
    /// Sends one line without end.
    Line,
    /// Proposes tens of thousands of algorithms.
    Lists,
    /// Sends this packet many times, and then ends the command as if nothing had happened.
    Flood(Packet),
    /// Sends requests that have to be answered, and reads no answer.
    NeverRead,
    /// Sends output without regard to the window.
    Output,
    /// The same, for a client that does not read it.
    Unread,
}

/// What there can be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    Ignore,
    Debug,
    Unimplemented,
    Banner,
    Refusal,
    ExtInfo,
    GlobalRequest,
    ChannelOpen,
    StrangeRequest,
    StrangeData,
    WindowAdjust,
    ForeignExit,
}

impl Packet {
    fn payload(self, channel: u32) -> Vec<u8> {
        let channel = channel.to_be_bytes();
        let strange = 77_u32.to_be_bytes();
        let bulk = string(&[b'x'; 16 * 1024]);
        match self {
            Self::Ignore => [&[2], &bulk[..]].concat(),
            Self::Debug => [&[4, 1], &bulk[..], &[0; 4]].concat(),
            Self::Unimplemented => vec![3, 0, 0, 0, 0],
            Self::Banner => [&[53], &bulk[..], &[0; 4]].concat(),
            Self::Refusal => [&[51], &string(b"publickey,password")[..], &[0]].concat(),
            Self::ExtInfo => {
                [&[7, 0, 0, 0, 1], &string(b"server-sig-algs")[..], &string(b"ssh-ed25519")].concat()
            }
            Self::GlobalRequest => [&[80], &string(b"what@example.com")[..], &[1], &bulk[..]].concat(),
            Self::ChannelOpen => {
                let numbers = [5_u32, 0x7fff_ffff, 32768].map(u32::to_be_bytes).concat();
                [&[90], &string(b"session")[..], &numbers[..]].concat()
            }
            Self::StrangeRequest => [&[98], &strange[..], &string(b"what")[..], &[1]].concat(),
            Self::StrangeData => [&[94], &strange[..], &bulk[..]].concat(),
            Self::WindowAdjust => [&[93], &channel[..], &1_u32.to_be_bytes()].concat(),
            Self::ForeignExit => [&[98], &channel[..], &string(b"exit-what")[..], &[1]].concat(),
        }
    }

    /// How many are sent: more than a stranger may, and enough to be seen in memory, were they kept.
    fn count(self) -> usize {
        match self {
            Self::Ignore | Self::Debug | Self::Banner | Self::GlobalRequest | Self::StrangeData => 1_000,
            _ => 80_000,
        }
    }
}

/// Serves a client, up to the misdeed. Errors mean that the client has gone away.
pub fn commit(wire: &mut Wire, stage: Stage, act: Act) -> io::Result<()> {
    type Step = fn(&mut Wire) -> io::Result<()>;
    let steps: [(Stage, Step); 9] = [
        (Stage::Banner, Wire::greet),
        (Stage::Proposal, Wire::propose),
        (Stage::Reply, Wire::exchange),
        (Stage::NewKeys, Wire::use_keys),
        (Stage::Service, Wire::accept_service),
        (Stage::Auth, Wire::let_in),
        (Stage::Open, Wire::open_channel),
        (Stage::Exec, Wire::start_command),
        (Stage::Output, say_something),
    ];
    for (_, step) in steps.iter().filter(|(at, _)| *at < stage) {
        step(wire)?;
    }
    misbehave(wire, stage, act)?;
    wire.wait_for_end();
    Ok(())
}

/// Output, and how the command ended; everything but the close.
fn say_something(wire: &mut Wire) -> io::Result<()> {
    let channel = wire.channel.to_be_bytes();
    wire.send(&[&[94], &channel[..], &string(b"so far")[..]].concat())?;
    wire.send(&[&[98], &channel[..], &string(b"exit-status")[..], &[0; 5]].concat())?;
    wire.send(&[&[96], &channel[..]].concat())
}

fn misbehave(wire: &mut Wire, stage: Stage, act: Act) -> io::Result<()> {
    match act {
        Act::Stall => Ok(()),
        Act::HalfClose => wire.half_close(),
        Act::Garbage => wire.raw(&(0..=255_u8).rev().collect::<Vec<_>>().repeat(256)),
        Act::HugePacket => wire.raw(&[&[0x80, 0, 0, 0], &[0; 4096][..]].concat()),
        Act::WrongTag => {
            let mut packet = wire.sealed(&[2, 0, 0, 0, 0]);
            *packet.last_mut().unwrap() ^= 1;
            wire.raw(&packet)
        }
        Act::Lines => loop {
            wire.raw(&b"please wait\r\n".repeat(1000))?;
        },
        Act::Line => loop {
            wire.raw(&[b'x'; 64 * 1024])?;
        },
        Act::Lists => {
            let list = b"curve25519-sha256@libssh.org,".repeat(800);
            let payload = proposal(&std::array::from_fn(|_| list.clone()));
            wire.send(&payload)
        }
        Act::Flood(packet) => flood(wire, stage, packet),
        Act::NeverRead => loop {
            wire.send(&Packet::StrangeRequest.payload(0))?;
            wire.send(&Packet::GlobalRequest.payload(0))?;
        },
        Act::Output | Act::Unread => {
            let channel = wire.channel.to_be_bytes();
            let payload = [&[94], &channel[..], &string(&[b'x'; 32 * 1024])[..]].concat();
            // 32 MiB.
            for _ in 0..1024 {
                wire.send(&payload)?;
            }
            if act == Act::Unread {
                return wire.half_close();
            }
            wire.send(&[&[97], &channel[..]].concat())
        }
    }
}

fn flood(wire: &mut Wire, stage: Stage, packet: Packet) -> io::Result<()> {
    let payload = packet.payload(wire.channel);
    let mut left = packet.count();
    // A client that waits until its answers are read is not what is tried here.
    wire.read_aside();
    while left > 0 {
        let some = left.min(64);
        let packets: Vec<u8> = (0..some).flat_map(|_| wire.sealed(&payload)).collect();
        wire.raw(&packets)?;
        left -= some;
    }
    if stage < Stage::Output {
        return Ok(());
    }
    let channel = wire.channel.to_be_bytes();
    say_something(wire)?;
    wire.send(&[&[97], &channel[..]].concat())
}
