//! File names from outside, made safe to create.
//!
//! Every element of every path in a torrent passes [`push_element`], be it
//! from a .torrent file or from metadata that peers sent. What comes out has
//! no separators, is never `.` or `..`, is valid UTF-8 without control and
//! invisible characters, and is short enough for every file system.

use crate::text::decode_char;

/// Which file system's rules the names must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathPolicy {
    /// Linux and other Unix systems: everything but separators and controls.
    Posix,
    /// macOS and iOS: as Posix, but the case of letters does not distinguish
    /// names.
    Apple,
    /// Android, whose shared storage behaves like FAT.
    Android,
    /// Windows.
    Windows,
}

impl PathPolicy {
    /// The policy of the system that this was compiled for.
    pub const HOST: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "android") {
        Self::Android
    } else if cfg!(target_vendor = "apple") {
        Self::Apple
    } else {
        Self::Posix
    };

    /// Whether a name may contain `c`.
    fn allows(self, c: char) -> bool {
        let refused = match self {
            Self::Posix | Self::Apple => "",
            Self::Android => "\"*:<>?|",
            Self::Windows => "?<>\"|*:",
        };
        !c.is_control() && !refused.contains(c)
    }

    /// Whether the file system stores a file under `name`, one element of a
    /// path, as it is: without a character that it refuses, and none that Windows
    /// takes for another name or for a device.
    pub fn can_store(self, name: &str) -> bool {
        let is_refused = |c| match self {
            Self::Windows => c < ' ' || "/\\?<>\"|*:".contains(c),
            Self::Posix | Self::Apple | Self::Android => matches!(c, '/' | '\0'),
        };
        let is_another =
            self == Self::Windows && (name.ends_with([' ', '.']) || is_windows_device(name));
        !name.is_empty() && !name.contains(is_refused) && !is_another
    }

    /// Whether `name`, one element of a path, is longer than file systems take.
    pub fn is_too_long(self, name: &str) -> bool {
        self.units(name) > MAX_ELEMENT
    }

    /// The length of a name as the file system counts it.
    fn units(self, name: &str) -> usize {
        match self {
            Self::Windows => name.encode_utf16().count(),
            _ => name.len(),
        }
    }

    /// Puts the folded form of `path` into `folded`, which must be empty. Two
    /// paths with the same folded form cannot both exist. Letters beyond
    /// ASCII are folded only where the file system does it.
    pub fn fold_into(self, path: &str, folded: &mut String) {
        match self {
            Self::Posix => {
                folded.push_str(path);
                folded.make_ascii_lowercase();
            }
            Self::Apple | Self::Android | Self::Windows => folded.push_str(&path.to_lowercase()),
        }
    }
}

/// The longest name that is kept as it is: in bytes, on Windows in UTF-16 code
/// units. File systems take no longer ones.
const MAX_ELEMENT: usize = 255;
/// Where a longer name is cut, as libtorrent does, in the same units.
const CUT: usize = 240;
/// How much of a long name's end is searched for an extension, in bytes.
const MAX_EXTENSION: usize = 9;

/// Appends one path element, made safe, to `path`. An element of which nothing
/// remains becomes `_` if `required`, else is left out.
pub(super) fn push_element(path: &mut String, element: &[u8], required: bool, policy: PathPolicy) {
    let mut name = sanitise(element, policy);
    if matches!(name.as_str(), "" | "." | "..") {
        // An empty element is there on purpose; it gets a name in any case.
        if !required && !element.is_empty() {
            return;
        }
        name = "_".to_owned();
    }
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(&name);
}

fn sanitise(element: &[u8], policy: PathPolicy) -> String {
    let mut name = replace(element, policy, usize::MAX, MAX_ELEMENT)
        .or_else(|| replace(element, policy, CUT, usize::MAX))
        .unwrap_or_default();
    if policy == PathPolicy::Windows {
        name.truncate(name.trim_end_matches([' ', '.']).len());
        if is_windows_device(&name) {
            name.insert(0, '_');
            shorten(&mut name, MAX_ELEMENT, policy);
        }
    }
    name
}

/// Another name for a file whose own is taken: `name.1.ext`, shortened where
/// the number makes it too long.
pub(super) fn numbered(name: &str, number: u32, policy: PathPolicy) -> String {
    let (stem, extension) = name.split_at(name.rfind('.').unwrap_or(name.len()));
    let mut stem = stem.to_owned();
    let mut suffix = format!(".{number}{extension}");
    let mut room = MAX_ELEMENT.saturating_sub(policy.units(&suffix));
    if room == 0 {
        // No extension is that long.
        stem = name.to_owned();
        suffix = format!(".{number}");
        room = MAX_ELEMENT.saturating_sub(suffix.len());
    }
    shorten(&mut stem, room, policy);
    stem + &suffix
}

