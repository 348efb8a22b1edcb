use proptest::prelude::*;

use super::answer::half_in_group;
use super::hello::{Hello, ended, take_hello};
use super::packet::{put_packet, take_packet};

proptest! {
    #[test]
    fn packets_come_back(payload in proptest::collection::vec(any::<u8>(), 1..2000), rest in proptest::collection::vec(any::<u8>(), 0..9)) {
        let mut wire = Vec::new();
        put_packet(&mut wire, &payload);
        prop_assert_eq!(wire.len() % 8, 0);
        wire.extend(&rest);
        prop_assert_eq!(take_packet(&mut wire), Ok(Some(payload)));
        prop_assert_eq!(wire, rest);
    }

    #[test]
    fn noise_is_bounded_and_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = half_in_group(&noise);
        let _ = take_packet(&mut noise.clone());
        let _ = take_hello(&mut noise.clone());
        let _ = ended(&noise);
    }

    #[test]
    fn a_version_line_is_found_behind_other_lines(before in "([ -RT-~]{0,40}\r\n){0,5}", after in "[ -~]{0,20}") {
        prop_assume!(!before.contains("HTTP/") && !before.contains("Exceeded") && !before.contains("Not allowed"));
        let mut buffer = format!("{before}SSH-2.0-x y\r\n{after}").into_bytes();
        prop_assert_eq!(take_hello(&mut buffer), Some(Hello::Version("SSH-2.0-x y".to_owned())));
        prop_assert_eq!(buffer, after.into_bytes());
    }
}
