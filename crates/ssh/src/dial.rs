//! From a name to a TCP connection: all addresses of the name, raced (RFC 8305, "Happy Eyeballs").

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::error::{ConnectError, Phase};
use crate::options::AddressFamily;
use crate::target::{Deadlines, Target};
use crate::timeline::Timeline;

/// How long an address has the field to itself before the next one is tried as well (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses that were tried, with what became of them.
type Attempts = Vec<(SocketAddr, io::Error)>;

/// Resolves the target's address and races everything it resolves to.
pub(crate) async fn dial(
    target: &Target,
    deadlines: &Deadlines,
    seen: &Timeline,
) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(target, deadlines).await?;
    seen.resolved(&addresses);
    let ours = our_end(target, deadlines).await?;
    let limit = target.link.connect_timeout.unwrap_or(deadlines.connect);
    let attempts = match race(addresses, limit, |address| connect(address, ours.as_deref())).await {
        Ok(tcp) => return Ok(tcp),
        Err(attempts) => attempts,
    };
    match attempts.as_slice() {
        [(_, error)] if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {
            Err(timed_out(target, Phase::Connect, limit))
        }
        _ => Err(ConnectError::Tcp { host: target.name.clone(), attempts }),
    }
}

/// Starts one attempt after the other, each as soon as its predecessor has failed or has been silent for
/// [`STAGGER`]; the first connection wins and the other attempts are given up.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    limit: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Attempts>
where
    F: Future<Output = io::Result<T>>,
{
    let mut ends: Vec<(SocketAddr, Option<io::Error>)> = addresses.iter().map(|a| (*a, None)).collect();
    let mut waiting: VecDeque<(usize, SocketAddr)> = addresses.into_iter().enumerate().collect();
    let mut racing = FuturesUnordered::new();
    let connect = &connect;
    let over = sleep(limit);
    tokio::pin!(over);
    while !waiting.is_empty() || !racing.is_empty() {
        if let Some((number, address)) = waiting.pop_front() {
            racing.push(async move { (number, connect(address).await) });
        }
        tokio::select! {
            biased;
            Some((number, result)) = racing.next() => match result {
                Ok(won) => return Ok(won),
                Err(error) => if let Some((_, end)) = ends.get_mut(number) { *end = Some(error) },
            },
            () = &mut over => break,
            () = sleep(STAGGER), if !waiting.is_empty() => {}
        }
    }
    let untried: Vec<usize> = waiting.iter().map(|(number, _)| *number).collect();
    let silent = |number| if untried.contains(&number) { "not tried in time" } else { "no answer" };
    let end = |(number, (address, end)): (usize, (SocketAddr, Option<io::Error>))| {
        (address, end.unwrap_or_else(|| io::Error::new(io::ErrorKind::TimedOut, silent(number))))
    };
    Err(ends.into_iter().enumerate().map(end).collect())
}

/// One attempt, from our own address if one is given.
async fn connect(address: SocketAddr, ours: Option<&[SocketAddr]>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ours) = ours {
        let Some(own) = ours.iter().find(|own| own.is_ipv4() == address.is_ipv4()) else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "our own address is of the other family"));
        };
        let refused = |error: io::Error| {
            io::Error::new(error.kind(), format!("bind to {}: {}", own.ip(), error.kind()))
        };
        socket.bind(*own).map_err(refused)?;
    }
    let tcp = socket.connect(address).await?;
    // Small packets at once: the protocol is a conversation.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn resolve(target: &Target, deadlines: &Deadlines) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = look_up(target, &target.address, target.port, deadlines).await?;
    Ok(interleaved(found))
}

/// The addresses to connect from (`BindAddress`), if one is said.
async fn our_end(target: &Target, deadlines: &Deadlines) -> Result<Option<Vec<SocketAddr>>, ConnectError> {
    match &target.link.bind {
        Some(own) => look_up(target, own, 0, deadlines).await.map(Some),
        None => Ok(None),
    }
}