/// Cuts a name to `room` units.
fn shorten(name: &mut String, room: usize, policy: PathPolicy) {
    while policy.units(name) > room {
        name.pop();
    }
}

/// Replaces and drops what a name may not contain, and cuts it at `cut_at` units,
/// its extension aside. `None` when the result is longer than `limit`.
fn replace(element: &[u8], policy: PathPolicy, cut_at: usize, limit: usize) -> Option<String> {
    let mut name = String::new();
    let mut size = 0;
    let mut cut = false;
    let mut at = 0;
    while let Some(rest) = element.get(at..).filter(|rest| !rest.is_empty()) {
        let (decoded, length) = decode_char(rest);
        let here = at;
        at += length;
        let kept = match decoded {
            Some(c) if is_dropped(c) => continue,
            Some(c) if policy.allows(c) => c,
            _ => '_',
        };
        name.push(kept);
        size += match policy {
            PathPolicy::Windows => kept.len_utf16(),
            _ => kept.len_utf8(),
        };
        if size > limit {
            return None;
        }
        if size >= cut_at && !cut {
            // The end of the name, from its last dot, is kept: what opens a
            // file depends on it.
            cut = true;
            let tail = element.len().saturating_sub(MAX_EXTENSION).max(here + 1);
            match element.iter().rposition(|&byte| byte == b'.') {
                Some(dot) if dot >= tail => at = dot,
                _ => break,
            }
        }
    }
    Some(name)
}

