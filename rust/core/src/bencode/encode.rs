//! Values to bytes, always canonical: sorted keys, no leading zeros.
//!
//! bendy's encoder has no way to place bytes that are bencode already, which
//! the info dict needs (its hash names the torrent), so the few lines are our
//! own and bendy judges them in the tests.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::value::Value;

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An integer.
    Int(i64),
    /// A byte string.
    Bytes(Bytes),
    /// A list.
    List(Vec<Item>),
    /// A dict.
    Dict(DictItem),
    /// One value that is bencode already, written as it is.
    Raw(Bytes),
}

/// A dict to be written; it sorts its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DictItem(BTreeMap<Bytes, Item>);

impl Item {
    /// The bencoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the bencoded form to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Item::Int(value) => out.extend_from_slice(format!("i{value}e").as_bytes()),
            Item::Bytes(bytes) => write_bytes(bytes, out),
            Item::List(items) => {
                out.push(b'l');
                for item in items {
                    item.encode_into(out);
                }
                out.push(b'e');
            }
            Item::Dict(dict) => dict.encode_into(out),
            Item::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl DictItem {
    /// An empty dict.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`, replacing what was there.
    pub fn insert(&mut self, key: impl Into<Bytes>, value: impl Into<Item>) -> &mut Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Sets `key` when there is a value.
    pub fn insert_some(
        &mut self,
        key: impl Into<Bytes>,
        value: Option<impl Into<Item>>,
    ) -> &mut Self {
        if let Some(value) = value {
            self.insert(key, value);
        }
        self
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bencoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the bencoded form to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(b'd');
        for (key, value) in &self.0 {
            write_bytes(key, out);
            value.encode_into(out);
        }
        out.push(b'e');
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Item::Int(value)
    }
}

impl From<u32> for Item {
    fn from(value: u32) -> Self {
        Item::Int(value.into())
    }
}

impl From<bool> for Item {
    fn from(value: bool) -> Self {
        Item::Int(value.into())
    }
}

impl From<&str> for Item {
    fn from(value: &str) -> Self {
        Item::Bytes(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl From<String> for Item {
    fn from(value: String) -> Self {
        Item::Bytes(value.into())
    }
}

impl From<&[u8]> for Item {
    fn from(value: &[u8]) -> Self {
        Item::Bytes(Bytes::copy_from_slice(value))
    }
}

impl<const N: usize> From<[u8; N]> for Item {
    fn from(value: [u8; N]) -> Self {
        Item::Bytes(Bytes::copy_from_slice(&value))
    }
}

impl From<Vec<u8>> for Item {
    fn from(value: Vec<u8>) -> Self {
        Item::Bytes(value.into())
    }
}

impl From<Bytes> for Item {
    fn from(value: Bytes) -> Self {
        Item::Bytes(value)
    }
}

impl From<DictItem> for Item {
    fn from(value: DictItem) -> Self {
        Item::Dict(value)
    }
}

impl From<Value<'_>> for Item {
    /// The value's own bytes, not re-encoded.
    fn from(value: Value<'_>) -> Self {
        Item::Raw(Bytes::copy_from_slice(value.raw()))
    }
}

impl<T: Into<Item>> FromIterator<T> for Item {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Item::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use bendy::decoding::{Decoder, FromBencode};
    use bendy::encoding::Encoder;
    use bendy::value::Value as Bendy;
    use proptest::prelude::*;

    use super::super::{Document, ValueKind};
    use super::*;

    #[test]
    fn keys_are_sorted_as_bytes_and_raw_is_verbatim() {
        let mut dict = DictItem::new();
        dict.insert("b", 1u32)
            .insert("B", "x")
            .insert("aa", Item::from_iter([[1u8; 2]]))
            .insert_some("no", None::<i64>)
            .insert("a", Item::Raw(Bytes::from_static(b"d1:zi01e1:ai2ee")));
        assert_eq!(
            dict.encode().escape_ascii().to_string(),
            r"d1:B1:x1:ad1:zi01e1:ai2ee2:aal2:\x01\x01e1:bi1ee"
        );
    }

    fn items() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Item::from),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Item::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Item::List),
                prop::collection::btree_map(
                    prop::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from),
                    inner,
                    0..6
                )
                .prop_map(|map| Item::Dict(DictItem(map))),
            ]
        })
    }

    fn read_back(value: Value<'_>) -> Item {
        match value.kind() {
            ValueKind::Integer => value.as_int().unwrap().into(),
            ValueKind::Bytes => value.as_bytes().unwrap().into(),
            ValueKind::List => value.as_list().unwrap().iter().map(read_back).collect(),
            ValueKind::Dict => {
                let pairs = value.as_dict().unwrap();
                Item::Dict(DictItem(
                    pairs
                        .iter()
                        .map(|(key, value)| (Bytes::copy_from_slice(key), read_back(value)))
                        .collect(),
                ))
            }
        }
    }

    /// What bendy makes of `data`, all of it.
    fn bendy_reads(data: &[u8]) -> Option<Bendy<'_>> {
        let mut decoder = Decoder::new(data).with_max_depth(90);
        let value = Bendy::decode_bencode_object(decoder.next_object().ok()??).ok()?;
        matches!(decoder.next_object(), Ok(None)).then_some(value)
    }

    fn bendy_writes(value: Bendy<'_>) -> Vec<u8> {
        let mut encoder = Encoder::new().with_max_depth(90);
        encoder.emit(value).unwrap();
        encoder.get_output().unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_canonical_and_reads_back(item in items()) {
            let bytes = item.encode();
            let document = Document::parse(&bytes).unwrap();
            prop_assert_eq!(document.root().check_canonical(), Ok(()));
            prop_assert_eq!(read_back(document.root()), item);
            prop_assert_eq!(bendy_writes(bendy_reads(&bytes).unwrap()), bytes);
        }

        #[test]
        fn any_bytes_are_read_without_panic_and_what_bendy_reads_we_read(
            data in prop::collection::vec(prop_oneof![
                Just(b'd'), Just(b'l'), Just(b'i'), Just(b'e'), Just(b':'), Just(b'-'),
                b'0'..=b'3', any::<u8>(),
            ], 0..60),
        ) {
            let ours = Document::parse(&data);
            if let Ok(document) = &ours {
                let _ = document.root().check_canonical();
                let _ = format!("{:?}", document.root());
            }
            if bendy_reads(&data).is_some() {
                let document = ours.unwrap();
                prop_assert_eq!(document.root().check_canonical(), Ok(()));
            }
        }
    }
}
