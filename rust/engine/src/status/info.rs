//! What a torrent file or a magnet link says, by name: for dictionaries of the
//! binding and answers of the shim.

use torrent_core::ids::{InfoHash, InfoHashes};
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{FileEntry, Files, Metainfo};
use torrent_core::value::{Fields, Value};

/// Every field of a torrent file. Sizes are bytes, times Unix time, hashes
/// lower-case hex; `files` and `trackers` are lists of records.
pub fn info_fields(metainfo: &Metainfo) -> Fields {
    let info = &metainfo.info;
    let files = info.files.len();
    let pieces = info.layout.num_pieces();
    let piece_length = info.layout.piece_length();
    let total = stored_bytes(&info.files);
    vec![
        ("name".into(), info.name.clone().into()),
        ("info_hash".into(), info.hash().to_string().into()),
        ("info_hash_v2".into(), v2_text(info.hashes).into()),
        ("has_v1".into(), info.hashes.v1().is_some().into()),
        ("has_v2".into(), info.hashes.v2().is_some().into()),
        ("total_size".into(), total.into()),
        ("num_files".into(), files.into()),
        ("file_count".into(), files.into()),
        ("num_pieces".into(), pieces.into()),
        ("piece_count".into(), pieces.into()),
        ("piece_length".into(), piece_length.into()),
        ("piece_size".into(), piece_length.into()),
        ("is_private".into(), info.private.into()),
        ("source".into(), info.source.clone().into()),
        ("comment".into(), metainfo.comment.clone().into()),
        ("creator".into(), metainfo.created_by.clone().into()),
        (
            "creation_date".into(),
            metainfo.creation_date.unwrap_or(0).into(),
        ),
        ("files".into(), file_fields(&info.files).into()),
        ("trackers".into(), tracker_fields(&metainfo.tiers)),
        ("web_seeds".into(), metainfo.url_seeds.clone().into()),
        ("http_seeds".into(), metainfo.http_seeds.clone().into()),
        ("nodes".into(), node_fields(&metainfo.nodes)),
        ("similar".into(), hashes(&info.similar, &metainfo.similar)),
        (
            "collections".into(),
            [&info.collections[..], &metainfo.collections]
                .concat()
                .into(),
        ),
        ("magnet_uri".into(), metainfo.magnet().to_string().into()),
    ]
}

/// The v2 hash; empty where there is none.
fn v2_text(hashes: InfoHashes) -> String {
    let v2 = hashes.v2();
    v2.map_or_else(String::new, |hash| hash.to_string())
}

/// Bytes of the files that are stored: all but padding.
pub fn stored_bytes(files: &Files) -> u64 {
    let stored = (0..files.len()).filter(|&file| !files.is_pad(file));
    stored.filter_map(|file| files.length(file)).sum()
}

/// One record for each file, in the order of the torrent.
pub fn file_fields(files: &Files) -> Vec<Fields> {
    let entries = files.iter().enumerate();
    entries
        .map(|(index, file)| file_record(index, file))
        .collect()
}

/// The record of one file.
pub fn file_record(index: usize, file: FileEntry) -> Fields {
    let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
    vec![
        ("index".into(), index.into()),
        ("path".into(), file.path.into()),
        ("name".into(), name.into()),
        ("size".into(), file.length.into()),
        ("offset".into(), file.offset.into()),
        ("pad".into(), file.pad.into()),
        ("executable".into(), file.executable.into()),
        ("hidden".into(), file.hidden.into()),
        ("symlink".into(), file.symlink.unwrap_or_default().into()),
        ("root_hash".into(), "".into()),
        ("mtime".into(), file.mtime.unwrap_or(0).into()),
    ]
}

fn tracker_fields(tiers: &[Vec<String>]) -> Value {
    let records = tiers.iter().enumerate().flat_map(|(tier, urls)| {
        urls.iter().map(move |url| -> Value {
            let record: Fields = vec![
                ("url".into(), url.clone().into()),
                ("tier".into(), tier.into()),
            ];
            record.into()
        })
    });
    Value::List(records.collect())
}

