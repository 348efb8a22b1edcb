//! The doctor against everything that it should tell apart: one test for each row, in the order of the layers.
//!
//! | row | test |
//! |---|---|
//! | a name that does not resolve | `way::no_such_name` |
//! | no routes | `way::network_unreachable` |
//! | an unreachable route | `way::no_route_to_host` |
//! | no listener | `way::refused` |
//! | a full backlog | `way::silence` |
//! | a reset before the banner | `way::reset_before_the_version_line` |
//! | accept, then silence | `way::accepts_and_says_nothing` |
//! | an HTTP server, a TLS server | `way::strangers` |
//! | `SSH-1.5-…` | `way::protocol_one` |
//! | no overlap in a category | `exchange::no_overlap` |
//! | a 1024-bit RSA host key | `exchange::a_short_host_key` |
//! | unknown, changed, revoked host key | `exchange::{unknown, changed, replaced, revoked}_host_key` |
//! | nothing to offer; agent without the key | `login::nothing_to_offer`, `login::an_agent_without_the_key` |
//! | private key readable by others | `login::a_key_that_others_can_read` |
//! | `PubkeyAcceptedAlgorithms` without ours | `alike::every_cause` |
//! | `StrictModes` | `alike::every_cause` |
//! | `AllowUsers`, `PermitRootLogin no`, a locked account, no such user | `alike::every_cause`, `alike::accounts` |
//! | `from="…"`, `expiry-time="…"` | `alike::every_cause` |
//! | `AuthenticationMethods publickey,password` | `login::a_second_factor` |
//! | login shell `nologin`; nologin files | `session::{a_shell_that_is_none, etc_nologin, run_nologin}` |
//! | no sftp, no pty, no forwarding, no sessions | `session::{no_sftp, no_terminal, no_forwarding, no_sessions}` |
//! | a profile that prints | `session::a_profile_that_prints` |
//! | beyond: | |
//! | a user certificate that has expired, or names others | `alike::every_cause` |
//! | MaxAuthTries used up by an agent's keys | `login::too_many_keys` |
//! | MaxStartups | `way::too_many_logins` |
//! | a bastion: fine, forwards nothing, down | `further::a_bastion_*` |
//! | a server that closes right after the login | `further::closed_after_the_login` |
//! | ForceCommand | `session::forced_command` |
//! | LogLevel INFO hides the cause; no log at all | `alike::a_log_that_hides_the_cause`, `alike::no_log` |

mod alike;
mod exchange;
mod further;
mod login;
mod patient;
mod session;
mod way;
