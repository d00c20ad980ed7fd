//! `TorrentInfo`: what a torrent consists of.

use std::sync::Arc;

use godot::builtin::{Array, GString, PackedByteArray, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd};
use godot::register::{GodotClass, godot_api};
use torrent_core::ids::PieceIndex;
use torrent_core::metainfo::{FileEntry, Metainfo, MetainfoLimits};
use torrent_core::value::Fields;
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::status::info::{file_fields, file_record, stored_bytes};

use crate::convert::{invalid, to_dictionary, to_int};
use crate::live_objects::Alive;
use crate::{last_error, paths};

/// What a torrent consists of: its files, pieces and trackers.
///
/// It comes from a torrent file, without a session, or from
/// [method TorrentHandle.get_torrent_info].
///
/// ```gdscript
/// var info := TorrentInfo.from_file("res://maps.torrent")
/// if info != null:
///     for file in info.get_files():
///         print("%s: %d bytes" % [file.path, file.size])
/// ```
#[derive(GodotClass)]
#[class(tool, base=RefCounted)]
pub(crate) struct TorrentInfo {
    metainfo: Option<Arc<Metainfo>>,
    _alive: Alive,
}

impl TorrentInfo {
    pub(crate) fn of(metainfo: Arc<Metainfo>) -> Gd<Self> {
        let mut info = Self::new_gd();
        info.bind_mut().metainfo = Some(metainfo);
        info
    }

    /// Something of the torrent; the type's default in an empty object.
    fn read<T: Default>(&self, read: impl FnOnce(&Metainfo) -> T) -> T {
        self.metainfo.as_deref().map(read).unwrap_or_default()
    }

    /// Something that can fail; a failure is printed and `None`.
    fn find<T>(&self, method: &str, find: impl FnOnce(&Metainfo) -> Result<T>) -> Option<T> {
        let empty = || {
            Error::because(
                ErrorKind::InvalidTorrentFile,
                "there is no torrent in this object",
            )
        };
        let found = self.metainfo.as_deref().ok_or_else(empty).and_then(find);
        last_error::ok(&format!("TorrentInfo.{method}"), found)
    }
}

fn file(metainfo: &Metainfo, index: i64) -> Result<(usize, FileEntry)> {
    let files = &metainfo.info.files;
    let at = usize::try_from(index).ok();
    at.and_then(|at| Some((at, files.get(at)?))).ok_or_else(|| {
        Error::because(
            ErrorKind::InvalidFileIndex,
            format!("file {index} of {}", files.len()),
        )
    })
}

fn piece(metainfo: &Metainfo, index: i64) -> Result<PieceIndex> {
    let count = metainfo.info.layout.num_pieces();
    let piece = u32::try_from(index).ok().filter(|&piece| piece < count);
    piece.map(PieceIndex).ok_or_else(|| {
        Error::because(
            ErrorKind::InvalidPieceIndex,
            format!("piece {index} of {count}"),
        )
    })
}

/// A run of bytes within `0..end`.
fn run(offset: i64, size: i64, end: u64) -> Result<(u64, u64)> {
    let run = u64::try_from(offset).ok().zip(u64::try_from(size).ok());
    run.filter(|(offset, size)| offset.checked_add(*size).is_some_and(|last| last <= end))
        .ok_or_else(|| {
            invalid(format!(
                "{size} bytes at {offset} do not lie within {end} bytes"
            ))
        })
}

#[godot_api]
impl IRefCounted for TorrentInfo {
    fn init(base: Base<RefCounted>) -> Self {
        Self {
            metainfo: None,
            _alive: Alive::new(&base),
        }
    }

    fn to_string(&self) -> GString {
        GString::from(&match self.metainfo.as_deref() {
            Some(Metainfo { info, .. }) => format!("TorrentInfo({}, {})", info.name, info.hash()),
            None => "TorrentInfo(empty)".to_owned(),
        })
    }
}

#[godot_api]
impl TorrentInfo {
    /// Reads a torrent file that is in memory. Null when it is none.
    #[func]
    fn from_data(data: PackedByteArray) -> Option<Gd<Self>> {
        let parsed = Metainfo::parse(data.as_slice()).map_err(Error::from);
        last_error::ok("TorrentInfo.from_data", parsed).map(|metainfo| Self::of(Arc::new(metainfo)))
    }

