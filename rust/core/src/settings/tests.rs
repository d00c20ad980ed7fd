use super::presets::PRESETS;
use super::*;

#[test]
fn a_patch_applies_as_a_whole_or_not_at_all() {
    let mut settings = Settings::default();
    let good = Value::Int(50);
    let bad = Value::Int(-5);
    let error = settings
        .apply([("connections_limit", &good), ("file_pool_size", &bad)])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting 'file_pool_size' must be between 1 and 4096, not -5"
    );
    assert_eq!(settings, Settings::default());
    settings.apply([("connections_limit", &good)]).unwrap();
    assert_eq!(settings.connections_limit, 50);
}

#[test]
fn refusals_name_the_setting() {
    let mut settings = Settings::default();
    let mut refuse =
        |name: &str, value: Value| settings.apply([(name, &value)]).unwrap_err().to_string();
    assert_eq!(
        refuse("no_such", Value::Int(1)),
        "unknown setting 'no_such'"
    );
    assert_eq!(
        refuse("user_agent", Value::Int(1)),
        "setting 'user_agent' takes text"
    );
    assert!(refuse("enable_dht", Value::Bool(true)).contains("enable_dht"));
    assert!(refuse("listen_interfaces", "localhost:x".into()).contains("localhost:x"));
    assert!(refuse("peer_fingerprint", "x".repeat(21).into()).contains("peer_fingerprint"));
}

#[test]
fn off_values_and_whole_floats_are_taken() {
    let mut settings = Settings::default();
    settings
        .apply([
            ("enable_dht", &Value::Bool(false)),
            ("listen_port", &Value::Float(7000.0)),
        ])
        .unwrap();
    assert_eq!(settings.listen_interfaces, "0.0.0.0:7000,[::]:7000");
    assert_eq!(settings.listen().unwrap().len(), 2);
    assert_eq!(settings.value("enable_dht"), Some(Value::Bool(false)));
}

#[test]
fn names_without_effect_are_taken_with_the_right_type() {
    let mut settings = Settings::default();
    settings
        .apply([("hashing_threads", &Value::Int(7))])
        .unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.value("hashing_threads"), Some(Value::Int(1)));
    let error = settings.apply([("hashing_threads", &"x".into())]);
    assert!(error.unwrap_err().to_string().contains("hashing_threads"));
}

/// libtorrent's settings and their defaults: a name and JSON on each line.
const LIBTORRENT: &str = include_str!("libtorrent_defaults.txt");

fn libtorrent() -> impl Iterator<Item = (&'static str, Value)> {
    LIBTORRENT.lines().map(|line| {
        let (name, value) = line.split_once(' ').unwrap();
        let text = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let value = match (value, text) {
            ("true" | "false", _) => Value::Bool(value == "true"),
            (_, Some(text)) => text.into(),
            (number, None) => Value::Int(number.parse().unwrap()),
        };
        (name, value)
    })
}

#[test]
fn every_name_of_libtorrents_is_of_exactly_one_class() {
    let rows = Settings::table();
    let (refused, ignored) = (Settings::unsupported(), Settings::accepted_without_effect());
    for (name, _) in libtorrent() {
        let classes = [
            rows.iter().filter(|row| row.name == name).count(),
            refused.iter().filter(|row| row.name == name).count(),
            ignored.iter().filter(|row| row.name == name).count(),
        ];
        assert_eq!(classes.iter().sum::<usize>(), 1, "{name}: {classes:?}");
    }
    // Beyond those: names for whole features, and names of our own.
    let known: Vec<_> = libtorrent().map(|(name, _)| name).collect();
    let own = |name: &&'static str| !known.contains(name);
    let of_features: Vec<_> = refused.iter().map(|row| row.name).filter(own).collect();
    assert!(of_features.is_empty(), "{of_features:?}");
    assert!(ignored.iter().map(|row| row.name).all(|name| !own(&name)));
    let of_table: Vec<_> = rows.iter().map(|row| row.name).filter(own).collect();
    assert_eq!(
        of_table,
        [
            "max_connections_per_ip",
            "enable_pex",
            "idle_buffer_time",
            "performance_monitors",
            "status_update_interval"
        ]
    );
}

