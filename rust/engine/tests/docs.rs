//! The pages of `docs` that are written from the code: settings, alerts,
//! errors, and what is not there yet. `UPDATE_DOCS=1 cargo test -p torrent-engine --test docs` writes them
//! anew.

mod support;

use std::fmt::Write as _;
use std::path::PathBuf;

use support::alerts::{self, type_of};
use support::defaults::DEFAULTS;
use torrent_engine::core::settings::{Effect, SettingInfo, Settings, SettingsError};
use torrent_engine::core::value::Value;
use torrent_engine::error::{ErrorCategory, ErrorKind};
use torrent_engine::event::{AlertPriority, Audience, EventBody, Kind, category, kind};

/// Names that stand for another setting: what they take, and what they do.
const ALIASES: &[(&str, Value, &str, &str)] = &[
    (
        "listen_port",
        Value::Int(7000),
        "listen_interfaces",
        "Listens on this port of all addresses, IPv4 and IPv6; 0 for any free one.",
    ),
    (
        "peer_tos",
        Value::Int(7),
        "peer_dscp",
        "The same, by an old name of libtorrent's.",
    ),
    (
        "enable_utp",
        Value::Bool(true),
        "enable_incoming_utp`, `enable_outgoing_utp",
        "Both at once.",
    ),
];

const PRESETS: [&str; 3] = ["high_throughput", "low_memory", "lan"];

/// The bits of a category and its constant in `AlertManager`.
const CATEGORIES: &[(u32, &str)] = &[
    (category::ERROR, "ERROR"),
    (category::PEER, "PEER"),
    (category::PORT_MAPPING, "PORT_MAPPING"),
    (category::STORAGE, "STORAGE"),
    (category::TRACKER, "TRACKER"),
    (category::CONNECT, "CONNECT"),
    (category::STATUS, "STATUS"),
    (category::IP_BLOCK, "IP_BLOCK"),
    (category::PERFORMANCE_WARNING, "PERFORMANCE_WARNING"),
    (category::DHT, "DHT"),
    (category::STATS, "STATS"),
    (category::SESSION_LOG, "SESSION_LOG"),
    (category::TORRENT_LOG, "TORRENT_LOG"),
    (category::PEER_LOG, "PEER_LOG"),
    (category::INCOMING_REQUEST, "INCOMING_REQUEST"),
    (category::DHT_LOG, "DHT_LOG"),
    (category::DHT_OPERATION, "DHT_OPERATION"),
    (category::PORT_MAPPING_LOG, "PORT_MAPPING_LOG"),
    (category::PICKER_LOG, "PICKER_LOG"),
    (category::FILE_PROGRESS, "FILE_PROGRESS"),
    (category::PIECE_PROGRESS, "PIECE_PROGRESS"),
    (category::UPLOAD, "UPLOAD"),
    (category::BLOCK_PROGRESS, "BLOCK_PROGRESS"),
];

/// Compares a page with the checked-in one, or writes it.
fn check_page(name: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/{name}.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/{name}.md is not what the code says: run UPDATE_DOCS=1 cargo test -p torrent-engine --test docs"
    );
}

/// A row of a Markdown table.
fn row<const N: usize>(page: &mut String, cells: [&str; N]) {
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    writeln!(page, "| {} |", cells.join(" | ")).unwrap();
}

/// A table's head.
fn head<const N: usize>(page: &mut String, cells: [&str; N]) {
    row(page, cells);
    row(page, [(); N].map(|()| "---"));
}

fn code(text: impl std::fmt::Display) -> String {
    format!("`{text}`")
}

/// A value as GDScript writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Str(value) => format!("\"{value}\""),
        other => panic!("a setting cannot be {other:?}"),
    }
}

const SETTINGS: &str = "\
# Settings

Every setting of a session. Names, defaults and meanings are those of libtorrent's `settings_pack` wherever it has them.

```gdscript
session.apply_settings({\"connections_limit\": 50, \"upload_rate_limit\": 200_000})
print(session.get_settings()[\"connections_limit\"])
```

`TorrentSession.get_default_settings()` returns all of them by name. `apply_settings()` takes some of them, before or after the start of the session: it changes all that are named, or, when one of them is unknown or wrong, none, and says which.

When a change counts:

- live: within a second, for everything.
- next: for connections, announces or files that are opened from then on.

This page is written from the code.

";

fn setting_row(page: &mut String, setting: &SettingInfo) {
    let range = setting.range.as_ref();
    let range = range.map_or_else(String::new, |it| format!("{} to {}", it.start(), it.end()));
    let effect = match setting.effect {
        Effect::Live => "live",
        Effect::Next => "next",
    };
    row(
        page,
        [
            &code(setting.name),
            type_of(&setting.default),
            &code(literal(&setting.default)),
            &range,
            setting.unit,
            effect,
            setting.doc,
        ],
    );
}

