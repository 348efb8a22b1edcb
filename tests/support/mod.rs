//! What the scenarios stand on: hosts, a controller with a home of its own, people who are logged in.

mod controller;
pub mod name_server;
mod openssh;
mod people;
mod place;
mod shown;
mod traced;

pub use controller::{Controller, Running, Said};
pub use openssh::OpenSsh;
pub use people::Person;
pub use place::{Place, release, tree};
pub(crate) use shown::assert_shown;
pub use shown::{day, shown};
pub use traced::{passed, rows};

use std::time::Duration;

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub const LONG: Duration = Duration::from_secs(240);

/// Asks again until it is so; for what has no event.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let asking = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, asking).await.is_ok(), "never: {what}");
}
