//! The in-editor help (F1) as it came through the macros: every member of the
//! written API has a description, and the API reference in `docs/reference` is
//! written from the same text. `UPDATE_DOCS=1 cargo test -p torrent-godot
//! --features docs` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The written API, which the GDScript tests hold the classes against.
const API: &str = include_str!("../../../test/unit/api.txt");
const LATER: &str = include_str!("../../../test/unit/api_later.txt");

/// A class of the written API: its name, and the lines of its members.
struct Class<'a> {
    name: &'a str,
    members: Vec<Member<'a>>,
}

/// One line: `static func name(arguments) -> type`, and so on.
#[derive(Clone, Copy)]
struct Member<'a> {
    kind: &'a str,
    name: &'a str,
    line: &'a str,
}

impl<'a> Member<'a> {
    fn parse(line: &'a str) -> Self {
        let plain = line.strip_prefix("static ").unwrap_or(line);
        let (kind, rest) = plain.split_once(' ').expect(line);
        let name = rest.split(['(', ' ']).next().expect(line);
        Self { kind, name, line }
    }
}

/// The classes of the API, without what comes later.
fn classes() -> Vec<Class<'static>> {
    let later: Vec<&str> = written(LATER)
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    let mut classes: Vec<Class<'_>> = Vec::new();
    for line in written(API) {
        if let Some(name) = line.strip_prefix("class ") {
            let members = Vec::new();
            classes.push(Class { name, members });
            continue;
        }
        let class = classes.last_mut().expect("a member belongs to a class");
        let member = Member::parse(line.trim());
        if !later.contains(&format!("{}.{}", class.name, member.name).as_str()) {
            class.members.push(member);
        }
    }
    classes
}

fn written(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// What the help says: of each class by its name, in brief by `Class:brief` and
/// beyond that by `Class:whole`; of each member by `Class.member`.
fn help() -> BTreeMap<String, String> {
    let mut help = BTreeMap::new();
    for text in godot::docs::__gather_xml_docs() {
        let document = roxmltree::Document::parse(&text).expect("the help is XML");
        let class = document.root_element();
        let name = class.attribute("name").expect("a class has a name");
        let text_of = |node: roxmltree::Node<'_, '_>, tag: &str| {
            let child = node.children().find(|child| child.has_tag_name(tag));
            let text = child.and_then(|child| child.text()).unwrap_or_default();
            text.trim().to_owned()
        };
        let brief = text_of(class, "brief_description");
        let whole = text_of(class, "description");
        help.insert(name.to_owned(), format!("{brief}[br][br]{whole}"));
        help.insert(format!("{name}:brief"), brief);
        help.insert(format!("{name}:whole"), whole);
        for member in class.descendants() {
            let Some(member_name) = member.attribute("name") else {
                continue;
            };
            let text = match member.tag_name().name() {
                "method" | "signal" => text_of(member, "description"),
                "constant" => member.text().unwrap_or_default().trim().to_owned(),
                _ => continue,
            };
            help.insert(format!("{name}.{member_name}"), text);
        }
    }
    help
}

/// The help's markup as Markdown.
fn markdown(help: &str) -> String {
    let mut text = help
        .replace("[codeblock lang=gdscript]", "\n\n```gdscript\n")
        .replace("[/codeblock]", "\n```\n")
        .replace("[br]", "\n")
        .replace("[code]", "`")
        .replace("[/code]", "`")
        .replace("[b]", "**")
        .replace("[/b]", "**")
        .replace("[i]", "*")
        .replace("[/i]", "*");
    for (tag, after) in [
        ("method", "()"),
        ("signal", ""),
        ("constant", ""),
        ("param", ""),
    ] {
        let open = format!("[{tag} ");
        while let Some(at) = text.find(&open) {
            let end = at + text[at..].find(']').expect("a tag ends");
            let name = &text[at + open.len()..end];
            text = format!("{}`{name}{after}`{}", &text[..at], &text[end + 1..]);
        }
    }
    for class in classes() {
        let link = format!("[{0}]({0}.md)", class.name);
        text = text.replace(&format!("[{}]", class.name), &link);
    }
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text.trim().to_owned()
}

/// The page of one class.
fn page(class: &Class<'_>, help: &BTreeMap<String, String>) -> String {
    let mut page = format!("# {}\n\n{}\n", class.name, markdown(&help[class.name]));
    for (kind, title) in [
        ("signal", "Signals"),
        ("func", "Methods"),
        ("const", "Constants"),
    ] {
        let mut members = class.members.iter().filter(|it| it.kind == kind).peekable();
        if members.peek().is_none() {
            continue;
        }
        write!(page, "\n## {title}\n").expect("a String takes it");
        if kind == "const" {
            page.push('\n');
        }
        for member in members {
            let text = markdown(&help[&format!("{}.{}", class.name, member.name)]);
            let line = member.line.strip_prefix("const ").unwrap_or(member.line);
            let line = line.replacen("func ", "", 1).replacen("signal ", "", 1);
            let written = match kind {
                "const" => writeln!(page, "- `{line}`: {text}"),
                _ => write!(page, "\n### `{line}`\n\n{text}\n"),
            };
            written.expect("a String takes it");
        }
    }
    page
}

#[test]
fn every_member_has_a_description() {
    let help = help();
    let mut bare = Vec::new();
    for class in classes() {
        let members = class
            .members
            .iter()
            .map(|member| format!("{}.{}", class.name, member.name));
        let own = ["brief", "whole"].map(|part| format!("{}:{part}", class.name));
        let all = own.into_iter().chain(members);
        bare.extend(all.filter(|name| help.get(name).is_none_or(String::is_empty)));
    }
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

#[test]
fn the_reference_is_up_to_date() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let help = help();
    for class in classes() {
        let path = folder.join(format!("{}.md", class.name));
        let page = page(&class, &help);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page,
            "docs/reference/{}.md is not what the help says: run UPDATE_DOCS=1 cargo test -p torrent-godot --features docs",
            class.name
        );
    }
}
