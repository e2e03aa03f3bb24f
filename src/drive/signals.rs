//! Signals as a shell's job has them.

use std::sync::OnceLock;

use anyhow::Result;
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;

use super::session::listen;

/// Returns whether a signal was ignored when the program started, as by `nohup` or for a shell's background job. Such a
/// signal stays ignored, by the command, too, which inherits that.
///
/// If the system does not tell, none was.
pub(crate) fn is_ignored(kind: SignalKind) -> bool {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    let ignored = IGNORED.get_or_init(|| {
        // proc_pid_status(5): a mask in hexadecimal, of which the lowest bit is signal 1.
        std::fs::read_to_string("/proc/self/status").ok().and_then(|text| mask(&text)).unwrap_or(0)
    });
    let number = kind.as_raw_value();
    (1..=64).contains(&number) && ignored & (1 << (number - 1)) != 0
}

fn mask(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Signals that end a process by default, without those that were ignored when the program started.
pub(crate) struct Endings(Vec<(Signal, tokio::signal::unix::Signal)>);

impl Endings {
    pub(crate) fn listen() -> Result<Self> {
        let mut listening = Vec::new();
        for (signal, kind) in [
            (Signal::INT, SignalKind::interrupt()),
            (Signal::TERM, SignalKind::terminate()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::QUIT, SignalKind::quit()),
        ] {
            if !is_ignored(kind) {
                listening.push((signal, listen(kind)?));
            }
        }
        Ok(Self(listening))
    }

    pub(crate) async fn recv(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, listening) in &mut self.0 {
                if listening.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals() {
        assert_eq!(mask("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), Some(0x1001));
        assert_eq!(mask("Name:\tx\n"), None);
    }
}