#[test]
fn settings_page() {
    let mut page = SETTINGS.to_owned();
    let titles = [
        "name",
        "type",
        "default",
        "range",
        "unit",
        "change counts",
        "what it does",
    ];
    head(&mut page, titles);
    for setting in Settings::table() {
        setting_row(&mut page, &setting);
    }

    page.push_str("\n## Why these defaults\n\nDefaults are libtorrent's unless a game is better served by others. What was weighed, for the settings that a game may want to look at first:\n");
    for (topic, words, settings) in DEFAULTS {
        write!(page, "\n### {topic}\n\n").unwrap();
        if !words.is_empty() {
            write!(page, "{words}\n\n").unwrap();
        }
        for (name, why) in *settings {
            let table = Settings::table();
            let known = table.iter().find(|row| row.name == *name);
            let known = known.unwrap_or_else(|| panic!("{name} is no setting"));
            let default = code(literal(&known.default));
            writeln!(page, "- {} ({default}): {why}.", code(name)).unwrap();
        }
    }

    page.push_str("\n## Presets\n\n`TorrentSession.get_settings_preset(name)` returns all settings for a purpose: \"default\", or one of these, which differ from it as follows.\n");
    let table = Settings::table();
    for name in PRESETS {
        let preset = Settings::preset(name).unwrap();
        write!(page, "\n\"{name}\":\n\n").unwrap();
        for (setting, value) in preset.values() {
            let row = table.iter().find(|row| row.name == setting);
            if let Some(row) = row.filter(|row| row.default != value) {
                let default = literal(&row.default);
                let value = literal(&value);
                writeln!(page, "- `{setting}`: {value} instead of {default}").unwrap();
            }
        }
    }

    page.push_str("\n## Other names\n\nA name that stands for another setting:\n\n");
    head(&mut page, ["name", "type", "sets", "what it does"]);
    for (name, value, target, doc) in ALIASES {
        row(&mut page, [&code(name), type_of(value), &code(target), doc]);
    }
    page.push_str("\nNames of libtorrent's that take any value of their type and change nothing, because this library has nothing that they could change:\n\n");
    for known in Settings::accepted_without_effect() {
        writeln!(page, "- `{}`: {}", known.name, known.reason).unwrap();
    }
    page.push_str("\nNames of features that are not there. They accept the values that ask for nothing, so that a dictionary which turns them off keeps working; any other value is refused with an error that names the setting.\n");
    let mut feature = "";
    for known in Settings::unsupported() {
        if known.feature != feature {
            feature = known.feature;
            write!(page, "\nOf {feature}:\n\n").unwrap();
        }
        let accepted: Vec<_> = known.accepted.iter().map(literal).collect();
        writeln!(page, "- `{}`: only {}", known.name, accepted.join(" or ")).unwrap();
    }
    check_page("settings", &page);
}

#[test]
fn aliases_set_what_is_written() {
    for (name, value, target, _) in ALIASES {
        let mut changed = Settings::default();
        changed.apply([(*name, value)]).unwrap();
        let before = Settings::default().values();
        let differ = changed.values().into_iter().zip(before);
        let differ: Vec<_> = differ.filter(|(now, before)| now != before).collect();
        let names: Vec<_> = differ.iter().map(|((name, _), _)| *name).collect();
        assert_eq!(names.join("`, `"), *target, "{name}");
    }
}

#[test]
fn the_other_names_do_what_is_written() {
    let defaults = Settings::default();
    for known in Settings::accepted_without_effect() {
        let mut changed = defaults.clone();
        let value = match known.default {
            Value::Bool(default) => Value::Bool(!default),
            Value::Int(default) => Value::Int(default + 3),
            _ => Value::from("other"),
        };
        changed.apply([(known.name, &value)]).unwrap();
        assert_eq!(changed, defaults, "{} has an effect", known.name);
    }
    for known in Settings::unsupported() {
        let on = match known.value {
            Value::Bool(off) => Value::Bool(!off),
            Value::Int(off) => Value::Int(off + 1),
            _ => Value::from("other"),
        };
        let mut changed = defaults.clone();
        changed.apply([(known.name, &known.value)]).unwrap();
        let error = changed.apply([(known.name, &on)]).unwrap_err();
        assert!(matches!(error, SettingsError::Unsupported { name, .. } if name == known.name));
        assert_eq!(changed, defaults, "{} has an effect", known.name);
    }
}

const ALERTS: &str = "\
# Alerts

An alert is a Dictionary that says that something happened. Signals of `TorrentSession` and `TorrentHandle` cover what most games need; alerts say more, and can be kept and searched. [AlertManager](reference/AlertManager.md) is the queue in which they wait.

```gdscript
var alerts := session.get_alert_manager()
alerts.set_alert_mask(AlertManager.CATEGORY_ERROR | AlertManager.CATEGORY_TRACKER)
for alert in alerts.pop_alerts():
    print(alert.type_name, \": \", alert.message)
```

