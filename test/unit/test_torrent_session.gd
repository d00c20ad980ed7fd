extends "res://test/integration/torrent_test.gd"
## TorrentSession: lifecycle, settings, its list of torrents, refusals.


func test_it_starts_once_and_stops_once() -> void:
	var session := new_session()
	watch_signals(session)
	assert_false(session.is_running())
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_true(session.is_running())
	assert_true(await wait_for_signal(session.session_started, LIMIT))
	assert_gt(session.get_listening_ports()[0], 0)

	assert_false(session.start_session())
	assert_push_error("TorrentSession.start_session")
	assert_eq(session.get_last_error().get_code(), TorrentError.SESSION_ALREADY_RUNNING)
	assert_true(session.is_running())

	session.stop_session()
	assert_false(session.is_running())
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	session.stop_session()
	assert_signal_emit_count(session.session_started, 1)
	assert_signal_emit_count(session.session_stopped, 1)
	assert_eq(session.get_listening_ports().size(), 0)


func test_it_can_be_started_again() -> void:
	var session := new_session()
	for round_number in 3:
		assert_true(session.start_session_with_settings(LOOPBACK))
		assert_true(await wait_for_signal(session.session_started, LIMIT))
		session.stop_session()
		assert_true(await wait_for_signal(session.session_stopped, LIMIT))


func test_a_restart_finds_its_port_free() -> void:
	# An address that nobody else gets ports of.
	var address := "127.0.0.9"
	var session := start_session({"listen_interfaces": address + ":0"})
	var port := port_of(session)
	session.stop_session()
	var settings := {
		"listen_interfaces": "%s:%d" % [address, port],
		"max_retry_port_bind": 0,
		"listen_system_port_fallback": false,
	}
	assert_true(session.start_session_with_settings(settings))
	assert_true(await session.wait_started(LIMIT))
	assert_eq(Array(session.get_listening_ports()), [port])


func test_polled_by_hand_it_says_the_same() -> void:
	var session := new_session()
	watch_signals(session)
	session.start_session_with_settings(LOOPBACK)
	assert_signal_not_emitted(session.session_started)
	session.poll()
	assert_signal_emitted(session.session_started)


func test_paused_and_resumed() -> void:
	var session := start_session()
	assert_false(session.is_session_paused())
	assert_true(session.pause_session())
	assert_true(session.is_session_paused())
	assert_true(session.resume_session())
	assert_false(session.is_session_paused())


func test_without_a_start_commands_are_refused() -> void:
	var session := new_session()
	var data := make_torrent(1000)
	assert_null(session.add_torrent_file(data, folder))
	assert_push_error("TorrentSession.add_torrent_file")
	assert_null(session.add_torrent({"torrent_data": data, "save_path": folder}))
	assert_push_error("TorrentSession.add_torrent")
	assert_false(session.remove_torrent(TorrentHandle.new()))
	assert_push_error("TorrentSession.remove_torrent")
	assert_false(session.pause_session())
	assert_push_error("TorrentSession.pause_session")
	assert_false(session.resume_session())
	assert_push_error("TorrentSession.resume_session")
	assert_false(session.post_torrent_updates())
	assert_push_error("TorrentSession.post_torrent_updates")
	assert_eq(session.get_last_error().get_code(), TorrentError.SESSION_NOT_RUNNING)
	assert_push_error_count(6, "one error for each call")


func test_without_a_start_reads_are_empty() -> void:
	var session := new_session()
	assert_eq(session.get_torrents().size(), 0)
	assert_null(session.find_torrent("00".repeat(20)))
	assert_eq(session.get_alerts().size(), 0)
	assert_eq(session.get_session_stats().size(), 0)
	assert_eq(session.get_listening_ports().size(), 0)
	assert_false(session.is_session_paused())
	assert_false(session.get_last_error().is_error())
	session.clear_alerts()
	session.poll()
	session.stop_session()


# --- settings ---


