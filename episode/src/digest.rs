//! SHA-256 of a file and of its blocks, streaming.

use crate::error::EpisodeError;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a block whose digest the manifest holds: a flipped byte is located to this range.
pub const BLOCK_LEN: usize = 1024 * 1024;

/// A file's digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of each block of [`BLOCK_LEN`] bytes (the last may be shorter), in hexadecimal.
    pub blocks: Vec<String>,
}

fn for_each_block(path: &Path, mut block: impl FnMut(&[u8])) -> Result<u64, EpisodeError> {
    let mut file = File::open(path).map_err(EpisodeError::io(path))?;
    let (mut buffer, mut size) = (vec![0; BLOCK_LEN], 0);
    loop {
        let mut filled = 0;
        while filled < BLOCK_LEN {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(EpisodeError::io(path)(error)),
            }
        }
        if filled == 0 {
            return Ok(size);
        }
        size += u64::try_from(filled).unwrap_or(u64::MAX);
        block(&buffer[..filled]);
    }
}

/// Hashes a file whole and block by block.
pub fn of_file(path: &Path) -> Result<FileDigest, EpisodeError> {
    let (mut whole, mut blocks) = (Sha256::new(), Vec::new());
    let size = for_each_block(path, |block| {
        whole.update(block);
        blocks.push(hex::encode(Sha256::digest(block)));
    })?;
    Ok(FileDigest { size, sha256: hex::encode(whole.finalize()), blocks })
}

/// Size and SHA-256 of a file.
pub fn whole_file(path: &Path) -> Result<(u64, String), EpisodeError> {
    let mut whole = Sha256::new();
    let size = for_each_block(path, |block| whole.update(block))?;
    Ok((size, hex::encode(whole.finalize())))
}

/// Index of the first block that is not the one in `blocks`; `None` when all are.
pub fn first_bad_block(path: &Path, blocks: &[String]) -> Result<Option<usize>, EpisodeError> {
    let (mut index, mut bad) = (0, None);
    for_each_block(path, |block| {
        if bad.is_none() {
            let expected = blocks.get(index).map(String::as_str);
            if expected != Some(hex::encode(Sha256::digest(block)).as_str()) {
                bad = Some(index);
            }
        }
        index += 1;
    })?;
    Ok(bad.or((index < blocks.len()).then_some(index)))
}