    /// Reads a torrent file, from `res://` of an exported game too, where it is the
    /// resource that the editor imported it as. Null when it cannot be read.
    #[func]
    fn from_file(path: GString) -> Option<Gd<Self>> {
        let data = paths::read(&path, MetainfoLimits::default().bytes);
        let parsed = data.and_then(|data| {
            let parsed = Metainfo::parse(data.as_slice()).map_err(Error::from);
            parsed.map_err(|error| error.about(path.to_string()))
        });
        last_error::ok("TorrentInfo.from_file", parsed).map(|metainfo| Self::of(Arc::new(metainfo)))
    }

    /// Whether there is a torrent in this object.
    #[func]
    fn is_valid(&self) -> bool {
        self.metainfo.is_some()
    }

    /// The torrent's name: that of its only file, or of the folder that holds its files.
    #[func]
    fn get_name(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.info.name))
    }

    /// Bytes of all files.
    #[func]
    fn get_total_size(&self) -> i64 {
        self.read(|metainfo| to_int(stored_bytes(&metainfo.info.files)))
    }

    /// Free text of the torrent's author.
    #[func]
    fn get_comment(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.comment))
    }

    /// The program that made the torrent.
    #[func]
    fn get_creator(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.created_by))
    }

    /// Unix time at which the torrent was made; 0 when it does not say.
    #[func]
    fn get_creation_date(&self) -> i64 {
        self.read(|metainfo| metainfo.creation_date.unwrap_or_default())
    }

    /// The torrent's info-hash: 40 hexadecimal digits.
    #[func]
    fn get_info_hash(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.info.hash().to_string()))
    }

    /// Whether peers may come from the torrent's trackers alone.
    #[func]
    fn is_private(&self) -> bool {
        self.read(|metainfo| metainfo.info.private)
    }

    /// Which tracker the torrent was made for; empty when it does not say.
    #[func]
    fn get_source(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.info.source))
    }

    /// How many files there are, padding included.
    #[func]
    fn get_file_count(&self) -> i64 {
        self.read(|metainfo| metainfo.info.files.len() as i64)
    }

    /// The same as [method get_file_count].
    #[func]
    fn get_num_files(&self) -> i64 {
        self.get_file_count()
    }

    /// One file: index, path, name, size, offset, pad, executable, hidden, symlink, root_hash, mtime.
    /// Empty when there is no such file.
    #[func]
    fn get_file_at(&self, index: i64) -> VarDictionary {
        let fields = self.find("get_file_at", |metainfo| {
            file(metainfo, index).map(|(at, file)| file_record(at, file))
        });
        fields.as_deref().map(to_dictionary).unwrap_or_default()
    }

    /// A file's path within the save path.
    #[func]
    fn get_file_path_at(&self, index: i64) -> GString {
        let path = self.find("get_file_path_at", |metainfo| {
            file(metainfo, index).map(|(_, file)| GString::from(&file.path))
        });
        path.unwrap_or_default()
    }

    /// A file's bytes.
    #[func]
    fn get_file_size_at(&self, index: i64) -> i64 {
        let size = self.find("get_file_size_at", |metainfo| {
            file(metainfo, index).map(|(_, file)| to_int(file.length))
        });
        size.unwrap_or_default()
    }

    /// All files, each as in [method get_file_at].
    #[func]
    fn get_files(&self) -> Array<VarDictionary> {
        self.read(|metainfo| {
            file_fields(&metainfo.info.files)
                .iter()
                .map(|file| to_dictionary(file))
                .collect()
        })
    }

    /// How many pieces there are.
    #[func]
    fn get_piece_count(&self) -> i64 {
        self.read(|metainfo| i64::from(metainfo.info.layout.num_pieces()))
    }

    /// The same as [method get_piece_count].
    #[func]
    fn get_num_pieces(&self) -> i64 {
        self.get_piece_count()
    }

    /// Bytes of a piece; the last one may be shorter.
    #[func]
    fn get_piece_size(&self) -> i64 {
        self.read(|metainfo| i64::from(metainfo.info.layout.piece_length()))
    }

    /// The same as [method get_piece_size].
    #[func]
    fn get_piece_length(&self) -> i64 {
        self.get_piece_size()
    }

    /// Bytes of one piece.
    #[func]
    fn get_piece_size_at(&self, index: i64) -> i64 {
        let size = self.find("get_piece_size_at", |metainfo| {
            piece(metainfo, index).map(|piece| metainfo.info.layout.piece_len(piece))
        });
        size.map(i64::from).unwrap_or_default()
    }

    /// The SHA-1 of one piece: 20 bytes.
    #[func]
    fn get_piece_hash(&self, index: i64) -> PackedByteArray {
        let hash = self.find("get_piece_hash", |metainfo| {
            piece(metainfo, index).map(|piece| metainfo.info.piece_hash(piece))
        });
        hash.flatten()
            .map(|hash| PackedByteArray::from(hash.as_bytes()))
            .unwrap_or_default()
    }

    /// Where bytes of a piece lie in the files: an Array of Dictionaries with file_index,
    /// offset and size.
    #[func]
    fn map_block(&self, piece: i64, offset: i64, size: i64) -> Array<VarDictionary> {
        let spans = self.find("map_block", |metainfo| spans(metainfo, piece, offset, size));
        let spans = spans.unwrap_or_default();
        spans.iter().map(|span| to_dictionary(span)).collect()
    }

    /// Where bytes of a file lie in the pieces: a Dictionary with piece_index (the first
    /// piece), start (offset within it) and length.
    #[func]
    fn map_file(&self, file: i64, offset: i64, size: i64) -> VarDictionary {
        let place = self.find("map_file", |metainfo| place(metainfo, file, offset, size));
        place.as_deref().map(to_dictionary).unwrap_or_default()
    }

    /// The trackers: Dictionaries with url and tier.
    #[func]
    fn get_trackers(&self) -> Array<VarDictionary> {
        self.read(|metainfo| {
            trackers(metainfo)
                .iter()
                .map(|row| to_dictionary(row))
                .collect()
        })
    }

    /// The web seeds: Dictionaries with url and type ("url_seed" or "http_seed").
    #[func]
    fn get_web_seeds(&self) -> Array<VarDictionary> {
        self.read(|metainfo| {
            web_seeds(metainfo)
                .iter()
                .map(|row| to_dictionary(row))
                .collect()
        })
    }

    /// DHT nodes that the torrent names: Dictionaries with host and port.
    #[func]
    fn get_nodes(&self) -> Array<VarDictionary> {
        self.read(|metainfo| {
            nodes(metainfo)
                .iter()
                .map(|row| to_dictionary(row))
                .collect()
        })
    }

    /// A link that names this torrent and its trackers.
    #[func]
    fn get_magnet_uri(&self) -> GString {
        self.read(|metainfo| GString::from(&metainfo.magnet().to_string()))
    }

    /// The torrent file, as it can be saved and given to others.
    #[func]
    fn to_data(&self) -> PackedByteArray {
        self.read(|metainfo| PackedByteArray::from(metainfo.to_bytes()))
    }
}