An alert is made when one of its categories is in the mask; at first only `CATEGORY_ERROR` is. The priority counts when the queue is full: normal alerts are dropped first, high ones get twice the room, critical ones three times.

Every alert has these fields:

| field | type | meaning |
| --- | --- | --- |
| `type` | int | the number below |
| `type_name`, `what` | String | the name below |
| `category` | int | the sum of its `CATEGORY_` constants |
| `timestamp_ms` | int | Unix time in milliseconds |
| `message` | String | one line for people |
| `info_hash` | String | the torrent, where it concerns one |

Beside those, each has the fields in the last column. Numbers, names and categories are libtorrent's; a number above 10000 is of our own. This page is written from the code, and every alert that the engine's transfer tests see is compared with it.

";

fn alert_row(page: &mut String, kind: Kind, meaning: &str, fields: &str) {
    let mut categories: Vec<_> = CATEGORIES
        .iter()
        .filter(|(bit, _)| kind.category & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if kind.category == 0 {
        categories.push("always");
    }
    let priority = match kind.priority {
        AlertPriority::Normal => "normal",
        AlertPriority::High => "high",
        AlertPriority::Critical => "critical",
        AlertPriority::Meta => "always kept",
    };
    let number = kind.number.to_string();
    let cells = [
        &number,
        &code(kind.name),
        &categories.join(", "),
        priority,
        meaning,
        fields,
    ];
    row(page, cells);
}

#[test]
fn alerts_page() {
    let groups = alerts::groups();
    let mut page = ALERTS.to_owned();
    let titles = [
        "number",
        "name",
        "categories",
        "priority",
        "meaning",
        "fields",
    ];
    head(&mut page, titles);
    for &kind in kind::ALL {
        if kind.audience == Audience::Signals {
            continue;
        }
        let mut meanings = Vec::new();
        let mut fields = Vec::new();
        for group in &groups {
            let is_it = |(example, _): &&(EventBody, &str)| example.kind().number == kind.number;
            if let Some((example, meaning)) = group.examples.iter().find(is_it) {
                meanings.extend(Some(*meaning).filter(|it| !it.is_empty()));
                let own = alerts::fields(example);
                let own = own.iter().map(|(name, of)| format!("`{name}`: {of}"));
                fields.push(own.collect::<Vec<_>>().join(", "));
            }
        }
        assert!(
            meanings.len() == 1,
            "tests/support/alerts.rs does not say what {} means",
            kind.name
        );
        fields.retain(|it| !it.is_empty());
        let own = fields.join("; or ");
        alert_row(&mut page, kind, meanings[0], &own);
    }
    check_page("alerts", &page);
}

const ERRORS: &str = "\
# Errors

A call that fails returns `null`, `false` or something empty, prints one error that names the class, the method and the reason, and leaves it in `session.get_last_error()`.

```gdscript
if session.add_torrent_file(data, \"\") == null:
    var error := session.get_last_error()
    print(error.get_code(), \" \", error.get_message())
    assert(error.get_code() == TorrentError.EMPTY_SAVE_PATH)
```

The codes stay the same from version to version; the hundreds are the category. \"Recoverable\" means that trying again, perhaps after a correction, can help. The message of an error is often more precise than the words here. This page is written from the code.

| code | constant of TorrentError | category | recoverable | meaning |
| --- | --- | --- | --- | --- |
";

#[test]
fn errors_page() {
    let mut page = ERRORS.to_owned();
    for kind in ErrorKind::ALL {
        let category = match kind.category() {
            ErrorCategory::None => "NONE".to_owned(),
            other => format!("{}_ERROR", format!("{other:?}").to_uppercase()),
        };
        let recoverable = if kind.is_recoverable() { "yes" } else { "no" };
        let cells = [
            &kind.code().to_string(),
            &code(kind.name()),
            &code(category),
            recoverable,
            kind.message(),
        ];
        row(&mut page, cells);
    }
    check_page("errors", &page);
}

const LATER: &str = include_str!("../../../test/unit/api_later.txt");

/// Members of the API by the feature that they wait for, in the order of the
/// list.
fn later() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut features: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in LATER.lines().filter(|line| !line.starts_with('#')) {
        let Some((member, feature)) = line.split_once(": ") else {
            continue;
        };
        match features.iter_mut().find(|(known, _)| *known == feature) {
            Some((_, members)) => members.push(member),
            None => features.push((feature, vec![member])),
        }
    }
    features
}

#[test]
fn not_there_yet_page() {
    let mut page = "\
# Not there yet

Members of the API that rest on a feature which the library does not have yet. They are not registered before the feature works: a script that calls one fails with an error, as for any unknown method. This page is written from the list that the tests hold the classes against.

"
    .to_owned();
    head(&mut page, ["feature", "members"]);
    for (feature, members) in later() {
        let members: Vec<_> = members.into_iter().map(code).collect();
        row(&mut page, [feature, &members.join(", ")]);
    }
    check_page("not-there-yet", &page);
}