func test_settings_before_and_after_the_start() -> void:
	var session := new_session()
	assert_true(session.apply_settings({"connections_limit": 33, "user_agent": "me"}))
	assert_eq(session.get_settings().connections_limit, 33)
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_eq(session.get_settings().connections_limit, 33)
	assert_eq(session.get_settings().listen_interfaces, "127.0.0.1:0")
	assert_true(session.apply_settings({"connections_limit": 44}))
	assert_eq(session.get_settings().connections_limit, 44)
	assert_eq(session.get_settings().user_agent, "me")


func test_settings_that_were_read_stay_what_they_were() -> void:
	var session := new_session()
	var before := session.get_settings()
	assert_true(before.is_read_only())
	var changed := before.duplicate()
	changed.connections_limit = 55
	assert_true(session.apply_settings(changed))
	assert_eq(session.get_settings().connections_limit, 55)
	assert_eq(before.connections_limit, 200)


func test_defaults_are_those_of_a_new_session() -> void:
	assert_eq_deep(TorrentSession.get_default_settings(), new_session().get_settings())
	assert_gt(TorrentSession.get_default_settings().size(), 20)
	var session := new_session()
	assert_true(session.apply_settings(TorrentSession.get_default_settings()))


func test_presets() -> void:
	assert_eq_deep(
		TorrentSession.get_settings_preset("default"), TorrentSession.get_default_settings()
	)
	for name: String in ["high_throughput", "low_memory", "lan"]:
		var preset := TorrentSession.get_settings_preset(name)
		assert_ne_deep(preset, TorrentSession.get_default_settings())
		var session := new_session()
		assert_true(session.apply_settings(preset), name)
		assert_eq_deep(session.get_settings(), preset)
	assert_eq(TorrentSession.get_settings_preset("no such").size(), 0)
	assert_push_error("TorrentSession.get_settings_preset")


func test_wrong_settings_are_named_and_change_nothing() -> void:
	var session := new_session()
	var before := session.get_settings()
	var itself := {}
	itself["user_agent"] = itself
	var wrong := {
		"no_such_setting": {"connections_limit": 50, "no_such_setting": 1},
		"connections_limit": {"connections_limit": -5},
		"user_agent": {"user_agent": 5},
		"file_pool_size": {"file_pool_size": "many"},
		"enable_dht": {"enable_dht": true},
		"nest": itself,
	}
	for name: String in wrong:
		assert_false(session.apply_settings(wrong[name]), name)
		assert_push_error(name)
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
		assert_eq_deep(session.get_settings(), before)
	itself.clear()
	assert_false(session.start_session_with_settings({"no_such_setting": 1}))
	assert_push_error("no_such_setting")
	assert_false(session.is_running())


func test_settings_by_methods() -> void:
	var session := new_session()
	assert_true(session.set_max_connections(77))
	assert_eq(session.get_max_connections(), 77)
	assert_true(session.set_max_uploads(3))
	assert_eq(session.get_max_uploads(), 3)
	assert_true(session.set_listen_port(7000))
	assert_eq(session.get_settings().listen_interfaces, "0.0.0.0:7000,[::]:7000")
	assert_true(session.set_listen_port_range(7001, 7011))
	assert_eq(session.get_settings().listen_interfaces, "0.0.0.0:7001,[::]:7001")
	assert_eq(session.get_settings().max_retry_port_bind, 10)

	assert_false(session.set_max_connections(-2))
	assert_push_error("TorrentSession.set_max_connections")
	assert_false(session.set_max_uploads(-2))
	assert_push_error("TorrentSession.set_max_uploads")
	assert_false(session.set_listen_port(65_536))
	assert_push_error("TorrentSession.set_listen_port")
	for ports: Array in [[10, 9], [-1, 5], [65_530, 65_540], [-9_223_372_036_854_775_807, 5]]:
		assert_false(session.set_listen_port_range(ports[0], ports[1]))
		assert_push_error("TorrentSession.set_listen_port_range")


# --- torrents ---