/// Defaults that are not libtorrent's, and why.
const OTHER_DEFAULTS: &[(&str, &str)] = &[
    ("user_agent", "it names the client"),
    ("peer_fingerprint", "it names the client"),
    (
        "half_open_limit",
        "it has an effect here, where libtorrent left it without one; 0 is no limit in both",
    ),
    (
        "allow_multiple_connections_per_ip",
        "players share addresses; max_connections_per_ip bounds them",
    ),
    (
        "enable_incoming_utp",
        "it is new, and off for the time being",
    ),
    (
        "enable_outgoing_utp",
        "it is new, and off for the time being",
    ),
    (
        "ignore_limits_on_local_network",
        "it has an effect here, and limits hold for everybody unless told otherwise",
    ),
];

#[test]
fn defaults_are_libtorrents_but_for_those_that_are_listed() {
    let defaults = Settings::default();
    for (name, default) in libtorrent() {
        let is_row = Settings::table().iter().any(|row| row.name == name);
        let listed = OTHER_DEFAULTS.iter().any(|(other, _)| *other == name);
        let same = defaults.value(name) == Some(default.clone());
        assert!(!is_row || same != listed, "{name}: {default:?}");
        if let Some(ignored) = Settings::accepted_without_effect()
            .iter()
            .find(|row| row.name == name)
        {
            assert_eq!(ignored.default, default, "{name}");
        }
    }
}

#[test]
fn what_is_not_supported_takes_what_asks_for_nothing() {
    for row in Settings::unsupported() {
        let mut settings = Settings::default();
        for value in &row.accepted {
            settings.apply([(row.name, value)]).unwrap();
        }
        let other = match &row.value {
            Value::Bool(on) => Value::Bool(!on),
            Value::Int(_) => Value::Int(-77),
            _ => "something else".into(),
        };
        let error = settings.apply([(row.name, &other)]).unwrap_err();
        assert!(
            matches!(error, SettingsError::Unsupported { .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(row.name) && text.contains(row.feature),
            "{text}"
        );
        let error = settings.apply([(row.name, &Value::Null)]).unwrap_err();
        assert!(matches!(error, SettingsError::WrongType { .. }), "{error}");
        assert_eq!(settings, Settings::default());
    }
}

#[test]
fn an_alias_is_the_setting_itself() {
    let mut settings = Settings::default();
    settings.apply([("peer_tos", &Value::Int(8))]).unwrap();
    assert_eq!(settings.peer_dscp, 8);
    assert_eq!(settings.value("peer_tos"), Some(Value::Int(8)));
    for (alias, name) in Settings::aliases() {
        assert!(Settings::table().iter().any(|row| row.name == *name));
        assert!(Settings::table().iter().all(|row| row.name != *alias));
    }
}

#[test]
fn presets_are_valid_changes_to_the_defaults() {
    for (name, changes) in PRESETS {
        let preset = Settings::preset(name).unwrap();
        for (setting, value) in *changes {
            let is = preset.value(setting).unwrap();
            assert!(
                is == Value::Int(*value) || is == Value::Bool(*value != 0),
                "{setting}"
            );
        }
    }
    assert_eq!(Settings::preset("default"), Some(Settings::default()));
    assert_eq!(Settings::preset("fast"), None);
}

#[test]
fn every_default_lies_in_its_range() {
    let defaults = Settings::default();
    for row in Settings::table() {
        assert!(!row.doc.is_empty(), "{}", row.name);
        assert_eq!(defaults.value(row.name).as_ref(), Some(&row.default));
        if let (Some(range), Value::Int(default)) = (row.range, row.default) {
            assert!(range.contains(&default), "{}", row.name);
        }
    }
    let mut copy = defaults.clone();
    let values = defaults.values();
    copy.apply(values.iter().map(|(name, value)| (*name, value)))
        .unwrap();
    assert_eq!(copy, defaults);
}
