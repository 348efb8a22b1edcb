//! One server is greeted by few of us at once.
//!
//! sshd counts connections that are not logged in yet: from the tenth on it drops new ones at random
//! (`MaxStartups 10:30:100`, sshd_config(5)). Whoever connects to the same address takes turns.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::options::Route;
use crate::target::Target;

/// How many of us may be connected to one address and not logged in: fewer than the ten from which sshd drops some,
/// because others log in there as well.
const AT_ONCE: usize = 8;

/// The shortest pause before a dropped connect is tried again; the second one is twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(200);

/// The doors of all servers that somebody is at.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<HashMap<Place, Weak<Semaphore>>>);

/// A server as seen from here: the ways differ, so the same address may be another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    At(Vec<(String, u16)>),
    Behind(String),
}

/// A turn at a door. Kept until logged in.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    door: Arc<Semaphore>,
}

impl Turn {
    /// Whether others of us are at the same door.
    pub(crate) fn is_shared(&self) -> bool {
        self.door.available_permits() < AT_ONCE - 1
    }
}

impl Doors {
    /// Waits for a turn.
    pub(crate) async fn turn(&self, target: &Target) -> Turn {
        let door = self.door(place(target));
        // An error would mean that the semaphore was closed, which nobody does.
        let permit = Arc::clone(&door).acquire_owned().await.ok();
        Turn { _permit: permit, door }
    }

    fn door(&self, place: Place) -> Arc<Semaphore> {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(&place).and_then(Weak::upgrade) {
            return door;
        }
        // Now and then those at which nobody is are forgotten.
        if doors.len() == doors.capacity() {
            doors.retain(|_, door| door.strong_count() > 0);
        }
        let door = Arc::new(Semaphore::new(AT_ONCE));
        doors.insert(place, Arc::downgrade(&door));
        door
    }
}

fn place(target: &Target) -> Place {
    let own = (target.address.clone(), target.port);
    match &target.link.route {
        Route::Direct => Place::At(vec![own]),
        Route::Command(command) => Place::Behind(command.clone()),
        Route::Jump(hops) => {
            Place::At(hops.iter().map(|hop| (hop.address.clone(), hop.port)).chain([own]).collect())
        }
    }
}

/// Waits before the next attempt: longer each time, and not as long as everybody else.
pub(crate) async fn pause(attempt: u32) {
    let base = PAUSE.saturating_mul(1 << attempt.min(5));
    // Between one and two times the base.
    let part = u32::try_from(RandomState::new().hash_one(attempt) % 1000).unwrap_or_default();
    sleep(base + base / 1000 * part).await;
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn eight_at_a_door_and_the_ninth_waits_for_one_to_go_in() {
        let doors = Doors::default();
        let gate = Target::new("gate", "192.0.2.1", 22, "ops");
        let first = doors.turn(&gate).await;
        assert!(!first.is_shared());
        let mut inside = Vec::new();
        for _ in 1..AT_ONCE {
            inside.push(doors.turn(&gate).now_or_never().unwrap());
        }
        assert!(first.is_shared());
        let mut ninth = Box::pin(doors.turn(&gate));
        assert!(ninth.as_mut().now_or_never().is_none());
        let elsewhere = Target { port: 2222, ..gate.clone() };
        assert!(doors.turn(&elsewhere).now_or_never().is_some());
        let mut behind = gate.clone();
        behind.link.route = Route::Jump(vec![elsewhere]);
        assert!(doors.turn(&behind).now_or_never().is_some(), "the same address on another network");
        drop(first);
        assert!(ninth.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn doors_at_which_nobody_is_are_forgotten() {
        let doors = Doors::default();
        for port in 1..=2000 {
            drop(doors.turn(&Target::new("a", "192.0.2.1", port, "ops")).await);
        }
        assert!(doors.0.lock().unwrap().len() < 100);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_differ() {
        let mut lengths = Vec::new();
        for attempt in [0, 0, 0, 0, 3, 3, 3, 3] {
            let begun = Instant::now();
            pause(attempt).await;
            lengths.push(begun.elapsed().as_millis());
        }
        let (short, long) = lengths.split_at(4);
        assert!(short.iter().all(|l| (200..=401).contains(l)), "{short:?}");
        assert!(long.iter().all(|l| (1600..=3201).contains(l)), "{long:?}");
        assert!(long.iter().any(|l| *l != long[0]), "{long:?}");
    }
}
