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
