//! Which failure is the service's (bad) and which is ours (unknown). `docs/probes.md` has the table.

use std::io;

use rustix::io::Errno;

use super::connector::LookUpError;
use crate::model::{Blindness, Outcome, Phase, Reason};

/// What the failure of a look-up says of the service.
pub(super) fn of_look_up(error: &LookUpError) -> Outcome {
    match error {
        LookUpError::NotFound | LookUpError::Failed(_) => Outcome::Bad(Reason::LookUp),
        LookUpError::TimedOut => Outcome::Bad(Reason::TimeOut(Phase::LookUp)),
        // A resolver that refuses or is unreachable fails every user; only our own lack counts as ours.
        LookUpError::Io(error) => match ours(error) {
            Some(blindness) => Outcome::Unknown(blindness),
            None => Outcome::Bad(Reason::LookUp),
        },
    }
}

/// What the failure to open a connection says of the service.
pub(super) fn of_connect(error: &io::Error) -> Outcome {
    if let Some(blindness) = ours(error) {
        return Outcome::Unknown(blindness);
    }
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::HOSTDOWN) => {
            Outcome::Bad(Reason::Refused)
        }
        Some(Errno::TIMEDOUT) => Outcome::Bad(Reason::TimeOut(Phase::Connect)),
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => Outcome::Bad(Reason::Reset),
        // Connectors of tests and simulations have no errno to give.
        None => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable => {
                Outcome::Bad(Reason::Refused)
            }
            io::ErrorKind::TimedOut => Outcome::Bad(Reason::TimeOut(Phase::Connect)),
            _ => Outcome::Bad(Reason::Reset),
        },
        // Anything else was said by our own kernel before or instead of sending: no proof against the service.
        Some(_) => Outcome::Unknown(Blindness::NoNetwork),
    }
}

/// What the failure of an open connection says of the service, in the phase in which it happened.
pub(super) fn of_stream(error: &io::Error, phase: Phase) -> Outcome {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Outcome::Bad(match phase {
            Phase::LookUp | Phase::Connect | Phase::Tls => Reason::Tls,
            // An alert after the handshake, or what cannot be deciphered, breaks off: by then the request may have been taken.
            Phase::Answer | Phase::Body => Reason::Reset,
        });
    }
    match ours(error) {
        Some(blindness) => Outcome::Unknown(blindness),
        None => Outcome::Bad(match error.kind() {
            io::ErrorKind::TimedOut => Reason::TimeOut(phase),
            // Not from the system: hyper says so of chunks that make no sense.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Reason::Protocol,
            _ => Reason::Reset,
        }),
    }
}

/// What an error of the HTTP library says of the service.
pub(super) fn of_http(error: &hyper::Error, phase: Phase) -> Outcome {
    let cause = std::error::Error::source(error);
    if let Some(io) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        return of_stream(io, phase);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Outcome::Bad(Reason::Reset);
    }
    Outcome::Bad(Reason::Protocol)
}

/// What is missing on our side, if `error` says that something is.
fn ours(error: &io::Error) -> Option<Blindness> {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => Some(Blindness::NoFileDescriptor),
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN) => Some(Blindness::NoLocalPort),
        Some(Errno::NOBUFS | Errno::NOMEM) => Some(Blindness::NoMemory),
        // PERM and ACCESS: a firewall or a `prohibit` route of this machine.
        Some(Errno::NETUNREACH | Errno::NETDOWN | Errno::PERM | Errno::ACCESS) => {
            Some(Blindness::NoNetwork)
        }
        Some(_) => None,
        None => match error.kind() {
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
                Some(Blindness::NoLocalPort)
            }
            io::ErrorKind::OutOfMemory => Some(Blindness::NoMemory),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                Some(Blindness::NoNetwork)
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_path_are_bad_and_our_own_are_unknown() {
        let connect = |errno: Errno| of_connect(&io::Error::from(errno));
        let bad = Outcome::Bad;
        let unknown = Outcome::Unknown;
        for (errno, outcome) in [
            (Errno::CONNREFUSED, bad(Reason::Refused)),
            (Errno::HOSTUNREACH, bad(Reason::Refused)),
            (Errno::CONNRESET, bad(Reason::Reset)),
            (Errno::CONNABORTED, bad(Reason::Reset)),
            (Errno::TIMEDOUT, bad(Reason::TimeOut(Phase::Connect))),
            (Errno::MFILE, unknown(Blindness::NoFileDescriptor)),
            (Errno::NFILE, unknown(Blindness::NoFileDescriptor)),
            (Errno::ADDRNOTAVAIL, unknown(Blindness::NoLocalPort)),
            (Errno::NOBUFS, unknown(Blindness::NoMemory)),
            (Errno::NOMEM, unknown(Blindness::NoMemory)),
            (Errno::NETUNREACH, unknown(Blindness::NoNetwork)),
            (Errno::NETDOWN, unknown(Blindness::NoNetwork)),
            (Errno::PERM, unknown(Blindness::NoNetwork)),
            (Errno::INVAL, unknown(Blindness::NoNetwork)),
        ] {
            assert_eq!(connect(errno), outcome, "{errno:?}");
        }
    }

    #[test]
    fn a_resolver_that_refuses_is_bad_but_no_way_to_it_is_ours() {
        let look_up = |errno: Errno| of_look_up(&LookUpError::Io(io::Error::from(errno)));
        assert_eq!(look_up(Errno::CONNREFUSED), Outcome::Bad(Reason::LookUp));
        assert_eq!(look_up(Errno::NETUNREACH), Outcome::Unknown(Blindness::NoNetwork));
        assert_eq!(of_look_up(&LookUpError::NotFound), Outcome::Bad(Reason::LookUp));
    }

    #[test]
    fn an_open_connection_that_breaks_is_a_reset() {
        let broken = |errno: Errno| of_stream(&io::Error::from(errno), Phase::Body);
        assert_eq!(broken(Errno::CONNRESET), Outcome::Bad(Reason::Reset));
        assert_eq!(broken(Errno::PIPE), Outcome::Bad(Reason::Reset));
        assert_eq!(broken(Errno::TIMEDOUT), Outcome::Bad(Reason::TimeOut(Phase::Body)));
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(of_stream(&eof, Phase::Tls), Outcome::Bad(Reason::Reset));
    }

    #[test]
    fn an_alert_after_the_handshake_does_not_say_that_nothing_was_taken() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let alert = io::Error::new(io::ErrorKind::InvalidData, alert);
        for (phase, reason) in [
            (Phase::Connect, Reason::Tls),
            (Phase::Tls, Reason::Tls),
            (Phase::Answer, Reason::Reset),
            (Phase::Body, Reason::Reset),
        ] {
            assert_eq!(of_stream(&alert, phase), Outcome::Bad(reason), "{phase:?}");
        }
    }
}
