//! Resume data against the files: what a record claims to be there is
//! accepted only after a look, and even then on trust.
//!
//! [`Storage::check_resume`] looks once, with bounded work: every claimed
//! piece must lie within the bytes that its files have, and a sample of the
//! pieces must have the right hash. Files that were complete when the record
//! was written and have changed since are named, to be hashed as a whole. What
//! is accepted without having been hashed is *trusted*: such a piece is hashed
//! before its first byte is read for a caller, and an error that comes out then is
//! [`DiskEvent::TrustBroken`](super::DiskEvent::TrustBroken).

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, FileIndex, PieceIndex};
use torrent_core::resume::FileStat;

use super::Common;
use super::check::next_run;
use super::counters::Counters;
use super::error::{DiskError, DiskOp, Fault};
use super::storage::{Storage, StorageShared};
use crate::buffers::BufferClass;

/// Bytes that are hashed for the sample, beyond its first piece.
const SAMPLE_BYTES: u64 = 32 * 1024 * 1024;

/// Files that a piece is sampled of.
const SAMPLE_FILES: usize = 16;

/// Further pieces of the sample.
const SAMPLE_PIECES: usize = 4;

/// What a record claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeClaim {
    /// The pieces that are there.
    pub have: Bitfield,
    /// The blocks that are there of pieces that are not.
    pub unfinished: BTreeMap<PieceIndex, Bitfield>,
    /// The files as they were; empty where nothing is known of that.
    pub stats: Vec<Option<FileStat>>,
    /// Look at the files; else everything is believed until it is read.
    pub verify_files: bool,
    /// Chooses the sample.
    pub seed: u64,
}

/// A claim that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeAccepted {
    /// Pieces of files that have changed: they have to be hashed.
    pub suspects: Bitfield,
    /// The blocks of unfinished pieces that can be there.
    pub unfinished: BTreeMap<PieceIndex, Bitfield>,
}