fn spans(metainfo: &Metainfo, index: i64, offset: i64, size: i64) -> Result<Vec<Fields>> {
    let layout = &metainfo.info.layout;
    let piece = piece(metainfo, index)?;
    let (offset, size) = run(offset, size, u64::from(layout.piece_len(piece)))?;
    let spans = layout.spans(layout.piece_offset(piece) + offset, size);
    let fields = spans.map(|span| {
        vec![
            ("file_index".into(), span.file.0.into()),
            ("offset".into(), span.offset.into()),
            ("size".into(), span.length.into()),
        ]
    });
    Ok(fields.collect())
}

fn place(metainfo: &Metainfo, index: i64, offset: i64, size: i64) -> Result<Fields> {
    let layout = &metainfo.info.layout;
    let (_, file) = file(metainfo, index)?;
    let (offset, size) = run(offset, size, file.length)?;
    let at = file.offset + offset;
    let length = u64::from(layout.piece_length());
    Ok(vec![
        ("piece_index".into(), (at / length).into()),
        ("start".into(), (at % length).into()),
        ("length".into(), size.into()),
    ])
}

fn trackers(metainfo: &Metainfo) -> Vec<Fields> {
    let tiers = metainfo.tiers.iter().enumerate();
    let trackers = tiers.flat_map(|(tier, urls)| urls.iter().map(move |url| (tier, url)));
    trackers
        .map(|(tier, url)| {
            vec![
                ("url".into(), url.clone().into()),
                ("tier".into(), tier.into()),
            ]
        })
        .collect()
}

fn web_seeds(metainfo: &Metainfo) -> Vec<Fields> {
    let row = |kind: &'static str| {
        move |url: &String| {
            vec![
                ("url".into(), url.clone().into()),
                ("type".into(), kind.into()),
            ]
        }
    };
    let url_seeds = metainfo.url_seeds.iter().map(row("url_seed"));
    url_seeds
        .chain(metainfo.http_seeds.iter().map(row("http_seed")))
        .collect()
}

fn nodes(metainfo: &Metainfo) -> Vec<Fields> {
    let nodes = metainfo.nodes.iter();
    nodes
        .map(|(host, port)| {
            vec![
                ("host".into(), host.clone().into()),
                ("port".into(), (*port).into()),
            ]
        })
        .collect()
}
