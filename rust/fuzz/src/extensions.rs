//! Payloads of the extension protocol (BEP 10): its handshake, ut_metadata,
//! ut_pex and the others that we know. The first byte says which.

use torrent_core::ext::{
    ExtendedHandshake, MetadataMessage, PexMessage, decode_dont_have, decode_upload_only,
};

pub(crate) fn payload(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 5 {
        0 => {
            if let Ok(handshake) = ExtendedHandshake::decode(data) {
                let again = ExtendedHandshake::decode(&handshake.encode()).expect("what we wrote");
                assert_eq!(again, handshake);
            }
        }
        1 => {
            if let Ok(message) = MetadataMessage::decode(data) {
                let mut written = message.encode_head();
                if let MetadataMessage::Data { data, .. } = message {
                    written.extend_from_slice(data);
                }
                if message != MetadataMessage::Unknown {
                    assert_eq!(MetadataMessage::decode(&written), Ok(message));
                }
            }
        }
        2 => drop(decode_upload_only(data)),
        3 => {
            if let Ok(message) = PexMessage::decode(data) {
                assert_eq!(PexMessage::decode(&message.encode()), Ok(message));
            }
        }
        _ => drop(decode_dont_have(data)),
    }
}
