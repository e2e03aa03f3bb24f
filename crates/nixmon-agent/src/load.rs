//! The load of a machine. [`parse`] reads the texts of the system, and is free of I/O.

use std::time::Duration;

use nixmon_fleet::Load;

/// Counters of a machine at a moment, from its texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Time of all processors, and the part of it that they were idle, in ticks.
    pub cpu: Option<(u64, u64)>,
    /// Average number of waiting and running processes in the last minute.
    pub load_1m: Option<f64>,
    /// Memory in use and all memory, in bytes.
    pub memory: Option<(u64, u64)>,
    /// Bytes read from and written to disks.
    pub disk: Option<u64>,
    /// Bytes received and sent, without the loopback.
    pub network: Option<u64>,
    /// Free bytes of the file system.
    pub disk_free: Option<u64>,
}

impl Counters {
    /// Returns the load between two moments, the second of which is this one.
    pub fn since(&self, before: &Self, elapsed: Duration) -> Load {
        let per_second = |now: Option<u64>, before: Option<u64>| {
            // A device that has gone takes its bytes with it.
            let bytes = now?.checked_sub(before?)?;
            let seconds = elapsed.as_secs_f64();
            (seconds > 0.0).then(|| (bytes as f64 / seconds).round() as u64)
        };
        let cpu_percent = || {
            let ((all, idle), (all_before, idle_before)) = (self.cpu?, before.cpu?);
            let all = all.checked_sub(all_before).filter(|all| *all > 0)?;
            let idle = idle.saturating_sub(idle_before).min(all);
            Some((1000.0 * (all - idle) as f64 / all as f64).round() / 10.0)
        };
        Load {
            cpu_percent: cpu_percent(),
            load_1m: self.load_1m,
            memory_used: self.memory.map(|(used, _)| used),
            memory_total: self.memory.map(|(_, total)| total),
            disk_free: self.disk_free,
            disk_bytes_per_s: per_second(self.disk, before.disk),
            network_bytes_per_s: per_second(self.network, before.network),
        }
    }
}

/// Readers of the texts in `/proc`. What is not as it is known to be gives nothing.
pub mod parse {
    /// Size of a sector in `/proc/diskstats`, whatever the device's own is.
    const SECTOR: u64 = 512;

    /// Returns the time of all processors and the idle part of it, in ticks, from `/proc/stat`.
    pub fn stat(text: &str) -> Option<(u64, u64)> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // The time of guests, behind these eight, is in that of users already.
        let ticks: Option<Vec<u64>> = line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
        let ticks = ticks?;
        let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
        Some((ticks.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)), idle))
    }

    /// Returns the average of the last minute, from `/proc/loadavg`.
    pub fn loadavg(text: &str) -> Option<f64> {
        text.split_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite())
    }

    /// Returns the bytes of memory in use and of all memory, from `/proc/meminfo`.
    pub fn meminfo(text: &str) -> Option<(u64, u64)> {
        let kib = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let total = kib("MemTotal")?;
        let used = total.checked_sub(kib("MemAvailable")?)?;
        Some((used.checked_mul(1024)?, total.checked_mul(1024)?))
    }

    /// Returns the bytes read from and written to disks, from `/proc/diskstats`. Partitions and devices made of others would count
    /// twice.
    pub fn diskstats(text: &str) -> Option<u64> {
        let bytes = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            words.next().filter(|name| is_disk(name))?;
            let mut numbers = words.map(str::parse::<u64>);
            let (read, written) = (numbers.nth(2)?.ok()?, numbers.nth(3)?.ok()?);
            read.checked_add(written)?.checked_mul(SECTOR)
        });
        let bytes: Vec<u64> = bytes.collect();
        (!bytes.is_empty()).then(|| bytes.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)))
    }

    /// Returns whether a block device is a disk of its own: `sda`, `vdb`, `xvda`, `nvme0n1` or `mmcblk0`.
    fn is_disk(name: &str) -> bool {
        let letters = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase());
        let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        ["sd", "vd", "hd", "xvd"].iter().any(|kind| name.strip_prefix(kind).is_some_and(letters))
            || name.strip_prefix("mmcblk").is_some_and(digits)
            || name
                .strip_prefix("nvme")
                .and_then(|rest| rest.split_once('n'))
                .is_some_and(|(controller, space)| digits(controller) && digits(space))
    }

    /// Returns the bytes received and sent, from `/proc/net/dev`, without the loopback.
    pub fn net_dev(text: &str) -> Option<u64> {
        let bytes = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let mut numbers = rest.split_whitespace().map(str::parse::<u64>);
            let (received, sent) = (numbers.next()?.ok()?, numbers.nth(7)?.ok()?);
            (name.trim() != "lo").then(|| received.saturating_add(sent))
        });
        let bytes: Vec<u64> = bytes.collect();
        let is_table = text.contains("Receive");
        is_table.then(|| bytes.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)))
    }
}