fn node_fields(nodes: &[(String, u16)]) -> Value {
    let records = nodes.iter().map(|(host, port)| -> Value {
        let record: Fields = vec![
            ("host".into(), host.clone().into()),
            ("port".into(), (*port).into()),
        ];
        record.into()
    });
    Value::List(records.collect())
}

fn hashes(inner: &[InfoHash], outer: &[InfoHash]) -> Value {
    let texts = inner
        .iter()
        .chain(outer)
        .map(|hash| hash.to_string().into());
    Value::List(texts.collect())
}

/// Every field of a magnet link, by the names of the `add_torrent` parameters.
/// `select_only` lists the only files to download and is null for all of them;
/// `magnet_uri` is the link in its usual form, without what was not understood.
pub fn magnet_fields(magnet: &MagnetUri) -> Fields {
    let v1 = magnet.hashes.v1();
    let v1 = v1.map_or_else(String::new, |hash| hash.to_string());
    let peers: Vec<_> = magnet.peers.iter().map(ToString::to_string).collect();
    let selected = magnet
        .select_only
        .as_ref()
        .map(|files| files.iter().map(|file| file.0).collect::<Vec<_>>());
    vec![
        ("info_hash".into(), v1.into()),
        ("info_hash_v2".into(), v2_text(magnet.hashes).into()),
        ("name".into(), magnet.name.clone().into()),
        ("trackers".into(), magnet.trackers.clone().into()),
        ("url_seeds".into(), magnet.url_seeds.clone().into()),
        ("peers".into(), peers.into()),
        ("dht_nodes".into(), node_fields(&magnet.dht_nodes)),
        ("select_only".into(), selected.into()),
        ("magnet_uri".into(), magnet.to_string().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(fields: &'a Fields, name: &str) -> &'a Value {
        &fields.iter().find(|(key, _)| key == name).unwrap().1
    }

    #[test]
    fn a_torrent_file_shows_all_it_says() {
        let pieces = "x".repeat(20);
        let torrent = format!(
            "d8:announce17:http://t/announce7:comment2:hi4:infod5:filesld6:lengthi3e4:pathl1:a1:beed4:attr1:p6:lengthi5e4:pathl4:.pad1:5eee\
             4:name1:n12:piece lengthi16384e6:pieces20:{pieces}ee"
        );
        let fields = info_fields(&Metainfo::parse(torrent.as_bytes()).unwrap());
        assert_eq!(get(&fields, "name"), &Value::from("n"));
        assert_eq!(
            get(&fields, "total_size"),
            &Value::Int(3),
            "without padding"
        );
        assert_eq!(get(&fields, "num_files"), &Value::Int(2));
        let Value::List(files) = get(&fields, "files") else {
            panic!("no list");
        };
        let Value::Map(first) = &files[0] else {
            panic!("no record");
        };
        assert_eq!(get(first, "path"), &Value::from("n/a/b"));
        assert_eq!(get(first, "name"), &Value::from("b"));
        assert!(matches!(get(&fields, "trackers"), Value::List(all) if all.len() == 1));
    }

    #[test]
    fn a_magnet_link_shows_all_it_says() {
        let hash = "01".repeat(20);
        let magnet = MagnetUri::parse(&format!(
            "magnet:?xt=urn:btih:{hash}&dn=n&tr=http%3a%2f%2ft%2f&x.pe=[::1]:9&so=2"
        ))
        .unwrap();
        let fields = magnet_fields(&magnet);
        assert_eq!(get(&fields, "info_hash"), &Value::from(hash));
        assert_eq!(get(&fields, "peers"), &Value::from(vec!["[::1]:9"]));
        assert_eq!(get(&fields, "select_only"), &Value::from(vec![2]));
    }
}
