#![doc = include_str!("../README.md")]

/// Returns whether `SIGPIPE` was ignored when the program was started; `None` where that is not known.
pub fn is_ignored() -> Option<bool> {
    imp::is_ignored()
}

#[cfg(target_os = "linux")]
mod imp {
    use std::sync::atomic::{AtomicU8, Ordering};

    use rustix::fs::{CWD, Mode, OFlags, openat};

    /// The number of the signal on all of Linux's architectures.
    const SIGPIPE: u32 = 13;
    const UNKNOWN: u8 = 0;
    const IGNORED: u8 = 1;
    const NOT_IGNORED: u8 = 2;

    static FOUND: AtomicU8 = AtomicU8::new(UNKNOWN);

    // SAFETY: the section holds pointers to functions without a result, which the C library calls one by one before it calls
    // `main` (System V ABI, "Initialization and Termination Functions"). This one takes no arguments, which the calling conventions
    // of C allow where some are passed, and needs nothing of Rust's runtime: it makes system calls and stores a number.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        // No allocation, and no panic: nothing could catch it here.
        let mut status = [0_u8; 4096];
        let Ok(file) = openat(CWD, c"/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        else {
            return;
        };
        let Ok(n) = rustix::io::read(&file, &mut status) else { return };
        let found = match ignored(status.get(..n).unwrap_or_default()) {
            Some(true) => IGNORED,
            Some(false) => NOT_IGNORED,
            None => UNKNOWN,
        };
        FOUND.store(found, Ordering::Relaxed);
    }

    pub(super) fn is_ignored() -> Option<bool> {
        match FOUND.load(Ordering::Relaxed) {
            IGNORED => Some(true),
            NOT_IGNORED => Some(false),
            _ => None,
        }
    }

    /// Reads the mask of ignored signals (proc_pid_status(5)), of which the lowest bit is signal 1.
    fn ignored(status: &[u8]) -> Option<bool> {
        const LABEL: &[u8] = b"\nSigIgn:";
        let at = status.windows(LABEL.len()).position(|window| window == LABEL)?;
        let digits = status.get(at + LABEL.len()..)?.trim_ascii_start();
        let end = digits.iter().position(|byte| !byte.is_ascii_hexdigit())?;
        let mask = u64::from_str_radix(std::str::from_utf8(digits.get(..end)?).ok()?, 16).ok()?;
        Some(mask & (1 << (SIGPIPE - 1)) != 0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn masks_are_read() {
            for (status, expected) in [
                ("Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0\n", Some(true)),
                ("Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0\n", Some(false)),
                ("Name:\tx\nSigIgn:\t00000000000", None),
                ("Name:\tx\nSigIgn:\t\n", None),
                ("Name:\tSigIgn\n", None),
            ] {
                assert_eq!(ignored(status.as_bytes()), expected, "{status:?}");
            }
        }

        #[test]
        fn the_initialiser_was_called() {
            // The runtime of this test ignores it by now; how it was started is not known, but was found out.
            assert!(is_ignored().is_some());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn is_ignored() -> Option<bool> {
        None
    }
}