/// Separators, NUL, and characters that are not seen and make one name look like
/// another: zero-width ones, and those that change the writing direction. The
/// zero-width (non-)joiner is kept, unlike in libtorrent: Persian, the languages
/// of India and emoji are written with it, and a file made elsewhere must be
/// found under its name.
fn is_dropped(c: char) -> bool {
    matches!(
        c,
        '/' | '\\'
            | '\0'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// Names that Windows takes for devices, with any extension.
fn is_windows_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CLOCK$" | "CONIN$" | "CONOUT$" => true,
        _ => ["COM", "LPT"].iter().any(|port| {
            stem.strip_prefix(port).is_some_and(|rest| {
                let mut digits = rest.chars();
                matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³'))
                    && digits.next().is_none()
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(bytes: &[u8], policy: PathPolicy) -> String {
        let mut path = String::new();
        push_element(&mut path, bytes, true, policy);
        path
    }

    fn posix(bytes: impl AsRef<[u8]>) -> String {
        element(bytes.as_ref(), PathPolicy::Posix)
    }

    #[test]
    fn hostile_names_lose_their_teeth() {
        let table: &[(&[u8], &str)] = &[
            (b"..", "_"),
            (b".", "_"),
            (b"", "_"),
            (b"...", "..."),
            (b"/", "_"),
            (b"/..", "_"),
            (b".\\.", "_"),
            (b"/etc/passwd", "etcpasswd"),
            (b"../../etc", "....etc"),
            (b"a/b\\c", "abc"),
            (b"C:\\x", "C:x"),
            (b"nul\0l", "null"),
            (b"a\x1b[31m\x7f", "a_[31m_"),
            (b"\xc2\x85x", "_x"),
            (b"\xc0\xae\xc0\xae", "__"),
            (b"CON", "CON"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.exe"),
            ("a\u{200b}b\u{feff}".as_bytes(), "ab"),
            ("\u{200b}.".as_bytes(), "_"),
            (".\u{2066}.".as_bytes(), "_"),
        ];
        for (bytes, expected) in table {
            assert_eq!(posix(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn joiners_emoji_and_names_as_long_as_they_can_be_are_kept() {
        for name in [
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.txt",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}.png",
            "\u{2764}\u{fe0f}\u{1f3ae}",
            &"x".repeat(255),
            &format!("{}.mkv", "y".repeat(251)),
            &format!("{}.a-long-extension", "z".repeat(238)),
            &"\u{1f3ae}".repeat(63),
        ] {
            assert_eq!(posix(name), name);
        }
        let emoji = "\u{1f3ae}".repeat(127);
        assert_eq!(element(emoji.as_bytes(), PathPolicy::Windows), emoji);
        let more = element("\u{1f3ae}".repeat(128).as_bytes(), PathPolicy::Windows);
        assert_eq!(more.encode_utf16().count(), 240);
        assert_eq!(posix("a\u{200e}\u{200f}\u{202a}\u{2066}\u{feff}b"), "ab");
    }

    #[test]
    fn numbered_names_are_no_longer_than_others() {
        let policy = PathPolicy::Posix;
        assert_eq!(numbered("a.tar.gz", 2, policy), "a.tar.2.gz");
        assert_eq!(numbered("a", 12, policy), "a.12");
        assert_eq!(numbered(".pad", 1, policy), ".1.pad");
        let long = format!("{}.mkv", "ü".repeat(125));
        let other = numbered(&long, 500, policy);
        assert_eq!(other, format!("{}.500.mkv", "ü".repeat(123)));
        let odd = numbered(&format!(".{}", "x".repeat(254)), 3, policy);
        assert_eq!(odd.len(), 255);
        assert!(odd.ends_with("x.3"));
    }

    #[test]
    fn optional_elements_may_vanish() {
        let mut path = String::from("a");
        for element in ["..", ".", "/", "\u{200b}"] {
            push_element(&mut path, element.as_bytes(), false, PathPolicy::Posix);
        }
        assert_eq!(path, "a");
        push_element(&mut path, b"", false, PathPolicy::Posix);
        assert_eq!(path, "a/_");
    }

    #[test]
    fn long_names_are_cut_and_keep_a_short_extension() {
        let long = "x".repeat(300);
        assert_eq!(posix(&long), "x".repeat(240));
        assert_eq!(
            posix(format!("{long}.mkv")),
            format!("{}.mkv", "x".repeat(240))
        );
        assert_eq!(
            posix(format!("{long}.12345678")),
            format!("{}.12345678", "x".repeat(240))
        );
        assert_eq!(posix(format!("{long}.123456789")), "x".repeat(240));
        let wide = "ü".repeat(300);
        assert_eq!(posix(&wide), "ü".repeat(120));
        assert_eq!(
            element(wide.as_bytes(), PathPolicy::Windows),
            "ü".repeat(240)
        );
        assert_eq!(posix(vec![1; 300]), "_".repeat(240));
    }

    #[test]
    fn windows_and_android_refuse_more() {
        use PathPolicy::{Android, Windows};
        let table: &[(&str, PathPolicy, &str)] = &[
            ("a?<>\"|*:b", Windows, "a_______b"),
            ("a?<>\"|*:b", Android, "a_______b"),
            ("C:\\x", Windows, "C_x"),
            ("name. . ", Windows, "name"),
            (". .", Windows, "_"),
            ("name. . ", Android, "name. . "),
            ("con", Windows, "_con"),
            ("Aux.txt", Windows, "_Aux.txt"),
            ("nul .tar.gz", Windows, "_nul .tar.gz"),
            ("COM1", Windows, "_COM1"),
            ("lpt¹.x", Windows, "_lpt¹.x"),
            ("com10", Windows, "com10"),
            ("console", Windows, "console"),
            ("CON", Android, "CON"),
        ];
        for (name, policy, expected) in table {
            assert_eq!(element(name.as_bytes(), *policy), *expected, "{name}");
        }
    }

    #[test]
    fn what_a_file_system_cannot_store_is_known() {
        use PathPolicy::{Android, Apple, Posix, Windows};
        let emoji = "\u{1f3ae}".repeat(127);
        for name in ["a.b", "console", "com10", "nul_", ".a", "a b", "\u{7f}"] {
            for policy in [Posix, Apple, Android, Windows] {
                assert!(policy.can_store(name), "{name} by {policy:?}");
            }
        }
        for name in [
            "a.", "a ", "a. ", "CON", "nul.txt", "Com1", "lpt9 .x", "aux", "a:b", "a?", "a\\b",
            "a\u{1}", "a\"", "con .", "CONIN$",
        ] {
            assert!(Posix.can_store(name) && !Windows.can_store(name), "{name}");
        }
        assert!(Posix.is_too_long(&emoji) && !Windows.is_too_long(&emoji));
        assert!(Windows.is_too_long(&"n".repeat(256)));
        for name in ["", "a/b", "a\0"] {
            assert!(!Posix.can_store(name) && !Windows.can_store(name), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_comes_in_a_plain_name_comes_out(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(b'.'), Just(b'/'), Just(b'\\'), Just(0xe2), Just(0x80),
            ], 0..400),
        ) {
            for policy in [PathPolicy::Posix, PathPolicy::Apple, PathPolicy::Android, PathPolicy::Windows] {
                let name = element(&bytes, policy);
                prop_assert!(!matches!(name.as_str(), "" | "." | ".."));
                prop_assert!(!name.contains(['/', '\\', '\0']));
                prop_assert!(name.encode_utf16().count() <= 255);
                prop_assert!(policy == PathPolicy::Windows || name.len() <= 255);
                prop_assert!(policy.can_store(&name) && !policy.is_too_long(&name));
                // Cutting aside, a safe name is left alone.
                if name.len() <= MAX_ELEMENT {
                    prop_assert_eq!(element(name.as_bytes(), policy), name);
                }
            }
        }
    }
}