/// Why a claim is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeRejected {
    /// A file ends before a piece that is said to be there.
    #[error("mismatching file size: {error}")]
    FileSize {
        /// The file.
        file: FileIndex,
        /// What is wrong with it.
        error: DiskError,
    },
    /// A piece that is said to be there has another hash.
    #[error("piece {piece} is not what the resume data says")]
    Hash {
        /// The piece.
        piece: PieceIndex,
    },
    /// The files could not be looked at.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Storage {
    /// Compares a claim with the files. If it is accepted, its pieces count
    /// as verified from now on, and are hashed when they are first read. No
    /// blocks should have been written yet.
    pub async fn check_resume(&self, claim: ResumeClaim) -> Result<ResumeAccepted, ResumeRejected> {
        let outcome = self
            .apart(DiskOp::Stat, move |shared, common| {
                Ok(shared.judge(common, claim))
            })
            .await;
        outcome.map_err(ResumeRejected::Disk)?
    }

    /// The pieces that count as verified and were not hashed.
    pub fn trusted(&self) -> Bitfield {
        let (shared, _) = self.parts();
        shared.pieces.trusted.to_bitfield()
    }

    /// Takes back that these pieces are there, until a check finds them or
    /// they come again.
    pub fn mark_unknown(&self, pieces: &Bitfield) {
        let (shared, _) = self.parts();
        for piece in pieces.iter() {
            shared.pieces.have.clear(piece);
        }
        shared.pieces.set_known(false);
        shared.pieces.keep_padding();
    }

    /// Length and time of each of `files`; `None` where there is no such file
    /// or it cannot be looked at.
    pub async fn file_stats(&self, files: Vec<FileIndex>) -> Vec<(FileIndex, Option<FileStat>)> {
        let stats = self.apart(DiskOp::Stat, move |shared, common| {
            let stat = |file| shared.io.stat(common, file).ok().flatten();
            Ok(files.into_iter().map(|file| (file, stat(file))).collect())
        });
        stats.await.unwrap_or_default()
    }

    /// Those of `files` that are there. Something else in the place of one is
    /// not that file; what cannot be looked at is an error.
    pub async fn present(&self, files: Vec<FileIndex>) -> Result<BTreeSet<FileIndex>, DiskError> {
        self.apart(DiskOp::Stat, move |shared, common| {
            let mut present = BTreeSet::new();
            for file in files {
                match shared.io.stat(common, file) {
                    Ok(None) => {}
                    Ok(Some(_)) => drop(present.insert(file)),
                    Err(error) if error.is_absence() => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(present)
        })
        .await
    }
}

impl StorageShared {
    fn judge(&self, common: &Common, claim: ResumeClaim) -> Result<ResumeAccepted, ResumeRejected> {
        let layout = &self.spec.layout;
        let mut accepted = ResumeAccepted {
            suspects: Bitfield::new(layout.num_pieces()),
            unfinished: claim.unfinished,
        };
        let mut hashed = BTreeSet::new();
        self.io.look(common)?;
        if claim.verify_files {
            let stats = self.all_stats(common)?;
            for piece in claim.have.iter().map(PieceIndex) {
                self.check_reach(&stats, piece)?;
            }
            let there = |piece, blocks: &Bitfield| {
                let reached = |block: u32| {
                    let begin = u64::from(block) * u64::from(BLOCK_SIZE);
                    let offset = layout.piece_offset(piece) + begin;
                    let left = u64::from(layout.piece_len(piece)).saturating_sub(begin);
                    self.short_file(&stats, offset, left.min(BLOCK_SIZE.into()))
                        .is_none()
                };
                blocks.iter().all(reached)
            };
            accepted
                .unfinished
                .retain(|&piece, blocks| there(piece, blocks));
            self.find_suspects(&claim.have, &claim.stats, &stats, &mut accepted.suspects);
            for piece in self.sample(&claim.have, &accepted.suspects, claim.seed) {
                match self.has_right_hash(common, piece) {
                    Ok(true) => hashed.insert(piece.0),
                    Ok(false) => return Err(ResumeRejected::Hash { piece }),
                    Err(error) => return Err(error.into()),
                };
            }
        }
        self.pieces.replace_have(&claim.have);
        self.pieces.set_known(true);
        let mut trusted = claim.have;
        for piece in hashed {
            trusted.clear(piece);
        }
        self.pieces.trusted.replace(&trusted);
        Ok(accepted)
    }

    fn all_stats(&self, common: &Common) -> Result<Vec<Option<FileStat>>, DiskError> {
        let mut stats = vec![None; self.spec.layout.files().len()];
        for (file, _) in self.spec.stored_files() {
            if let Some(slot) = stats.get_mut(file.0 as usize) {
                *slot = self.io.stat(common, file)?;
            }
        }
        Ok(stats)
    }

    /// The first file that does not reach as far as these bytes.
    fn short_file(
        &self,
        stats: &[Option<FileStat>],
        offset: u64,
        length: u64,
    ) -> Option<FileIndex> {
        let mut spans = self.spec.layout.spans(offset, length);
        let short = spans.find(|span| {
            let stat = stats.get(span.file.0 as usize).copied().flatten();
            let length = stat.map_or(0, |stat| stat.length);
            !span.pad && !self.io.reaches(span, length)
        });
        short.map(|span| span.file)
    }

    fn check_reach(
        &self,
        stats: &[Option<FileStat>],
        piece: PieceIndex,
    ) -> Result<(), ResumeRejected> {
        let layout = &self.spec.layout;
        let (offset, length) = (layout.piece_offset(piece), layout.piece_len(piece));
        match self.short_file(stats, offset, length.into()) {
            None => Ok(()),
            Some(file) => Err(ResumeRejected::FileSize {
                file,
                error: self.error(DiskOp::Stat, Some(file), Fault::Short),
            }),
        }
    }

    /// Whether every file reaches as far as it should.
    pub(super) fn check_lengths(&self, common: &Common) -> Result<(), DiskError> {
        let stats = self.all_stats(common)?;
        let layout = &self.spec.layout;
        match self.short_file(&stats, 0, layout.total_length()) {
            None => Ok(()),
            Some(file) => Err(self.error(DiskOp::Stat, Some(file), Fault::Short)),
        }
    }

    /// Adds the pieces of files that were complete and have changed since.
    fn find_suspects(
        &self,
        have: &Bitfield,
        then: &[Option<FileStat>],
        now: &[Option<FileStat>],
        suspects: &mut Bitfield,
    ) {
        for ((file, then), now) in (0u32..).zip(then).zip(now) {
            let pieces = self.spec.layout.file_pieces(FileIndex(file));
            if then.is_some() && then != now && pieces.clone().all(|piece| have.get(piece)) {
                for piece in pieces {
                    suspects.set(piece);
                }
            }
        }
    }

    /// The first claimed piece, the last, one of some files, and some more.
    fn sample(&self, have: &Bitfield, suspects: &Bitfield, seed: u64) -> BTreeSet<PieceIndex> {
        let layout = &self.spec.layout;
        let claimed = |piece: &u32| have.get(*piece) && !suspects.get(*piece);
        let mut rng = StdRng::seed_from_u64(seed);
        let count = layout.num_pieces();
        let ends = [(0..count).find(claimed), (0..count).rev().find(claimed)];
        let files = (0..layout.files().len() as u32).sample(&mut rng, SAMPLE_FILES);
        let of_files: Vec<_> = files
            .into_iter()
            .map(|file| {
                let pieces = layout.file_pieces(FileIndex(file));
                pieces.filter(claimed).choose(&mut rng)
            })
            .collect();
        let more: Vec<_> = (0..SAMPLE_PIECES)
            .map(|_| {
                let start = rng.random_range(0..count.max(1));
                (start..count).chain(0..start).find(claimed)
            })
            .collect();
        let mut sample = BTreeSet::new();
        let mut bytes = 0;
        for piece in ends.into_iter().chain(of_files).chain(more).flatten() {
            if bytes >= SAMPLE_BYTES {
                break;
            }
            if sample.insert(PieceIndex(piece)) {
                bytes += u64::from(layout.piece_len(PieceIndex(piece)));
            }
        }
        sample
    }

    /// Hashes a piece in its files.
    fn has_right_hash(&self, common: &Common, piece: PieceIndex) -> Result<bool, DiskError> {
        let layout = &self.spec.layout;
        let (start, length) = (layout.piece_offset(piece), layout.piece_len(piece));
        let mut buffer = common.pool.take(BufferClass::Large);
        let mut hasher = self.spec.hasher(piece);
        let mut at = 0;
        while at < length {
            let mut part = buffer.len().min((length - at) as usize);
            let offset = start + u64::from(at);
            if let Some(run) = next_run(layout, offset) {
                if run.start <= offset {
                    let zeros = run.end.min(start + u64::from(length)) - offset;
                    let spent = common.zeros.update(&mut hasher, zeros);
                    self.padding
                        .spend(spent)
                        .map_err(|error| self.error(DiskOp::Read, None, Fault::Io(error)))?;
                    at += zeros as u32;
                    continue;
                }
                part = part.min(usize::try_from(run.start - offset).unwrap_or(part));
            }
            let target = buffer.get_mut(..part).unwrap_or_default();
            self.io.read(common, offset, target)?;
            hasher.update(target);
            at += part as u32;
        }
        let blocks = u64::from(length.div_ceil(BLOCK_SIZE));
        Counters::add(&common.counters.blocks_hashed, blocks);
        Ok(self.spec.hash(piece) == Some(hasher.finish()))
    }

    /// Hashes a piece that was taken on trust, unless that was done meanwhile.
    /// A piece that turns out wrong stays distrusted, so that none of its bytes
    /// is ever sent.
    pub(super) fn vouch(&self, common: &Common, piece: PieceIndex) -> Result<(), DiskError> {
        if !self.pieces.trusted.get(piece.0) {
            return Ok(());
        }
        if !self.has_right_hash(common, piece)? {
            return Err(self.error(DiskOp::Read, None, Fault::WrongHash));
        }
        self.pieces.trusted.clear(piece.0);
        Ok(())
    }
}
