//! Signals and their names on the wire (RFC 4254, section 6.10).

use russh::Sig;
use rustix::process::Signal;

/// The signal of a name; none for names that RFC 4254, section 6.10, does not have.
pub(crate) fn by_name(signal: &Sig) -> Option<Signal> {
    Some(match signal {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(name) if name == "USR2" => Signal::USR2,
        Sig::Custom(_) => return None,
    })
}

/// The name of a signal by its number on this machine.
pub(crate) fn name_of(number: i32) -> Sig {
    let known = [
        (Signal::ABORT, Sig::ABRT),
        (Signal::ALARM, Sig::ALRM),
        (Signal::FPE, Sig::FPE),
        (Signal::HUP, Sig::HUP),
        (Signal::ILL, Sig::ILL),
        (Signal::INT, Sig::INT),
        (Signal::KILL, Sig::KILL),
        (Signal::PIPE, Sig::PIPE),
        (Signal::QUIT, Sig::QUIT),
        (Signal::SEGV, Sig::SEGV),
        (Signal::TERM, Sig::TERM),
        (Signal::USR1, Sig::USR1),
        (Signal::USR2, Sig::Custom("USR2".into())),
    ];
    let found = known.into_iter().find(|(signal, _)| signal.as_raw() == number);
    found.map_or_else(|| Sig::Custom(format!("{number}@sshd-embed")), |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_both_ways() {
        for name in [Sig::TERM, Sig::KILL, Sig::HUP, Sig::Custom("USR2".into())] {
            let signal = by_name(&name).unwrap();
            assert_eq!(format!("{:?}", name_of(signal.as_raw())), format!("{name:?}"));
        }
        assert!(by_name(&Sig::Custom("BUS".into())).is_none());
    }
}
