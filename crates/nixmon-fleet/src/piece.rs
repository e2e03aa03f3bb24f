//! Pieces of growing files, as binary messages.

use serde::{Deserialize, Serialize};

use crate::RunFile;

/// Largest number of bytes of a piece.
pub const MAX_PIECE: usize = 1 << 20;
/// Largest head of a message.
const MAX_HEAD: usize = 4 << 10;

/// Bytes of a growing file of a run. They are taken only where the file ends so far, so a piece that comes twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The number of the run on its host.
    pub run: u64,
    /// The file.
    pub file: RunFile,
    /// Counts the files of this name: one that was written anew, as by a recovery, has a higher one and replaces the other.
    pub generation: u64,
    /// Place of the first byte in the file.
    pub offset: u64,
    /// The bytes, as they stand in the file. Recordings are compressed already.
    pub bytes: Vec<u8>,
}

/// A message that is no piece.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PieceError {
    /// It has no head.
    #[error("a binary message has no head")]
    NoHead,
    /// The head cannot be read.
    #[error("the head of a binary message cannot be read: {0}")]
    Head(#[from] serde_json::Error),
    /// It is too large, or its end would be beyond every file.
    #[error("a piece has at most {MAX_PIECE} bytes and lies within a file")]
    TooLarge,
    /// The file does not grow.
    #[error("`{0}` is sent whole, not in pieces")]
    Whole(RunFile),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    run: u64,
    file: RunFile,
    generation: u64,
    offset: u64,
}

impl Piece {
    /// Writes it as a binary message: a head of JSON, a newline, and the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { run, file, generation, offset, bytes } = self;
        let head =
            serde_json::json!({ "run": run, "file": file, "generation": generation, "offset": offset });
        let mut message = head.to_string().into_bytes();
        message.push(b'\n');
        message.extend_from_slice(bytes);
        message
    }

    /// Reads a binary message.
    ///
    /// # Errors
    ///
    /// If it is none, or is too large.
    pub fn decode(message: &[u8]) -> Result<Self, PieceError> {
        let head = message.iter().take(MAX_HEAD).position(|byte| *byte == b'\n').ok_or(PieceError::NoHead)?;
        let (head, bytes) = message.split_at(head);
        let bytes = bytes.get(1..).unwrap_or_default();
        let Head { run, file, generation, offset } = serde_json::from_slice(head)?;
        if !file.grows() {
            return Err(PieceError::Whole(file));
        }
        let end = offset.checked_add(bytes.len() as u64);
        // Places are signed numbers in databases.
        if bytes.len() > MAX_PIECE || end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(PieceError::TooLarge);
        }
        Ok(Self { run, file, generation, offset, bytes: bytes.to_vec() })
    }

    /// Returns the place of the first byte after it.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_survive_the_way(
            run in 1..u64::MAX,
            at in 0..9_usize,
            generation in any::<u64>(),
            offset in 0..u64::from(u32::MAX),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let grows: Vec<RunFile> = RunFile::all().filter(|file| file.grows()).collect();
            let piece = Piece { run, file: grows[at % grows.len()], generation, offset, bytes };
            prop_assert_eq!(Piece::decode(&piece.encode()).unwrap(), piece);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Piece::decode(&bytes);
        }
    }

    #[test]
    fn hostile_messages_are_refused() {
        let check = |message: &[u8], expected: &str| {
            assert_eq!(Piece::decode(message).unwrap_err().to_string(), expected);
        };
        check(b"", "a binary message has no head");
        check(&[b'x'; 1 << 16], "a binary message has no head");
        let head = |file: &str, offset: u64| {
            format!(r#"{{"run":1,"file":"{file}","generation":0,"offset":{offset}}}"#).into_bytes()
        };
        check(&[head("facts", 0), b"\nx".to_vec()].concat(), "`facts` is sent whole, not in pieces");
        check(
            &[head("input", u64::MAX), b"\nx".to_vec()].concat(),
            "a piece has at most 1048576 bytes and lies within a file",
        );
        let large = [head("input", 0), vec![b'\n'; MAX_PIECE + 2]].concat();
        check(&large, "a piece has at most 1048576 bytes and lies within a file");
        assert!(Piece::decode(&[head("../input", 0), b"\n".to_vec()].concat()).is_err());
    }
}