func test_the_same_torrent_has_the_same_handle() -> void:
	var session := start_session()
	var data := make_torrent(1000)
	watch_signals(session)
	var handle := session.add_torrent_file(data, folder + "/seed")
	assert_true(await wait_for_signal(session.torrent_added, LIMIT))
	assert_same(get_signal_parameters(session.torrent_added)[0], handle)
	assert_same(session.add_torrent_file(data, folder + "/seed"), handle, "adding it again")
	assert_same(session.find_torrent(handle.get_info_hash()), handle)
	assert_same(session.find_torrent(handle.get_info_hash().to_upper()), handle)
	assert_eq(session.get_torrents(), [handle])
	assert_null(session.find_torrent("00".repeat(20)))
	assert_signal_emit_count(session.torrent_added, 1)


func test_a_hash_that_is_none_is_refused() -> void:
	var session := start_session()
	for hash: String in ["", "xyz", "0".repeat(39), "g".repeat(40)]:
		assert_null(session.find_torrent(hash))
		assert_push_error("TorrentSession.find_torrent")


func test_more_can_be_said_about_a_torrent() -> void:
	var session := start_session()
	var handle := (
		session
		. add_torrent(
			{
				"torrent_data": make_torrent(1000),
				"save_path": folder + "/save",
				"file_priorities": [7],
				"trackers": ["http://127.0.0.1:1/announce"],
				"paused": true,
				"sequential_download": true,
			}
		)
	)
	assert_not_null(handle)
	assert_true(handle.is_paused())
	assert_true(handle.is_sequential_download())
	assert_eq(handle.get_file_priorities(), PackedByteArray([7]))
	assert_eq(handle.get_trackers().size(), 1)
	assert_eq(handle.get_trackers()[0].url, "http://127.0.0.1:1/announce")
	assert_eq(handle.get_save_path(), ProjectSettings.globalize_path(folder + "/save"))


func test_flags_can_be_named() -> void:
	var session := start_session()
	var params := {
		"torrent_data": make_torrent(1000),
		"save_path": folder + "/save",
		"flags": ["paused", "sequential_download"],
	}
	var handle := session.add_torrent(params)
	assert_true(handle.is_paused())
	assert_true(handle.is_sequential_download())


func test_wrong_parameters_are_named() -> void:
	var session := start_session()
	var good := {"torrent_data": make_torrent(1000), "save_path": folder + "/save"}
	var wrong := {
		"torrent_data": [{"torrent_data": "text"}, TorrentError.INVALID_PARAMETER],
		"save_path": [{"save_path": 5}, TorrentError.INVALID_PARAMETER],
		"save path": [{"save_path": ""}, TorrentError.EMPTY_SAVE_PATH],
		"no_such": [{"no_such": true}, TorrentError.INVALID_PARAMETER],
		"paused": [{"paused": "yes"}, TorrentError.INVALID_PARAMETER],
		"flags": [{"flags": "paused"}, TorrentError.INVALID_PARAMETER],
		"no_flag": [{"flags": ["no_flag"]}, TorrentError.INVALID_PARAMETER],
		"trackers": [{"trackers": [5]}, TorrentError.INVALID_PARAMETER],
		"ftp": [{"trackers": ["ftp://a/"]}, TorrentError.INVALID_URL],
		"priorit": [{"file_priorities": [8]}, TorrentError.INVALID_PRIORITY],
		"2 priorities": [{"file_priorities": [4, 4]}, TorrentError.INVALID_FILE_INDEX],
	}
	for text: String in wrong:
		assert_null(session.add_torrent(good.merged(wrong[text][0], true)), text)
		assert_push_error(text)
		assert_eq(session.get_last_error().get_code(), wrong[text][1], text)
	assert_null(session.add_torrent({"save_path": folder}))
	assert_push_error("torrent_data")
	assert_null(session.add_torrent({"torrent_data": good.torrent_data}))
	assert_push_error("TorrentSession.add_torrent")
	assert_eq(session.get_torrents().size(), 0)