/// All addresses of a name that the target's family allows, in the resolver's order (RFC 6724).
async fn look_up(
    target: &Target,
    name: &str,
    port: u16,
    deadlines: &Deadlines,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let failed =
        |source| ConnectError::Resolve { host: target.name.clone(), address: name.to_owned(), source };
    let found = match name.parse::<IpAddr>() {
        // The resolver occupies a thread, even for a number.
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => timeout(deadlines.resolve, ask_resolver(name, port))
            .await
            .map_err(|_| timed_out(target, Phase::Resolve, deadlines.resolve))?
            .map_err(failed)?,
    };
    let (family, missing) = match target.link.family {
        AddressFamily::Any => (None, "the name has no address"),
        AddressFamily::V4 => (Some(true), "there is no IPv4 address, and no other may be used"),
        AddressFamily::V6 => (Some(false), "there is no IPv6 address, and no other may be used"),
    };
    let mut addresses = Vec::new();
    for address in found {
        if family.is_none_or(|v4| v4 == address.is_ipv4()) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, missing)));
    }
    Ok(addresses)
}

/// Asks the system's resolver. It knows `fe80::1%eth0` (RFC 4007, section 11); a zone behind a name it does not know.
async fn ask_resolver(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match name.split_once('%') {
        Some((plain, zone)) if !plain.contains(':') => {
            let scope = lookup_host((format!("fe80::1%{zone}"), port)).await?.find_map(|found| match found {
                SocketAddr::V6(v6) => Some(v6.scope_id()),
                SocketAddr::V4(_) => None,
            });
            let found = lookup_host((plain, port)).await?;
            Ok(found.filter_map(|address| zoned(address, scope.unwrap_or_default())).collect())
        }
        _ => Ok(lookup_host((name, port)).await?.collect()),
    }
}

/// A link-local address with its zone; a zone says that no other address is meant.
fn zoned(address: SocketAddr, scope: u32) -> Option<SocketAddr> {
    match address {
        SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(scope);
            Some(SocketAddr::V6(v6))
        }
        _ => None,
    }
}

/// Families by turns, beginning with the one that the resolver prefers: a family that does not work here costs one
/// [`STAGGER`], however many addresses it has (RFC 8305, section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut others = others.into_iter();
    let mut mixed = Vec::new();
    for address in preferred {
        mixed.push(address);
        mixed.extend(others.next());
    }
    mixed.extend(others);
    mixed
}

