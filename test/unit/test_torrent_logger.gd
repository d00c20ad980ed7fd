extends "res://test/integration/torrent_test.gd"
## TorrentLogger: what is let through, where it goes, and what is counted.


## What is printed.
class Screen:
	extends Logger
	var lines: Array[String] = []

	func _log_message(message: String, _error: bool) -> void:
		lines.append(message)


func test_a_new_logger_is_off() -> void:
	var logger := TorrentLogger.new()
	assert_false(logger.is_logging_enabled())
	assert_eq(logger.get_log_level(), TorrentLogger.INFO)
	assert_true(logger.is_category_enabled(TorrentLogger.ALL))
	assert_false(logger.is_log_file_enabled())
	logger.log_error("nobody hears it")
	assert_eq(logger.get_log_stats().total, 0)


func test_levels_and_categories_are_a_filter() -> void:
	var logger := TorrentLogger.new()
	logger.enable_logging(true)
	assert_true(logger.set_log_level(TorrentLogger.DEBUG))
	logger.disable_all_categories()
	assert_true(logger.enable_category(TorrentLogger.PEER, true))
	assert_true(logger.is_category_enabled(TorrentLogger.PEER))
	assert_false(logger.is_category_enabled(TorrentLogger.TRACKER))
	assert_false(logger.is_category_enabled(TorrentLogger.ALL))
	logger.log_warning("heard", "peer")
	logger.log_warning("not heard", "TRACKER")
	logger.log_debug("heard", "my game")
	logger.log_trace("not heard", "my game")
	logger.log(TorrentLogger.INFO, "heard")
	logger.log_info("heard")
	var stats := logger.get_log_stats()
	assert_eq(stats.total, 4)
	assert_eq([stats.errors, stats.warnings, stats.infos], [0, 1, 2])
	assert_eq([stats.debugs, stats.traces, stats.dropped], [1, 0, 0])
	assert_gt(stats.since_ms, 0)
	logger.enable_all_categories()
	assert_true(logger.is_category_enabled(TorrentLogger.ALL))
	logger.reset_log_stats()
	assert_eq(logger.get_log_stats().total, 0)


func test_wrong_levels_and_categories_are_errors() -> void:
	var logger := TorrentLogger.new()
	assert_false(logger.set_log_level(6))
	assert_push_error("TorrentLogger.set_log_level")
	logger.log(-1, "x")
	assert_push_error("TorrentLogger.log")
	assert_false(logger.enable_category(10, true))
	assert_push_error("TorrentLogger.enable_category")
	assert_false(logger.is_category_enabled(-1))
	assert_push_error("TorrentLogger.is_category_enabled")


func test_a_file_gets_what_the_engine_says() -> void:
	var path := folder + "/logs/torrents.log"
	var session := new_session()
	var logger := session.get_logger()
	assert_true(logger.set_log_file(path))
	assert_true(logger.is_log_file_enabled())
	session.enable_logging(true)
	assert_true(session.set_log_level(TorrentLogger.DEBUG))
	assert_eq(logger.get_log_level(), TorrentLogger.DEBUG)
	session.get_alert_manager().enable_status_alerts(true)
	assert_true(session.start_session_with_settings(LOOPBACK))
	var is_heard := func() -> bool:
		var stats := logger.get_log_stats()
		return stats.infos > 0 and stats.debugs > 0
	assert_true(await wait_until(is_heard, LIMIT))
	logger.log_info("the last line", "my game")
	logger.close_log_file()
	assert_false(logger.is_log_file_enabled())
	var is_written := func() -> bool:
		return FileAccess.get_file_as_string(path).ends_with("the last line\n")
	assert_true(await wait_until(is_written, LIMIT))
	var text := FileAccess.get_file_as_string(path)
	assert_string_contains(text, "[INFO] [SESSION] the session runs")
	assert_string_contains(text, "[DEBUG] [ALERT]")


func test_a_file_that_cannot_be_opened_is_an_error() -> void:
	var logger := TorrentLogger.new()
	assert_false(logger.set_log_file(folder))
	assert_push_error("TorrentLogger.set_log_file")
	assert_false(logger.is_log_file_enabled())


func test_a_session_takes_another_logger() -> void:
	var session := TorrentSession.new()
	var logger := TorrentLogger.new()
	assert_ne(session.get_logger(), logger)
	assert_true(session.set_logger(logger))
	assert_eq(session.get_logger(), logger)
	assert_false(session.set_logger(null))
	assert_push_error("TorrentSession.set_logger")
	assert_false(session.set_log_level(9))
	assert_push_error("TorrentSession.set_log_level")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)


func test_polled_by_hand_it_shows_each_record_once() -> void:
	var screen := Screen.new()
	var logger := TorrentLogger.new()
	logger.enable_logging(true)
	logger.log_info("something to be seen", "my game")
	OS.add_logger(screen)
	logger.poll()
	logger.poll()
	OS.remove_logger(screen)
	logger.enable_logging(false)
	assert_eq(screen.lines.size(), 1)
	assert_string_contains(screen.lines[0], "something to be seen")
	assert_string_contains(screen.lines[0], "[INFO]")


func test_it_prints_itself() -> void:
	var logger := TorrentLogger.new()
	assert_eq(str(logger), "TorrentLogger(off, INFO)")
