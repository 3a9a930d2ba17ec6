//! What two servers say, as bytes: MessagePack, compressed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.tidelog.replica";
/// The longest body, compressed.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
/// What it may stand for.
const PLAIN_BYTES_MAX: u64 = 32 << 20;
const LEVEL: i32 = 3;

/// Writes it.
pub(super) fn write<T: Serialize>(said: &T) -> io::Result<Vec<u8>> {
    let plain = rmp_serde::to_vec_named(said).map_err(io::Error::other)?;
    zstd::bulk::compress(&plain, LEVEL)
}

/// Reads it.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let mut plain = Vec::new();
    // As it comes: what a frame says of its length is a stranger's word.
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    let read = decoder.take(PLAIN_BYTES_MAX + 1).read_to_end(&mut plain)?;
    if read as u64 > PLAIN_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }
    rmp_serde::from_slice(&plain).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_protocol::replica::Held;

    #[test]
    fn a_body_that_is_cut_off_or_stands_for_too_much_is_refused() {
        let whole = write(&Held::default()).unwrap();
        assert_eq!(read::<Held>(&whole).unwrap(), Held::default());
        for end in 0..whole.len() {
            assert!(read::<Held>(&whole[..end]).is_err(), "{end} bytes");
        }
        let zeros = vec![0; 40 << 20];
        let bomb = zstd::bulk::compress(&zeros, LEVEL).unwrap();
        assert!(bomb.len() < 64 << 10);
        let error = read::<Held>(&bomb).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }
}
