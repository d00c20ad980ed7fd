//! The reader itself.

use super::source::{functions, paths, structs, tokens};

fn named(text: &str) -> Vec<String> {
    let found = paths(&tokens(text)).into_iter();
    let mut all: Vec<String> = found
        .map(|it| {
            let within = it.within.iter().map(|name| format!("{name}/"));
            let within: String = within.collect();
            format!("{}:{within}{}", it.line, it.segments.join("::"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn imports_with_braces_and_other_names_are_read() {
    let text = "use crate::net::{self, dial::{Dialler, *}, listen as ears};\n\
                pub(crate) use super::a::B as C;";
    let expected = [
        "1:crate::net",
        "1:crate::net::dial::*",
        "1:crate::net::dial::Dialler",
        "1:crate::net::listen",
        "2:super::a::B",
    ];
    assert_eq!(named(text), expected);
}

#[test]
fn a_name_within_lines_of_braces_has_its_own_line() {
    assert_eq!(
        named("use crate::{\n    a::B,\n    c::D,\n};"),
        ["2:crate::a::B", "3:crate::c::D"]
    );
}

#[test]
fn paths_in_code_are_read() {
    let text = "fn f(x: crate::a::B) -> Vec<super::C> { ..crate::d::E::new() }";
    assert_eq!(
        named(text),
        ["1:crate::a::B", "1:crate::d::E::new", "1:super::C"]
    );
    assert_eq!(
        named("pub(in crate::x) fn f() { y.z::<u8>() }"),
        ["1:crate::x"]
    );
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = "//! crate::a::B\n/// [`crate::c`]\n/* /* crate::d::E */ crate::f */\n\
                const X: &str = \"crate::g::\\\"H\";\nconst Y: &str = r#\"crate::\"i\"#;\n\
                const Z: [char; 2] = ['\"', '\\''];\nfn f<'a>(x: &'a crate::j::K) {}\n\
                const B: &[u8] = b\"crate::l::M\";";
    assert_eq!(named(text), ["7:crate::j::K"]);
}

#[test]
fn what_only_tests_compile_is_left_out() {
    let text = "#[cfg(test)]\nmod tests { use crate::a::B; }\n\
                #[cfg(test)]\nuse crate::{c::D, e::F};\n\
                #[cfg(test)]\n#[allow(unused)]\nfn f(x: [u8; 2]) { crate::g::h() }\n\
                use crate::i::J;";
    assert_eq!(named(text), ["8:crate::i::J"]);
}

#[test]
fn inline_modules_are_known() {
    let text = "mod a { mod b { use super::super::C; } use super::D; } use self::e::F;";
    assert_eq!(
        named(text),
        ["1:a/b/super::super::C", "1:a/super::D", "1:self::e::F"]
    );
}

#[test]
fn functions_have_lengths() {
    let text = "trait T { fn a(&self); fn b() {\n\n} }\nfn c<F: Fn(u8)>(x: [u8; 3]) -> u8 {\n 1 }";
    let found = functions(&tokens(text)).into_iter();
    let found: Vec<_> = found.map(|it| (it.name, it.line, it.lines)).collect();
    assert_eq!(found, [("b".into(), 1, 3), ("c".into(), 4, 2)]);
}

#[test]
fn structs_have_fields() {
    let text = "struct A { pub x: u8, pub(crate) y: [u8; 3], z: std::fmt::Error }\n\
                struct B<T: Clone>(T);\nstruct C;\nstruct D<T: Fn(u8)> where T: Copy { t: T }";
    let found = structs(&tokens(text)).into_iter();
    let found: Vec<_> = found.map(|it| (it.name, it.line, it.fields)).collect();
    assert_eq!(found, [("A".into(), 1, 3), ("D".into(), 4, 1)]);
}
