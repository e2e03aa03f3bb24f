//! Nix's base-32 encoding of digests.
//!
//! The alphabet leaves out `e`, `o`, `t` and `u`, and the digits run from the last bits of the input to the first
//! (`src/libutil/hash.cc` in Nix, `base-nix-32.cc` in Nix 2.31 and later).

/// The 32 digits, in ascending order of value and of ASCII.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The value of each ASCII digit, `0xff` for what is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Why a text is not the base-32 encoding of anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Nixbase32Error {
    /// No whole number of bytes encodes to this number of digits.
    #[error("invalid length of base-32 text: {0} characters")]
    Length(usize),
    /// A character outside the alphabet.
    #[error("invalid base-32 character at offset {0}")]
    Character(usize),
    /// Bits are set beyond the last whole byte.
    #[error("base-32 text has stray bits")]
    StrayBits,
}

/// Number of digits that `bytes` bytes encode to.
pub const fn encode_len(bytes: usize) -> usize {
    // Not `bytes * 8`, which can overflow.
    bytes / 5 * 8 + (bytes % 5 * 8).div_ceil(5)
}

/// Number of bytes that `digits` digits decode to.
pub const fn decode_len(digits: usize) -> usize {
    digits / 8 * 5 + digits % 8 * 5 / 8
}

/// Returns whether the byte is a digit of Nix's base-32.
pub const fn is_digit(byte: u8) -> bool {
    VALUES[byte as usize] != 0xff
}

/// Encodes bytes, usually a digest.
pub fn encode(input: &[u8]) -> String {
    let byte = |i: usize| input.get(i).copied().map_or(0, u16::from);
    (0..encode_len(input.len()))
        .rev()
        .map(|n| {
            // Bit `5 * n`, without the product that could overflow.
            let (i, shift) = (n / 8 * 5 + n % 8 * 5 / 8, n % 8 * 5 % 8);
            let digit = ((byte(i) | byte(i.saturating_add(1)) << 8) >> shift) & 0x1f;
            char::from(ALPHABET[usize::from(digit)])
        })
        .collect()
}

/// Decodes text of any length.
///
/// # Errors
/// Fails where the text is not what [`encode`] gives for some bytes.
pub fn decode(input: impl AsRef<[u8]>) -> Result<Vec<u8>, Nixbase32Error> {
    let input = input.as_ref();
    let mut out = vec![0; decode_len(input.len())];
    decode_into(input, &mut out)?;
    Ok(out)
}

/// Decodes a digest of `K` bytes.
///
/// # Errors
/// Fails where the text is not what [`encode`] gives for some `K` bytes.
pub fn decode_fixed<const K: usize>(input: impl AsRef<[u8]>) -> Result<[u8; K], Nixbase32Error> {
    let mut out = [0; K];
    decode_into(input.as_ref(), &mut out)?;
    Ok(out)
}

fn decode_into(input: &[u8], out: &mut [u8]) -> Result<(), Nixbase32Error> {
    if encode_len(out.len()) != input.len() {
        return Err(Nixbase32Error::Length(input.len()));
    }
    for (n, (offset, &digit)) in input.iter().enumerate().rev().enumerate() {
        if !is_digit(digit) {
            return Err(Nixbase32Error::Character(offset));
        }
        let (i, shift) = (n / 8 * 5 + n % 8 * 5 / 8, n % 8 * 5 % 8);
        let [low, high] = (u16::from(VALUES[usize::from(digit)]) << shift).to_le_bytes();
        for (i, bits) in [(i, low), (i + 1, high)] {
            match out.get_mut(i) {
                Some(byte) => *byte |= bits,
                None if bits != 0 => return Err(Nixbase32Error::StrayBits),
                None => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        // The last two are `nix hash to-base32` of the empty text's SHA-1 and SHA-256.
        let cases: [(&str, &[u8]); 5] = [
            ("", &[]),
            ("7z", &[0xff]),
            ("10", &[0x20]),
            (
                "143xibwh31h9bvxzalr0sjvbbvpa6ffs",
                b"\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09",
            ),
            (
                "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
                b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
                  \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55",
            ),
        ];
        for (text, bytes) in cases {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn errors() {
        for (text, error) in [
            ("1", Nixbase32Error::Length(1)),
            ("000", Nixbase32Error::Length(3)),
            ("0e", Nixbase32Error::Character(1)),
            ("A0", Nixbase32Error::Character(0)),
            ("\u{e9}", Nixbase32Error::Character(1)),
            ("zz", Nixbase32Error::StrayBits),
        ] {
            assert_eq!(decode(text), Err(error), "{text}");
        }
        assert_eq!(decode_fixed::<20>("00"), Err(Nixbase32Error::Length(2)));
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encode_len(bytes.len()));
            prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn decodes_only_what_it_encodes(text in "[0-9a-z]{0,40}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
