//! Classes that show one record of the engine: a getter for each field.

use std::sync::Arc;

use godot::builtin::PackedByteArray;
use torrent_engine::core::bitfield::Bitfield;

/// How a field's value reaches a script.
pub(crate) trait ToScript {
    /// The type in the script.
    type Script;
    /// The value in the script.
    fn to_script(&self) -> Self::Script;
}

macro_rules! to_script {
    ($script:ty; $convert:expr; $($field:ty),*) => {
        $(impl ToScript for $field {
            type Script = $script;
            fn to_script(&self) -> $script {
                #[allow(clippy::redundant_closure_call)]
                ($convert)(self)
            }
        })*
    };
}

to_script!(bool; |value: &bool| *value; bool);
to_script!(f64; |value: &f64| *value; f64);
to_script!(i64; |value: &i64| *value; i64);
to_script!(i64; |value: &u16| i64::from(*value); u16);
to_script!(i64; |value: &u32| i64::from(*value); u32);
to_script!(i64; |value: &u64| crate::convert::to_int(*value); u64);
to_script!(i64; |value: &torrent_engine::status::TorrentState| i64::from(value.code()); torrent_engine::status::TorrentState);
to_script!(godot::builtin::GString; |value: &String| godot::builtin::GString::from(value); String);

impl ToScript for Arc<Bitfield> {
    type Script = PackedByteArray;

    /// A byte for each piece: 1 or 0.
    fn to_script(&self) -> PackedByteArray {
        let eight = |&byte: &u8| -> [u8; 8] { std::array::from_fn(|bit| byte >> (7 - bit) & 1) };
        let mut pieces: Vec<u8> = self.as_bytes().iter().flat_map(eight).collect();
        pieces.truncate(self.len() as usize);
        PackedByteArray::from(pieces)
    }
}

/// Writes the methods of a class that shows a record. The methods named before
/// the `getters` are taken as they are; each getter is `name -> type = field`.
/// Attributes pass as plain tokens, because doc comments have to reach the
/// class registration in their own form.
macro_rules! snapshot_methods {
    (
        impl $class:ident {
            $($methods:tt)*
        }
        getters {
            $( $(#[$($meta:tt)*])+ $getter:ident -> $script:ident = $field:ident; )*
        }
    ) => {
        #[godot_api]
        impl $class {
            $($methods)*

            $(
                $(#[$($meta)*])+
                #[func]
                fn $getter(&self) -> $script {
                    $crate::snapshot::ToScript::to_script(&self.record.$field)
                }
            )*
        }

        #[cfg(test)]
        impl $class {
            /// Each getter, and the field that it shows.
            pub(crate) const GETTERS: &[(&str, &str)] =
                &[ $( (stringify!($getter), stringify!($field)), )* ];
        }
    };
}
pub(crate) use snapshot_methods;

#[cfg(test)]
mod tests {
    use torrent_engine::status;

    use crate::peer_info::PeerInfo;
    use crate::torrent_status::TorrentStatus;

    /// Fields without a getter of their own: what else is in the record.
    fn unshown(getters: &[(&str, &str)], record: &torrent_engine::core::value::Fields) -> usize {
        let shown = |name: &str| getters.iter().any(|&(_, field)| field == name);
        record.iter().filter(|(name, _)| !shown(name)).count()
    }

    #[test]
    fn a_getter_shows_the_field_of_its_name() {
        for (getter, field) in [TorrentStatus::GETTERS, PeerInfo::GETTERS].concat() {
            let bare = getter.strip_prefix("get_").unwrap_or(getter);
            // Alone in having no verb in the engine.
            let expected = if bare == "is_paused" { "paused" } else { bare };
            assert_eq!(field, expected, "{getter}");
        }
    }

    #[test]
    fn every_field_has_one_getter() {
        let status = status::TorrentStatus::default().fields();
        assert_eq!(unshown(TorrentStatus::GETTERS, &status), 0);
        assert_eq!(TorrentStatus::GETTERS.len(), status.len());
        let peer = status::PeerInfo::default().fields();
        assert_eq!(unshown(PeerInfo::GETTERS, &peer), 0);
        assert_eq!(PeerInfo::GETTERS.len(), peer.len());
    }
}
