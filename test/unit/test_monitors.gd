extends "res://test/integration/torrent_test.gd"
## The monitors in Godot's debugger, and the share of a frame that signals take.

const NAMES := ["download_rate", "upload_rate", "peers", "torrents", "queued_alerts", "poll_usec"]


func test_monitors_are_there_when_a_setting_asks_for_them() -> void:
	assert_false(_has_any(), "none before")
	var session := start_session({"performance_monitors": true})
	session.add_torrent_file(make_torrent(100_000), folder + "/save")
	for name: String in NAMES:
		assert_true(Performance.has_custom_monitor("torrent/" + name), name)
		assert_gte(Performance.get_custom_monitor("torrent/" + name), 0, name)
	assert_eq(Performance.get_custom_monitor("torrent/torrents"), 1)
	assert_true(session.apply_settings({"performance_monitors": false}))
	assert_false(_has_any(), "none when it is turned off")


func test_sessions_are_added_up() -> void:
	var first := start_session({"performance_monitors": true})
	var second := start_session({"performance_monitors": true})
	var data := make_torrent(100_000)
	first.add_torrent_file(data, folder + "/one")
	second.add_torrent_file(data, folder + "/two")
	assert_eq(Performance.get_custom_monitor("torrent/torrents"), 2)
	first.stop_session()
	assert_eq(Performance.get_custom_monitor("torrent/torrents"), 1)
	second.stop_session()
	assert_false(_has_any(), "none without a session")


func test_a_flood_of_events_is_spread_over_frames_and_nothing_is_lost() -> void:
	var session := start_session()
	session.get_alert_manager().set_alert_mask(AlertManager.CATEGORY_PIECE_PROGRESS)
	var seeding := start_session()
	var data := make_torrent(16 * MIB, 16 * KIB)
	var seed_handle := await seed_torrent(seeding, data)
	var handle := session.add_torrent_file(data, folder + "/save")
	var pieces: Array[int] = []
	var finished_at := [-1]
	handle.piece_finished.connect(func(index: int) -> void: pieces.append(index))
	handle.finished.connect(func() -> void: finished_at[0] = pieces.size())
	handle.connect_peer("127.0.0.1", port_of(seeding))
	assert_true(await wait_until(func() -> bool: return finished_at[0] >= 0, LIMIT))
	var count := seed_handle.get_torrent_info().get_num_pieces()
	assert_eq(finished_at[0], count, "every piece before the end, in order")
	var distinct := {}
	for index in pieces:
		distinct[index] = true
	assert_eq(distinct.size(), count)
	var alerts := session.get_alert_manager().get_alerts_by_name("piece_finished")
	assert_eq(alerts.size(), count)
	assert_eq(session.get_alert_manager().get_dropped_count(), 0)


func _has_any() -> bool:
	return NAMES.any(
		func(name: String) -> bool: return Performance.has_custom_monitor("torrent/" + name)
	)
