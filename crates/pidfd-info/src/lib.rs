#![doc = include_str!("../README.md")]
#![deny(unsafe_op_in_unsafe_fn)]

use std::io;
use std::os::fd::BorrowedFd;

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The status with which it ended itself.
    Status(i32),
    /// The number of the signal that ended it.
    Signal(i32),
}

impl Exit {
    /// Reads the word in which Unix packs both, as `waitpid` and `/proc/PID/stat` give it.
    pub fn from_wait_status(word: i32) -> Self {
        match word & 0x7f {
            0 => Self::Status((word >> 8) & 0xff),
            signal => Self::Signal(signal),
        }
    }
}

/// Says how the process behind a pidfd ended; `None` as long as nobody has waited for it.
///
/// # Errors
///
/// `Unsupported` where the system cannot tell; else what the system says, as for a descriptor that is no pidfd.
pub fn exit(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    imp::exit(pidfd)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use super::{BorrowedFd, Exit, io};
    use rustix::io::Errno;
    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

    /// `PIDFD_INFO_EXIT`: the exit status is asked for, and in an answer it is there.
    const INFO_EXIT: u64 = 1 << 3;
    /// `PIDFD_GET_INFO` of `linux/pidfd.h`. The number holds the size of [`Info`], by which kernels tell versions apart.
    const GET_INFO: Opcode = opcode::read_write::<Info>(0xff, 11);

    /// `struct pidfd_info` in its first published size, which every later kernel takes.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        /// Numbers of the process, its parent and its users.
        ids: [u32; 11],
        exit_code: i32,
    }

    pub(super) fn exit(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // SAFETY: PIDFD_GET_INFO writes at most the bytes that its number names, which are those of `Info`; all bit patterns
        // are values of its fields. On a descriptor of another kind the number means nothing, and the call fails.
        let asked = unsafe { ioctl(pidfd, Updater::<GET_INFO, Info>::new(&mut info)) };
        match asked {
            Ok(()) if info.mask & INFO_EXIT != 0 => Ok(Some(Exit::from_wait_status(info.exit_code))),
            Ok(()) => Ok(None),
            // Kernels before 6.13 do not know the number. Those before 6.15 forget a process that was waited for.
            Err(Errno::NOTTY | Errno::INVAL | Errno::SRCH) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_number_is_that_of_the_kernels_header() {
            assert_eq!((size_of::<Info>(), GET_INFO), (64, 0xc040_ff0b));
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    use super::{BorrowedFd, Exit, io};

    pub(super) fn exit(_: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
