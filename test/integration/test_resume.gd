extends "res://test/integration/torrent_test.gd"
## What outlives a session: resume data, session state, the state directory.


func test_resume_data_makes_a_check_unnecessary() -> void:
	var data := make_torrent(300_000)
	var handle := await seed_torrent(start_session(), data)
	assert_true(handle.save_resume_data())
	var resume: PackedByteArray = await handle.resume_data_ready
	assert_gt(resume.size(), 0)
	assert_eq(handle.get_resume_data(), resume)
	assert_false(handle.need_save_resume_data())
	var session := start_session()
	session.get_alert_manager().enable_status_alerts(true)
	var again := session.add_torrent_file_with_resume(data, "", resume)
	assert_not_null(again, "the folder is known from the resume data")
	var is_seeding := func() -> bool: return again.get_status().is_seeding()
	assert_true(await wait_until(is_seeding, LIMIT))
	assert_eq(again.get_save_path(), handle.get_save_path())
	var rejected := session.get_alert_manager().get_alerts_by_name("fastresume_rejected")
	assert_eq(rejected.size(), 0)


func test_resume_data_that_lies_is_not_believed() -> void:
	var data := make_torrent(300_000)
	var handle := await seed_torrent(start_session(), data)
	handle.save_resume_data()
	var resume: PackedByteArray = await handle.resume_data_ready
	var session := start_session()
	# Not an empty folder: that is what is left where a disk is not mounted.
	DirAccess.make_dir_recursive_absolute(folder + "/empty")
	FileAccess.open(folder + "/empty/other", FileAccess.WRITE).close()
	var again := session.add_torrent_file_with_resume(data, folder + "/empty", resume)
	assert_not_null(again)
	var is_downloading := func() -> bool:
		return again.get_status().get_state() == TorrentStatus.STATE_DOWNLOADING
	assert_true(await wait_until(is_downloading, LIMIT))
	var is_told := func() -> bool:
		return not session.get_alert_manager().get_alerts_by_name("fastresume_rejected").is_empty()
	assert_true(await wait_until(is_told, LIMIT))
	assert_push_error("mismatching file size")
	assert_eq(again.get_status().get_total_done(), 0)


func test_resume_data_of_a_magnet_link_has_the_metadata() -> void:
	var data := make_torrent(300_000)
	var handle := await seed_torrent(start_session(), data)
	handle.save_resume_data()
	var resume: PackedByteArray = await handle.resume_data_ready
	var link := handle.get_magnet_uri()
	var session := start_session()
	var again := session.add_magnet_uri_with_resume(link, folder + "/seed", resume)
	assert_not_null(again)
	assert_eq(again.get_torrent_info().get_total_size(), 300_000)


func test_broken_resume_data_is_an_error() -> void:
	var session := start_session()
	var data := make_torrent(100_000)
	assert_null(session.add_torrent_file_with_resume(data, folder, PackedByteArray([1, 2, 3])))
	assert_push_error("TorrentSession.add_torrent_file_with_resume")
	assert_eq(session.get_last_error().get_code(), TorrentError.RESUME_DATA_PARSE_ERROR)
	assert_null(session.add_torrent_file_with_resume(data, "", PackedByteArray()))
	assert_push_error("TorrentSession.add_torrent_file_with_resume")


func test_all_torrents_are_saved() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var is_changed := func() -> bool: return handle.need_save_resume_data()
	assert_true(await wait_until(is_changed, LIMIT))
	assert_true(session.save_all_resume_data())
	assert_true(await wait_for_signal(handle.resume_data_ready, LIMIT))
	assert_false(TorrentSession.new().save_all_resume_data())
	assert_push_error("TorrentSession.save_all_resume_data")


func test_session_state_keeps_settings() -> void:
	var session := start_session()
	assert_true(session.set_max_connections(77))
	var state := session.save_state()
	var other := new_session()
	assert_true(other.load_state(state))
	assert_eq(other.get_max_connections(), 77)
	var running := start_session()
	assert_true(running.load_state(other.save_state()))
	assert_eq(running.get_max_connections(), 77)
	assert_false(other.load_state(PackedByteArray([7])))
	assert_push_error("TorrentSession.load_state")


func test_torrents_come_back_from_the_state_directory() -> void:
	var data := make_torrent(300_000)
	var session := new_session()
	assert_true(session.set_state_directory(folder + "/state"))
	assert_true(session.start_session_with_settings(LOOPBACK))
	var handle := await seed_torrent(session, data)
	var hash := handle.get_info_hash()
	handle.pause()
	session.set_max_connections(55)
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	watch_signals(session)
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_eq(session.get_max_connections(), 55)
	assert_true(await wait_for_signal(session.session_started, LIMIT))
	assert_eq(session.get_torrents().size(), 1)
	# Each signal has its turn in some frame.
	var is_told := func() -> bool: return get_signal_emit_count(session, "torrent_added") > 0
	assert_true(await wait_until(is_told, LIMIT))
	assert_signal_emit_count(session.torrent_added, 1)
	var again := session.find_torrent(hash)
	assert_not_null(again)
	assert_true(again.is_paused())
	assert_eq(again.get_save_path(), handle.get_save_path())
	assert_true(again.resume())
	var is_seeding := func() -> bool: return again.get_status().is_seeding()
	assert_true(await wait_until(is_seeding, LIMIT))


func test_the_ip_filter_comes_back_from_the_state_directory() -> void:
	var session := _session_in(folder + "/state")
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_true(session.add_ip_filter_rule("10.0.0.0 - 10.0.0.9", true))
	assert_true(session.set_ip_filter_enabled(false), "they are kept all the same")
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	# The same object, which makes a rule in between.
	assert_true(session.add_ip_filter_rule("10.0.0.5", false))
	assert_true(session.start_session_with_settings(LOOPBACK))
	var expected := ["10.0.0.0-10.0.0.4", "10.0.0.6-10.0.0.9"]
	assert_eq(rules_of(session), expected)
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	# The next start of the game, which makes a rule before and one after.
	var next := _session_in(folder + "/state")
	assert_true(next.add_ip_filter_rule("12.0.0.0", true))
	assert_true(next.start_session_with_settings(LOOPBACK))
	assert_true(next.add_ip_filter_rule("13.0.0.0", true))
	expected.append_array(["12.0.0.0-12.0.0.0", "13.0.0.0-13.0.0.0"])
	assert_eq(rules_of(next), expected)
	next.stop_session()
	assert_true(await wait_for_signal(next.session_stopped, LIMIT))
	var last := _session_in(folder + "/state")
	assert_true(last.start_session_with_settings(LOOPBACK))
	assert_eq(rules_of(last), expected)
	last.stop_session()
	assert_true(await wait_for_signal(last.session_stopped, LIMIT))
	assert_true(last.clear_ip_filter())
	assert_true(last.start_session_with_settings(LOOPBACK))
	assert_eq(rules_of(last), [], "what was cleared does not come back")


func _session_in(state_directory: String) -> TorrentSession:
	var session := new_session()
	assert_true(session.set_state_directory(state_directory))
	return session


func test_two_sessions_cannot_share_a_state_directory() -> void:
	var first := new_session()
	first.set_state_directory(folder + "/state")
	assert_true(first.start_session_with_settings(LOOPBACK))
	var second := TorrentSession.new()
	second.set_state_directory(folder + "/state")
	assert_false(second.start_session_with_settings(LOOPBACK))
	assert_push_error("TorrentSession.start_session_with_settings")
	assert_true(second.set_state_directory(""))
