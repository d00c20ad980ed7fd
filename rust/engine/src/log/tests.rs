use super::*;

fn on(level: Level) -> Logger {
    install();
    let logger = Logger::default();
    logger.set_level(level);
    logger.enable(true);
    logger
}

fn lines(logger: &Logger) -> Vec<String> {
    let mut records = Vec::new();
    logger.take(&mut records);
    records.iter().map(ToString::to_string).collect()
}

#[test]
fn a_logger_takes_what_its_level_and_categories_let_through() {
    let logger = on(Level::Warning);
    logger.enable_category(Category::Peer, false);
    logger.log(Level::Error, "peer", "no");
    logger.log(Level::Info, "tracker", "no");
    logger.log(Level::Warning, "tracker", "yes");
    logger.log(Level::Error, "my_mod", "yes");
    logger.log(Level::Error, "", "yes");
    logger.log(Level::None, "", "no");
    assert_eq!(
        lines(&logger),
        [
            "[WARNING] [TRACKER] yes",
            "[ERROR] [my_mod] yes",
            "[ERROR] [ALL] yes",
        ]
    );
    logger.enable(false);
    logger.log(Level::Error, "", "no");
    assert!(lines(&logger).is_empty());
}

#[test]
fn the_engines_events_arrive_with_their_category() {
    let logger = on(Level::Debug);
    tracing::debug!(target: "torrent_engine::torrent::trackers", "a word from the tests");
    tracing::warn!(target: "torrent_engine::disk::worker", part = 7, "a word from the tests");
    tracing::trace!(target: "torrent_engine::disk", "a word from the tests");
    tracing::error!(target: "hyper", "a word from the tests");
    let mut found = lines(&logger);
    // Other tests run beside this one.
    found.retain(|line| line.contains("a word from the tests"));
    assert_eq!(
        found,
        [
            "[DEBUG] [TORRENT] a word from the tests",
            "[WARNING] [STORAGE] a word from the tests part=7",
        ]
    );
}

#[test]
fn what_nobody_takes_is_dropped_and_counted() {
    let logger = on(Level::Info);
    logger.enable_category(Category::All, false);
    for _ in 0..QUEUE_LIMIT + 3 {
        logger.log(Level::Info, "mine", "again");
    }
    let stats = logger.stats();
    let value = |name: &str| {
        let (_, value) = stats.iter().find(|(known, _)| known == name).unwrap();
        value.clone()
    };
    assert_eq!(value("total"), (QUEUE_LIMIT as u64 + 3).into());
    assert_eq!(value("infos"), (QUEUE_LIMIT as u64 + 3).into());
    assert_eq!(value("dropped"), 3u64.into());
    assert_eq!(lines(&logger).len(), QUEUE_LIMIT);
    logger.reset_stats();
    assert_eq!(logger.stats()[0].1, 0u64.into());
}

#[test]
fn a_file_has_every_line_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/engine.log");
    let logger = on(Level::Info);
    logger.enable_category(Category::All, false);
    logger.set_file(&path).unwrap();
    assert!(logger.has_file());
    for number in 0..100 {
        logger.log(Level::Info, "mine", &format!("line {number}"));
    }
    logger.close_file();
    assert!(end_all(Duration::from_secs(120)));
    assert!(!logger.has_file());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 100);
    assert!(
        text.lines()
            .last()
            .unwrap()
            .ends_with("[INFO] [mine] line 99")
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = on(Level::Info).set_file(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string())
    );
}

#[test]
fn numbers_and_names_of_levels_and_categories() {
    assert_eq!(Level::from_code(4).unwrap(), Level::Debug);
    assert!(Level::from_code(6).unwrap_err().to_string().contains('6'));
    assert_eq!(Category::from_code(7).unwrap(), Category::Storage);
    assert!(
        Category::from_code(-1)
            .unwrap_err()
            .to_string()
            .contains("-1")
    );
    assert_eq!(
        Category::from_name("Port_Mapping"),
        Some(Category::PortMapping)
    );
    assert_eq!(Category::from_name("nothing"), None);
}
