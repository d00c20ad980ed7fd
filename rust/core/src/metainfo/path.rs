//! File names that strangers chose, made safe to create.
//!
//! Every element of every path in a torrent passes [`push_element`], be it
//! from a .torrent file or from metadata that peers sent. What comes out has
//! no separators, is never `.` or `..`, is valid UTF-8 without control and
//! invisible characters, and is short enough for every file system.

use super::text::decode_char;

/// Which file system's rules the names must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathPolicy {
    /// Linux and other Unix systems: everything but separators and controls.
    Posix,
    /// macOS and iOS: as Posix, but the case of letters does not tell names
    /// apart.
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

    /// Puts the folded form of `path` into `folded`, which must be empty. Two
    /// paths with the same folded form cannot both exist. Letters beyond
    /// ASCII are folded only where the file system does it.
    pub(super) fn fold_into(self, path: &str, folded: &mut String) {
        match self {
            Self::Posix => {
                folded.push_str(path);
                folded.make_ascii_lowercase();
            }
            Self::Apple | Self::Android | Self::Windows => folded.push_str(&path.to_lowercase()),
        }
    }
}

/// Where a long name is cut: in bytes, on Windows in characters.
const MAX_ELEMENT: usize = 240;
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
            PathPolicy::Windows => 1,
            _ => kept.len_utf8(),
        };
        if size >= MAX_ELEMENT && !cut {
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
    if policy == PathPolicy::Windows {
        name.truncate(name.trim_end_matches([' ', '.']).len());
        if is_windows_device(&name) {
            name.insert(0, '_');
        }
    }
    name
}

/// Separators, NUL, and characters that nobody sees and that make one name look
/// like another: zero-width ones, and those that change the writing direction.
fn is_dropped(c: char) -> bool {
    matches!(
        c,
        '/' | '\\'
            | '\0'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
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
                prop_assert!(name.chars().count() <= 250);
                prop_assert!(policy == PathPolicy::Windows || name.len() <= 255);
                // Cutting aside, a safe name is left alone.
                if name.len() < MAX_ELEMENT {
                    prop_assert_eq!(element(name.as_bytes(), policy), name);
                }
            }
        }
    }
}
