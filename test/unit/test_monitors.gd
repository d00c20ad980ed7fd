extends "res://test/integration/torrent_test.gd"
## The monitors in Godot's debugger, and the share of a frame that signals take.

const NAMES := ["download_rate", "upload_rate", "peers", "torrents", "queued_alerts", "poll_usec"]


func test_monitors_are_there_when_a_setting_asks_for_them() -> void:
	assert_false(_has_any(), "none before")
	var session := start_session({"performance_monitors": true})
	session.add_torrent_file(make_torrent(100_000), folder + "/save")
	for name: String in NAMES:
		assert_true(Performance.has_custom_monitor("torrent/" + name), name)
	for name: String in ["download_rate", "upload_rate", "peers", "queued_alerts"]:
		assert_eq(_shown(name), 0, name)
	assert_eq(_shown("torrents"), 1)
	assert_true(session.apply_settings({"performance_monitors": false}))
	assert_false(_has_any(), "none when it is turned off")


func test_sessions_are_added_up() -> void:
	var first := start_session({"performance_monitors": true})
	var second := start_session({"performance_monitors": true})
	var data := make_torrent(100_000)
	first.add_torrent_file(data, folder + "/one")
	second.add_torrent_file(data, folder + "/two")
	assert_eq(_shown("torrents"), 2)
	first.stop_session()
	assert_eq(_shown("torrents"), 1)
	second.stop_session()
	assert_false(_has_any(), "none without a session")


func test_rates_and_peers_are_those_of_a_transfer() -> void:
	var seeding := start_session({"performance_monitors": true})
	var data := make_torrent(4 * MIB)
	var sent := await seed_torrent(seeding, data)
	# It goes on for as long as anybody looks at it.
	var session := start_session({"performance_monitors": true, "download_rate_limit": 20_000})
	var received := download(session, data, seeding)
	var unseen := start_session({"download_rate_limit": 20_000}).add_torrent_file(
		data, folder + "/unseen"
	)
	assert_true(unseen.connect_peer("127.0.0.1", port_of(seeding)))
	var rates := {
		"download_rate": func() -> int: return _sum([sent, received], "get_download_rate"),
		"upload_rate": func() -> int: return _sum([sent, received], "get_upload_rate"),
		"peers": func() -> int: return _sum([sent, received], "get_num_peers"),
	}
	for name: String in rates:
		var sum: Callable = rates[name]
		# A status may be renewed between two looks at it, but not each time.
		var is_true := func() -> bool:
			var before: int = sum.call()
			var shown := _shown(name)
			return before > 0 and shown == before and sum.call() == before
		assert_true(await wait_until(is_true, LIMIT), name)
	var is_at_work := func() -> bool: return unseen.get_status().get_num_peers() > 0
	assert_true(await wait_until(is_at_work, LIMIT))
	assert_false(received.get_status().is_finished(), "all that was seen during the transfer")


func test_queued_alerts_are_those_that_nobody_took() -> void:
	var settings := {"performance_monitors": true, "alert_mask": AlertManager.CATEGORY_STATUS}
	var session := start_session(settings)
	var manager := session.get_alert_manager()
	await finished(session.add_torrent_file(make_torrent(100_000), folder + "/seed"))
	var is_there := func() -> bool:
		return not manager.get_alerts_by_name("torrent_finished").is_empty()
	assert_true(await wait_until(is_there, LIMIT))
	var waiting := manager.get_alerts().size()
	assert_gt(waiting, 1)
	assert_eq(_shown("queued_alerts"), waiting)

	var second := start_session({"performance_monitors": true})
	assert_eq(_shown("queued_alerts"), waiting + second.get_alerts().size())
	assert_true(second.set_alert_manager(manager))
	assert_eq(_shown("queued_alerts"), manager.get_alerts().size(), "a shared queue counts once")
	manager.pop_alerts()
	assert_eq(_shown("queued_alerts"), 0)


func test_the_time_of_polls_is_that_of_all_that_asked() -> void:
	var shown := [_slow_to_hear(3_000, true), _slow_to_hear(2_000, true)]
	var apart: TorrentSession = _slow_to_hear(9_000, false)
	# No session is polled but by this test.
	var frames := _polls_each_frame()
	get_tree().process_frame.disconnect(frames)
	var begun := Time.get_ticks_usec()
	for session: TorrentSession in shown:
		await _poll_until_started(session)
	var took := Time.get_ticks_usec() - begun
	# The last to be polled, and the longest: it has not asked.
	await _poll_until_started(apart)
	assert_between(_shown("poll_usec"), 5_000, took)
	shown[0].stop_session()
	assert_between(_shown("poll_usec"), 2_000, took - 3_000)
	get_tree().process_frame.connect(frames)


## What the library has connected to the frames of the tree.
func _polls_each_frame() -> Callable:
	for connection: Dictionary in get_tree().process_frame.get_connections():
		var callable: Callable = connection.callable
		if str(callable) == "torrents":
			return callable
	fail_test("nothing polls the sessions")
	return Callable()


## A session that takes this long to hear of its start.
func _slow_to_hear(usec: int, monitored: bool) -> TorrentSession:
	var session := start_session({"performance_monitors": monitored})
	var handler := func() -> void:
		var end := Time.get_ticks_usec() + usec
		while Time.get_ticks_usec() < end:
			pass
	session.session_started.connect(handler)
	return session


## Its last poll is the one that told of its start.
func _poll_until_started(session: TorrentSession) -> void:
	var heard := [false]
	session.session_started.connect(func() -> void: heard[0] = true)
	var is_told := func() -> bool:
		if not heard[0]:
			session.poll()
		return heard[0]
	assert_true(await wait_until(is_told, LIMIT))


func _sum(handles: Array, getter: String) -> int:
	var sum := 0
	for handle: TorrentHandle in handles:
		sum += handle.get_status().call(getter)
	return sum


func _shown(name: String) -> int:
	return Performance.get_custom_monitor("torrent/" + name)


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
	var count := seed_handle.get_torrent_info().get_num_pieces()
	# Each of them comes, if need be after the end.
	var is_told := func() -> bool: return finished_at[0] >= 0 and pieces.size() >= count
	assert_true(await wait_until(is_told, LIMIT))
	assert_eq(pieces.size(), count)
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