func test_a_removed_torrent_is_gone() -> void:
	var session := start_session()
	var data := make_torrent(1000)
	var handle := await seed_torrent(session, data)
	watch_signals(session)
	watch_signals(handle)
	assert_true(session.remove_torrent(handle))
	assert_false(handle.is_valid())
	assert_eq(session.get_torrents().size(), 0)
	assert_null(session.find_torrent(handle.get_info_hash()))
	assert_true(await wait_for_signal(session.torrent_removed, LIMIT))
	assert_signal_emitted_with_parameters(session.torrent_removed, [handle.get_info_hash()])
	assert_signal_emit_count(handle.removed, 1)
	assert_file_exists(folder + "/seed/data.bin")

	assert_false(session.remove_torrent(handle))
	assert_push_error("TorrentSession.remove_torrent")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_TORRENT_HANDLE)


func test_its_files_can_go_with_it() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(1000))
	assert_true(session.remove_torrent(handle, true))
	assert_true(await wait_for_signal(session.torrent_removed, LIMIT))
	var is_gone := func() -> bool: return not FileAccess.file_exists(folder + "/seed/data.bin")
	assert_true(await wait_until(is_gone, LIMIT))


func test_a_removed_torrent_can_be_added_again() -> void:
	var session := start_session()
	var data := make_torrent(1000)
	var first := await seed_torrent(session, data)
	watch_signals(first)
	session.remove_torrent(first)
	var second := await seed_torrent(session, data)
	assert_not_same(first, second)
	assert_false(first.is_valid())
	assert_true(second.is_valid())
	assert_same(session.find_torrent(second.get_info_hash()), second)
	await wait_until(func() -> bool: return get_signal_emit_count(first, "removed") > 0, LIMIT)
	assert_signal_emit_count(first.removed, 1)


func test_only_its_own_torrents_can_be_removed() -> void:
	var session := start_session()
	var other := start_session()
	var handle := await seed_torrent(other, make_torrent(1000))
	assert_false(session.remove_torrent(handle))
	assert_push_error("TorrentSession.remove_torrent")
	assert_true(handle.is_valid())
	assert_false(session.remove_torrent(null))
	assert_push_error("TorrentSession.remove_torrent")
	assert_false(session.remove_torrent(TorrentHandle.new()))
	assert_push_error("TorrentSession.remove_torrent")


func test_stopping_makes_handles_invalid() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(1000))
	session.stop_session()
	assert_false(handle.is_valid())
	assert_false(handle.pause())
	assert_push_error("TorrentHandle.pause")
	assert_eq(session.get_torrents().size(), 0)
	assert_true(handle.get_status().is_seeding(), "what was known is still known")


# --- statistics ---


func test_updates_come_as_an_alert() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_STATUS})
	var handle := await seed_torrent(session, make_torrent(1000))
	session.clear_alerts()
	assert_true(session.post_torrent_updates())
	var manager := session.get_alert_manager()
	var is_there := func() -> bool: return manager.get_alerts_by_name("state_update").size() > 0
	assert_true(await wait_until(is_there, LIMIT))
	var alert: Dictionary = manager.get_alerts_by_name("state_update")[0]
	var status: Dictionary = alert.torrent_status[0]
	assert_eq(status.info_hash, handle.get_info_hash())
	assert_eq(status.name, "data.bin")
	assert_eq(status.state, TorrentStatus.STATE_SEEDING)
	assert_eq(status.progress, 1.0)
	assert_true(status.is_seeding)


func test_counters_have_names() -> void:
	var session := start_session()
	var stats := session.get_session_stats()
	assert_gt(stats.size(), 0)
	for name: String in stats:
		assert_typeof(stats[name], TYPE_INT, name)
	assert_true(stats.is_read_only())
	session.stop_session()
	assert_eq(session.get_session_stats(), {})


func test_an_error_stays_until_the_next_one() -> void:
	var session := start_session()
	assert_eq(session.get_last_error().get_code(), TorrentError.OK)
	session.find_torrent("x")
	assert_push_error("TorrentSession.find_torrent")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
	assert_eq(session.get_last_error().get_context(), "x")
	session.get_torrents()
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