/// The error of a phase that ran into its deadline.
pub(crate) fn timed_out(target: &Target, phase: Phase, limit: Duration) -> ConnectError {
    ConnectError::TimedOut { host: target.name.clone(), phase, limit }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|a| a.parse().unwrap()).collect()
    }

    const V4: &str = "192.0.2.1:22";
    const V6: &str = "[2001:db8::1]:22";

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_delays_the_next_by_the_stagger_only() {
        let begun = Instant::now();
        let started = RefCell::new(Vec::new());
        let won = race(addresses(&[V6, V4]), Duration::from_secs(10), |address| {
            started.borrow_mut().push((address.to_string(), begun.elapsed().as_millis()));
            async move { if address.is_ipv4() { Ok(address) } else { pending().await } }
        });
        assert_eq!(won.await.unwrap(), V4.parse().unwrap());
        let [(_, first), (_, second)] = started.borrow()[..] else { panic!("two attempts") };
        // The clock stands still between timers; theirs has a resolution of a millisecond.
        assert!(first == 0 && (250..260).contains(&second), "{first} {second}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_starts_the_next_at_once_and_an_earlier_one_may_still_win() {
        let begun = Instant::now();
        let slow = "[2001:db8::2]:22";
        let won = race(addresses(&[slow, V4, V6]), Duration::from_secs(10), |address| async move {
            match address.to_string().as_str() {
                V4 => Err(io::ErrorKind::ConnectionRefused.into()),
                V6 => pending().await,
                _ => {
                    sleep(Duration::from_secs(2)).await;
                    Ok(address.to_string())
                }
            }
        });
        assert_eq!(won.await.unwrap(), slow);
        assert!(begun.elapsed() < Duration::from_millis(2100));
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_accounted_for() {
        let list = addresses(&[V6, V4, "192.0.2.2:22"]);
        let limit = Duration::from_millis(400);
        let attempts = race(list, limit, |address| async move {
            if address.is_ipv6() {
                Err::<(), _>(io::ErrorKind::ConnectionRefused.into())
            } else {
                pending().await
            }
        });
        let error = ConnectError::Tcp { host: "web1".to_owned(), attempts: attempts.await.unwrap_err() };
        insta::assert_snapshot!(error, @"connect to web1: [2001:db8::1]:22: connection refused; 192.0.2.1:22: no answer; 192.0.2.2:22: no answer");
        let attempts =
            race(addresses(&[V6, V4]), Duration::from_millis(100), |_| pending::<io::Result<()>>());
        let texts: Vec<String> = attempts.await.unwrap_err().iter().map(|(_, e)| e.to_string()).collect();
        assert_eq!(texts, ["no answer", "not tried in time"]);
    }

    #[tokio::test]
    async fn zones_are_numbers_of_interfaces() {
        let mut target = Target::new("box", "fe80::1%lo", 22, "ops");
        let found = resolve(&target, &Deadlines::default()).await.unwrap();
        let [SocketAddr::V6(v6)] = found[..] else { panic!("{found:?}") };
        assert_ne!(v6.scope_id(), 0);
        target.address = "fe80::1%nothere0".to_owned();
        let error = resolve(&target, &Deadlines::default()).await.unwrap_err();
        assert!(error.to_string().starts_with("resolve fe80::1%nothere0 for box: "), "{error}");
    }

    #[test]
    fn a_zone_behind_a_name_means_its_link_local_addresses() {
        assert_eq!(zoned("[2001:db8::1]:22".parse().unwrap(), 3), None);
        assert_eq!(zoned(V4.parse().unwrap(), 3), None);
        assert_eq!(zoned("[fe80::7]:22".parse().unwrap(), 3), Some("[fe80::7%3]:22".parse().unwrap()));
    }

    #[tokio::test]
    async fn the_family_is_kept_for_numbers_too() {
        let mut target = Target::new("box", "::1", 22, "ops");
        target.link.family = AddressFamily::V4;
        let error = resolve(&target, &Deadlines::default()).await.unwrap_err();
        insta::assert_snapshot!(error, @"resolve ::1 for box: there is no IPv4 address, and no other may be used");
        target.link.family = AddressFamily::V6;
        assert_eq!(resolve(&target, &Deadlines::default()).await.unwrap(), addresses(&["[::1]:22"]));
    }

    #[tokio::test]
    async fn the_connection_comes_from_our_own_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut target = Target::new("box", "127.0.0.1", listener.local_addr().unwrap().port(), "ops");
        target.link.bind = Some("127.0.0.2".to_owned());
        let tcp = dial(&target, &Deadlines::default(), &Timeline::default()).await.unwrap();
        assert_eq!(tcp.local_addr().unwrap().ip().to_string(), "127.0.0.2");
        target.link.bind = Some("192.0.2.200".to_owned());
        let error = dial(&target, &Deadlines::default(), &Timeline::default()).await.unwrap_err().to_string();
        assert!(error.contains("bind to 192.0.2.200: "), "{error}");
        target.link.bind = Some("::1".to_owned());
        let error = dial(&target, &Deadlines::default(), &Timeline::default()).await.unwrap_err().to_string();
        assert!(error.ends_with("our own address is of the other family"), "{error}");
    }

    proptest! {
        #[test]
        fn families_take_turns(kinds in proptest::collection::vec(any::<bool>(), 0..20)) {
            let list: Vec<SocketAddr> = kinds.iter().zip(1u16..).map(|(v4, port)| {
                let ip: IpAddr = if *v4 { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() };
                SocketAddr::new(ip, port)
            }).collect();
            let mixed = interleaved(list.clone());
            prop_assert_eq!(mixed.first(), list.first());
            let of = |v4: bool, all: &[SocketAddr]| all.iter().filter(|a| a.is_ipv4() == v4).copied().collect::<Vec<_>>();
            for v4 in [true, false] {
                prop_assert_eq!(of(v4, &mixed), of(v4, &list), "the resolver's order stays within a family");
            }
            let least = of(true, &list).len().min(of(false, &list).len());
            for pair in mixed.chunks(2).take(least) {
                prop_assert!(pair[0].is_ipv4() != pair[1].is_ipv4());
            }
        }
    }
}