/// Reads the counters of this machine. Blocks, for long where a file system does not answer.
#[expect(clippy::disallowed_methods, reason = "the load of a machine is in files of the system")]
pub(crate) fn read() -> Counters {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let free = |path: &str| {
        let stat = rustix::fs::statvfs(path).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    };
    Counters {
        cpu: text("/proc/stat").and_then(|text| parse::stat(&text)),
        load_1m: text("/proc/loadavg").and_then(|text| parse::loadavg(&text)),
        memory: text("/proc/meminfo").and_then(|text| parse::meminfo(&text)),
        disk: text("/proc/diskstats").and_then(|text| parse::diskstats(&text)),
        network: text("/proc/net/dev").and_then(|text| parse::net_dev(&text)),
        disk_free: free("/nix/store").or_else(|| free("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Captured on Debian 12, Linux 6.1, shortened.
    const STAT: &str =
        "cpu  1503 20 700 9000 77 0 30 5 0 0\ncpu0 700 10 350 4500 40 0 20 5 0 0\nintr 12345 0\nctxt 99\n";
    const MEMINFO: &str = "MemTotal:        8148652 kB\nMemFree:          204512 kB\nMemAvailable:    5120000 kB\nBuffers: 1 kB\n";
    const DISKSTATS: &str = "   7       0 loop0 12 0 130 5 0 0 0 0 0 4 5 0 0 0 0 0 0\n 254       0 vda 1000 20 8000 300 500 10 4000 200 0 400 500 0 0 0 0 0 0\n \
        254       1 vda1 900 20 7000 300 500 10 4000 200 0 400 500 0 0 0 0 0 0\n 259       0 nvme0n1 10 0 100 3 5 0 50 2 0 4 5 0 0 0 0 0 0\n \
        259       1 nvme0n1p1 10 0 100 3 5 0 50 2 0 4 5 0 0 0 0 0 0\n 253       0 dm-0 10 0 100 3 5 0 50 2 0 4 5 0 0 0 0 0 0\n";
    const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo: 5000 10 0 0 0 0 0 0 5000 10 0 0 0 0 0 0\n  eth0: 123456 100 0 0 0 0 0 0 654321 90 0 0 0 0 0 0\n wlan0:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";

    #[test]
    fn texts_of_the_system_are_read() {
        assert_eq!(parse::stat(STAT), Some((1503 + 20 + 700 + 9000 + 77 + 30 + 5, 9077)));
        assert_eq!(parse::loadavg("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
        assert_eq!(parse::meminfo(MEMINFO), Some(((8_148_652 - 5_120_000) * 1024, 8_148_652 * 1024)));
        assert_eq!(parse::diskstats(DISKSTATS), Some(512 * (8000 + 4000 + 100 + 50)));
        assert_eq!(parse::net_dev(NET_DEV), Some(123_456 + 654_321 + 3));
        for text in ["", "cpu", "cpu x y", "\u{fffd}", "NaN", "MemTotal: -1 kB", "eth0: 1", "x 2 sda x"] {
            let read =
                (parse::stat(text), parse::meminfo(text), parse::diskstats(text), parse::net_dev(text));
            assert_eq!(read, (None, None, None, None), "{text}");
            assert_eq!(parse::loadavg(text), None, "{text}");
        }
    }

    #[test]
    fn load_is_that_of_the_time_between() {
        let before =
            Counters { cpu: Some((1000, 800)), disk: Some(100), network: Some(7), ..Counters::default() };
        let now =
            Counters { cpu: Some((1200, 850)), disk: Some(20_100), network: Some(5), ..Counters::default() };
        let load = now.since(&before, Duration::from_secs(10));
        assert_eq!((load.cpu_percent, load.disk_bytes_per_s), (Some(75.0), Some(2000)));
        assert_eq!(load.network_bytes_per_s, None, "a device has gone");
        assert_eq!(now.since(&now, Duration::ZERO).cpu_percent, None);
        assert_eq!(now.since(&Counters::default(), Duration::from_secs(1)), Load::default());
    }
}
