//! The manifest of an epoch: what it holds, how it joins its neighbours, and the digests of its files. A sealed epoch
//! has one for ever; the growing one has one between a clean stop and the next start.
//! `docs/storage-format.md` is the specification.

use std::path::Path;

use super::Head;
use super::disk::{self, FileDigest};
use super::error::{Damage, DiskError, OnDisk};
use super::fields::{self, Fields};
use super::merkle::Hash;
use crate::domain::id::Seq;

const MAGIC: [u8; 8] = *b"CHepoch\x01";

/// What is known of an epoch without opening its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The position of the first entry.
    pub first: Seq,
    /// The chain hash before the first entry.
    pub chain_before: Hash,
    /// The head of the log after the last entry.
    pub head: Head,
    /// The roots of the tiles that were completed in this epoch.
    pub tiles: Vec<Hash>,
    /// The leaves after the last complete tile.
    pub tail: Vec<Hash>,
    /// The files of the store.
    pub files: Vec<FileDigest>,
}

/// Digest each file of a store. Blob files are refused: a power cut tears them.
pub(super) fn digest_files(store: &Path) -> Result<Vec<FileDigest>, DiskError> {
    let mut files = Vec::new();
    for path in disk::list(store)? {
        if let (false, Some(name)) = (path.is_dir(), path.file_name().and_then(|name| name.to_str())) {
            files.push(FileDigest::of(store, name)?);
        }
    }
    Ok(files)
}

impl Manifest {
    /// Without the hashes that the tree holds already.
    pub(super) fn without_tree(self) -> Manifest {
        Manifest {
            tiles: Vec::new(),
            tail: Vec::new(),
            ..self
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), DiskError> {
        disk::write_atomically(path, &self.encode())
    }

    /// Read a manifest. `None` if there is none; `Some(Err)` if it is damaged.
    pub(super) fn read(path: &Path) -> Result<Option<Result<Manifest, Damage>>, DiskError> {
        match std::fs::read(path) {
            Ok(content) => {
                let damage = || Damage::new("the manifest does not match its checksum").in_file(path, None);
                Ok(Some(Manifest::decode(&content).ok_or_else(damage)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).on("read", path),
        }
    }

    /// Whether the files of a store are those that the manifest describes, byte by byte.
    pub(super) fn check_files(&self, store: &Path) -> Result<Result<(), Damage>, DiskError> {
        let found = digest_files(store)?;
        for expected in &self.files {
            let path = store.join(&expected.name);
            let Some(found) = found.iter().find(|found| found.name == expected.name) else {
                return Ok(Err(Damage::new("the file is missing").in_file(&path, None)));
            };
            if let Some(offset_bytes) = expected.first_difference(found) {
                let reason = if expected.length_bytes == found.length_bytes {
                    "the content is not what was written".to_owned()
                } else {
                    format!(
                        "the file has {} bytes instead of {}",
                        found.length_bytes, expected.length_bytes
                    )
                };
                return Ok(Err(Damage::new(reason).in_file(&path, Some(offset_bytes))));
            }
        }
        if let Some(stray) = found
            .iter()
            .find(|found| self.files.iter().all(|file| file.name != found.name))
        {
            return Ok(Err(
                Damage::new("nobody of ours wrote this file").in_file(&store.join(&stray.name), None)
            ));
        }
        Ok(Ok(()))
    }

    /// As [`Manifest::check_files`], but only presence and length: cheap enough for every epoch at each start.
    pub(super) fn check_lengths(&self, store: &Path) -> Result<(), Damage> {
        for file in &self.files {
            let path = store.join(&file.name);
            let found = std::fs::metadata(&path)
                .map(|metadata| metadata.len())
                .unwrap_or_default();
            if found != file.length_bytes {
                let reason = format!("the file has {found} bytes instead of {}", file.length_bytes);
                return Err(Damage::new(reason).in_file(&path, Some(found.min(file.length_bytes))));
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.chain_before);
        out.extend_from_slice(&self.head.size.to_le_bytes());
        out.extend_from_slice(&self.head.root);
        out.extend_from_slice(&self.head.chain);
        fields::put_hashes(&mut out, &self.tiles);
        fields::put_hashes(&mut out, &self.tail);
        out.extend_from_slice(&(self.files.len() as u32).to_le_bytes());
        for file in &self.files {
            out.push(file.name.len() as u8);
            out.extend_from_slice(file.name.as_bytes());
            out.extend_from_slice(&file.length_bytes.to_le_bytes());
            out.extend_from_slice(&(file.block_crcs.len() as u32).to_le_bytes());
            file.block_crcs
                .iter()
                .for_each(|crc| out.extend_from_slice(&crc.to_le_bytes()));
        }
        fields::put_checksum(&mut out);
        out
    }

    pub(super) fn decode(content: &[u8]) -> Option<Manifest> {
        let mut fields = Fields {
            rest: fields::checked(content)?,
        };
        if fields.array()? != MAGIC {
            return None;
        }
        let first = Seq(fields.u64()?);
        let chain_before = fields.array()?;
        let head = Head {
            size: fields.u64()?,
            root: fields.array()?,
            chain: fields.array()?,
        };
        let tiles = fields.hashes()?;
        let tail = fields.hashes()?;
        let files_count = fields.u32()?;
        let mut files = Vec::new();
        for _ in 0..files_count {
            let [name_bytes] = fields.array()?;
            let name = String::from_utf8(fields.slice(name_bytes as usize)?.to_vec()).ok()?;
            let length_bytes = fields.u64()?;
            let blocks = fields.u32()? as usize;
            let crcs = fields.slice(blocks.checked_mul(4)?)?;
            let block_crcs = crcs
                .chunks_exact(4)
                .map(|crc| crc.try_into().ok().map(u32::from_le_bytes));
            files.push(FileDigest {
                name,
                length_bytes,
                block_crcs: block_crcs.collect::<Option<_>>()?,
            });
        }
        fields.rest.is_empty().then_some(Manifest {
            first,
            chain_before,
            head,
            tiles,
            tail,
            files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::golden;
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            first: Seq(256),
            chain_before: [1; 32],
            head: Head {
                size: 600,
                root: [2; 32],
                chain: [3; 32],
            },
            tiles: vec![[4; 32]],
            tail: vec![[5; 32], [6; 32]],
            files: vec![FileDigest {
                name: "db".to_owned(),
                length_bytes: 70_000,
                block_crcs: vec![7, 8],
            }],
        }
    }

    #[test]
    fn decoding_returns_what_was_encoded() {
        assert_eq!(Manifest::decode(&sample().encode()), Some(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let content = sample().encode();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::decode(&flipped), None, "bit {bit}");
        }
        for length in 0..content.len() {
            assert_eq!(Manifest::decode(&content[..length]), None, "length {length}");
        }
    }

    #[test]
    fn golden_bytes_of_version_1_are_read_for_ever() {
        let content = golden::bytes(include_str!("golden/manifest-1.hex"));
        assert_eq!(Manifest::decode(&content), Some(sample()));
        assert_eq!(
            sample().encode(),
            content,
            "what is written now must be what version 1 was"
        );
    }
}
