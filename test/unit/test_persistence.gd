extends "res://test/integration/torrent_test.gd"
## What is saved of a session and of a torrent, and refused when it is not that.

## The begin of a dictionary.
var _half := PackedByteArray([100, 49])


func test_resume_data_of_a_torrent() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000))
	assert_eq(handle.get_resume_data().size(), 0, "nothing was saved yet")
	assert_true(handle.need_save_resume_data())
	watch_signals(handle)
	assert_true(handle.save_resume_data())
	assert_true(await wait_for_signal(handle.resume_data_ready, LIMIT))
	var saved: PackedByteArray = get_signal_parameters(handle.resume_data_ready)[0]
	assert_eq(handle.get_resume_data(), saved)
	assert_false(handle.need_save_resume_data())
	assert_true(handle.set_sequential_download(true))
	assert_true(await wait_until(func() -> bool: return handle.need_save_resume_data(), LIMIT))


func test_a_torrent_file_with_resume_data() -> void:
	var data := make_torrent(100_000)
	var first := await seed_torrent(start_session(), data)
	assert_true(first.save_resume_data())
	var resume: PackedByteArray = await first.resume_data_ready
	var session := start_session()
	var handle := session.add_torrent_file_with_resume(data, "", resume)
	assert_not_null(handle)
	assert_eq(handle.get_save_path(), first.get_save_path(), "as the resume data says")

	for bad: PackedByteArray in [_half, resume.slice(0, resume.size() / 2)]:
		assert_null(session.add_torrent_file_with_resume(data, folder + "/save", bad))
		assert_push_error("TorrentSession.add_torrent_file_with_resume: ")
		assert_eq(session.get_last_error().get_code(), TorrentError.RESUME_DATA_PARSE_ERROR)
	assert_null(session.add_torrent_file_with_resume(data, "", PackedByteArray()))
	assert_push_error("TorrentSession.add_torrent_file_with_resume: ")
	assert_null(session.add_torrent_file_with_resume(_half, folder + "/save", resume))
	assert_push_error("TorrentSession.add_torrent_file_with_resume: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_TORRENT_FILE)


func test_a_magnet_link_with_resume_data() -> void:
	var first := await seed_torrent(start_session(), make_torrent(100_000))
	assert_true(first.save_resume_data())
	var resume: PackedByteArray = await first.resume_data_ready
	var session := start_session()
	var link := first.get_magnet_uri()
	var handle := session.add_magnet_uri_with_resume(link, folder + "/seed", resume)
	assert_not_null(handle)
	assert_eq(handle.get_torrent_info().get_name(), "data.bin", "the resume data has it")

	assert_null(session.add_magnet_uri_with_resume("no link", folder, resume))
	assert_push_error("TorrentSession.add_magnet_uri_with_resume: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_MAGNET_URI)
	assert_null(session.add_magnet_uri_with_resume(link, folder, _half))
	assert_push_error("TorrentSession.add_magnet_uri_with_resume: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.RESUME_DATA_PARSE_ERROR)


func test_a_magnet_link_alone() -> void:
	var session := start_session()
	var handle := session.add_magnet_uri(
		"magnet:?xt=urn:btih:%s&dn=maps" % "cd".repeat(20), folder + "/save"
	)
	assert_not_null(handle)
	assert_eq(handle.get_name(), "maps")
	assert_eq(handle.get_info_hash(), "cd".repeat(20))
	assert_null(handle.get_torrent_info())
	assert_null(session.add_magnet_uri("magnet:?dn=maps", folder))
	assert_push_error("TorrentSession.add_magnet_uri: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_MAGNET_URI)
	assert_null(session.add_magnet_uri(handle.get_magnet_uri(), ""))
	assert_push_error("TorrentSession.add_magnet_uri: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.EMPTY_SAVE_PATH)


func test_all_torrents_at_once() -> void:
	var session := start_session()
	assert_true(session.save_all_resume_data(), "none are all of none")
	var handle := await seed_torrent(session, make_torrent(1000))
	watch_signals(handle)
	assert_true(session.save_all_resume_data())
	assert_true(await wait_for_signal(handle.resume_data_ready, LIMIT))
	assert_signal_emit_count(handle.resume_data_ready, 1)


func test_the_state_of_a_session() -> void:
	var session := new_session()
	assert_true(session.set_max_uploads(5))
	assert_true(session.set_download_rate_limit(123_456))
	var state := session.save_state()
	var other := new_session()
	assert_true(other.load_state(state))
	assert_eq(other.get_max_uploads(), 5)
	assert_eq(other.get_download_rate_limit(), 123_456)
	for bad: PackedByteArray in [PackedByteArray(), _half, "i5e".to_utf8_buffer()]:
		assert_false(other.load_state(bad))
		assert_push_error("TorrentSession.load_state: ")
	assert_eq(other.get_max_uploads(), 5, "what could not be read changes nothing")


func test_the_ip_filter_is_part_of_the_state() -> void:
	var first := TorrentSession.new()
	assert_true(first.add_ip_filter_rule("10.0.0.0", true))
	var state := first.save_state()
	for other: TorrentSession in [new_session(), start_session()]:
		assert_true(other.add_ip_filter_rule("9.0.0.0", true))
		assert_true(other.load_state(state))
		assert_eq(rules_of(other), ["10.0.0.0-10.0.0.0"], "in place of the others")
		assert_true(other.add_ip_filter_rule("11.0.0.0", true))
		var both := ["10.0.0.0-10.0.0.0", "11.0.0.0-11.0.0.0"]
		assert_eq(rules_of(other), both, "a rule is added to those")
		assert_true(other.set_ip_filter_enabled(false))
		assert_eq(rules_of(other), both, "rules that are off are rules")
		assert_true(other.load_state("d8:settingsdee".to_utf8_buffer()))
		assert_eq(rules_of(other), both, "this one says nothing of a filter")
		assert_false(other.load_state(_half))
		assert_push_error("TorrentSession.load_state: ")
		assert_eq(rules_of(other), both)


func test_a_state_that_was_loaded_is_there_after_a_run() -> void:
	var session := new_session()
	var first := TorrentSession.new()
	assert_true(first.add_ip_filter_rule("10.0.0.0", true))
	assert_true(session.load_state(first.save_state()))
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_eq(rules_of(session), ["10.0.0.0-10.0.0.0"])
	assert_true(session.add_ip_filter_rule("11.0.0.0", true))
	session.stop_session()
	assert_eq(rules_of(session), ["10.0.0.0-10.0.0.0", "11.0.0.0-11.0.0.0"])


func test_what_only_others_know_stays_in_the_state() -> void:
	var foreign := "d9:dht stated7:node-idl3:abcee8:settingsd9:no_such_ti7eee"
	var session := new_session()
	assert_true(session.load_state(foreign.to_utf8_buffer()))
	assert_push_error("TorrentSession.load_state: ")
	assert_true(_has(session.save_state(), "node-idl3:abce"))
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_true(_has(session.save_state(), "node-idl3:abce"))
	session.stop_session()
	var state := session.save_state()
	assert_true(_has(state, "node-idl3:abce"))
	assert_true(_has(state, "no_such_ti7e"))


func _has(state: PackedByteArray, text: String) -> bool:
	return text.to_ascii_buffer().hex_encode() in state.hex_encode()


func test_the_state_of_a_running_session_changes_its_monitors() -> void:
	var asking := TorrentSession.new()
	assert_true(asking.apply_settings({"performance_monitors": true}))
	var session := start_session()
	assert_false(Performance.has_custom_monitor("torrent/peers"))
	assert_true(session.load_state(asking.save_state()))
	assert_true(Performance.has_custom_monitor("torrent/peers"))
	session.stop_session()
	assert_false(Performance.has_custom_monitor("torrent/peers"))


func test_a_state_directory() -> void:
	var session := new_session()
	assert_true(session.set_state_directory(folder + "/state"))
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_true(DirAccess.dir_exists_absolute(folder + "/state"))
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))

	write_file(folder + "/in the way", _half)
	assert_true(session.set_state_directory(folder + "/in the way"))
	assert_false(session.start_session())
	assert_push_error("TorrentSession.start_session: ")
	assert_true(session.set_state_directory(""))
	assert_true(session.start_session(), "without one it starts")
