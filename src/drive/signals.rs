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

/// Signals that end a process by default and mean something to the program they are sent to: the command gets them. They
/// say nothing of how it ends.
const HANDED_ON: [Signal; 7] = [
    Signal::USR2,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::ABORT,
    Signal::IO,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Signal::POWER,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Signal::SYS,
];

/// Signals that tell of limits of this process's own (`ulimit -f`, `ulimit -t`), or that no program expects. They end
/// nothing: what cannot be written is an error of the write, and the command has limits of its own.
fn survived() -> impl Iterator<Item = SignalKind> {
    let named = [Signal::XFSZ, Signal::XCPU, Signal::TRAP].map(Signal::as_raw).into_iter();
    // SIGSTKFLT and the real-time signals of Linux.
    let others = [16].into_iter().chain(34..=64).filter(|_| cfg!(target_os = "linux"));
    named.chain(others).map(SignalKind::from_raw)
}

/// Catches signals that would end this process though they are not meant to, for as long as it lives. They are caught and
/// not ignored, since what is ignored stays so in the programs that it starts.
///
/// Undoes an ignored SIGCHLD, with which the system would not tell how children end.
///
/// # Errors
///
/// If the system has no room for an event loop.
pub(crate) fn survive() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    for kind in survived().filter(|kind| !is_ignored(*kind)) {
        // A system that does not have this signal does not send it either.
        let _ = tokio::signal::unix::signal(kind);
    }
    if is_ignored(SignalKind::child()) {
        // The handler stays when nothing listens any more.
        drop(listen(SignalKind::child())?);
    }
    Ok(())
}

/// Signals that the command gets as they come.
pub(crate) struct HandedOn(tokio::sync::mpsc::UnboundedReceiver<Signal>);

impl HandedOn {
    /// Listens, by tasks of their own: the loop that waits for them need not look at each.
    pub(crate) fn listen() -> Result<Self> {
        let (sender, signals) = tokio::sync::mpsc::unbounded_channel();
        for signal in HANDED_ON {
            let kind = SignalKind::from_raw(signal.as_raw());
            if is_ignored(kind) {
                continue;
            }
            let (mut listening, sender) = (listen(kind)?, sender.clone());
            tokio::spawn(
                async move { while listening.recv().await.is_some() && sender.send(signal).is_ok() {} },
            );
        }
        Ok(Self(signals))
    }

    /// Waits for the next; for ever if there is none.
    pub(crate) async fn recv(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
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
