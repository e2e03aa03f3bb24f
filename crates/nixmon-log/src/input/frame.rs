//! Cuts bytes into lines, independent of the chunks in which they arrive.

/// A line longer than this is cut; the rest is dropped and counted. Nix sets no limit (a builder's line of a megabyte is
/// one record), but memory has one.
pub const MAX_LINE: usize = 16 << 20;

/// Cuts a stream of bytes at its newlines.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a line that has not ended yet.
    partial: Vec<u8>,
    /// Bytes of the present line that were dropped.
    dropped: u64,
}

/// One line without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// The bytes, at most [`MAX_LINE`] of them.
    pub bytes: &'a [u8],
    /// The number of bytes that were cut off.
    pub dropped: u64,
}

impl Framer {
    /// Takes the next bytes and passes on each line that they complete. Lines that lie whole in `bytes` are not copied.
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Framed<'_>)) {
        if !self.partial.is_empty() || self.dropped > 0 {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep(bytes);
                return;
            };
            self.keep(&bytes[..end]);
            line(Framed { bytes: &self.partial, dropped: self.dropped });
            self.reset();
            bytes = &bytes[end + 1..];
        }
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let whole = &bytes[from..end];
            let cut = &whole[..whole.len().min(MAX_LINE)];
            line(Framed { bytes: cut, dropped: (whole.len() - cut.len()) as u64 });
            from = end + 1;
        }
        self.keep(&bytes[from..]);
    }

    /// Returns the line that has begun and not ended.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Ends the stream and passes on the rest as a line.
    pub fn finish(&mut self, mut line: impl FnMut(Framed<'_>)) {
        if !self.partial.is_empty() {
            line(Framed { bytes: &self.partial, dropped: self.dropped });
        }
        self.reset();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.partial.len();
        let kept = &bytes[..bytes.len().min(room)];
        self.partial.extend_from_slice(kept);
        self.dropped += (bytes.len() - kept.len()) as u64;
    }

    fn reset(&mut self) {
        self.partial.clear();
        // One huge line must not keep its memory for good.
        self.partial.shrink_to(1 << 20);
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for chunk in chunks {
            framer.feed(chunk, |line| out.push(line.bytes.to_vec()));
        }
        framer.finish(|line| out.push(line.bytes.to_vec()));
        out
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        let check = |chunks: &[&[u8]], expected: &[&[u8]]| assert_eq!(lines(chunks), expected, "{chunks:?}");
        check(&[], &[]);
        check(&[b""], &[]);
        check(&[b"a"], &[b"a"]);
        check(&[b"a\n"], &[b"a"]);
        check(&[b"\n\n"], &[b"", b""]);
        check(&[b"a", b"b\nc", b"\n", b"\n"], &[b"ab", b"c", b""]);
        check(&[b"a\0\xff\r\n"], &[b"a\0\xff\r"]);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut framer = Framer::default();
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            framer.feed(&chunk, |_| panic!("no line has ended"));
        }
        assert_eq!(framer.partial().len(), MAX_LINE);
        let mut seen = None;
        framer.feed(b"\n", |line| seen = Some((line.bytes.len(), line.dropped)));
        assert_eq!(seen, Some((MAX_LINE, 4 << 20)));
        assert!(framer.partial.capacity() <= 2 << 20, "{}", framer.partial.capacity());
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300), cuts in prop::collection::vec(0usize..300, 0..10)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[&bytes]));
        }
    }
}
