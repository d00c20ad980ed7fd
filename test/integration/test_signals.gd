extends "res://test/integration/torrent_test.gd"
## Signals: once, in order, on the main thread; what waits for one goes on.

var _heard: Array[String] = []
var _threads := {}


func before_each() -> void:
	super()
	_heard.clear()
	_threads.clear()


func note(text: String) -> void:
	_heard.append(text)
	_threads[OS.get_thread_caller_id()] = true


## Writes down what a handle and its session tell.
func follow(session: TorrentSession, handle: TorrentHandle) -> void:
	handle.state_changed.connect(
		func(state: int, previous: int) -> void: note("state %d %d" % [previous, state])
	)
	handle.piece_finished.connect(func(index: int) -> void: note("piece %d" % index))
	handle.pieces_finished.connect(
		func(indices: PackedInt32Array) -> void:
			for index in indices:
				note("together %d" % index)
	)
	handle.file_completed.connect(func(index: int) -> void: note("file %d" % index))
	handle.finished.connect(func() -> void: note("finished"))
	handle.removed.connect(func() -> void: note("removed"))
	session.torrent_finished.connect(func(_handle: Object) -> void: note("session: finished"))
	session.torrent_removed.connect(func(_hash: String) -> void: note("session: removed"))
	session.session_stopped.connect(func() -> void: note("session: stopped"))


func test_a_download_is_told_in_order() -> void:
	var seeder := start_session()
	var data := make_torrent(MIB, 64 * KIB)
	await seed_torrent(seeder, data)
	var session := start_session()
	var handle := session.add_torrent_file(data, folder + "/save")
	follow(session, handle)
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	var seeds := "state %d %d" % [TorrentStatus.STATE_FINISHED, TorrentStatus.STATE_SEEDING]
	assert_true(await wait_until(func() -> bool: return seeds in _heard, LIMIT))
	# Single pieces may be told of after the end.
	assert_true(await wait_until(_all_pieces_told.bind(16), LIMIT))
	assert_true(session.remove_torrent(handle))
	assert_true(await wait_until(func() -> bool: return "session: removed" in _heard, LIMIT))
	session.stop_session()
	assert_true(await wait_until(func() -> bool: return "session: stopped" in _heard, LIMIT))

	for index in 16:
		assert_eq(_heard.count("piece %d" % index), 1, "piece %d is told once" % index)
	for once: String in ["file 0", "finished", "removed", "session: finished"]:
		assert_eq(_heard.count(once), 1, once)
	var end := _heard.find("finished")
	for index in 16:
		assert_eq(_heard.count("together %d" % index), 1, "piece %d is told once" % index)
		assert_between(_heard.find("together %d" % index), 0, end, "pieces come before the end")
	assert_lt(_heard.find("file 0"), end, "and so does the file")
	assert_lt(end, _heard.find("removed"))
	assert_eq(_heard[-1], "session: stopped")
	_assert_chain()
	assert_eq(_threads.keys(), [OS.get_main_thread_id()])


func test_changes_are_told_once_an_interval_and_only_when_there_are_any() -> void:
	var interval := 50
	var seeder := start_session()
	var data := make_torrent(4 * MIB)
	await seed_torrent(seeder, data)
	var session := start_session({"status_update_interval": interval})
	var told := [0]
	session.torrents_updated.connect(func(_handles: Array) -> void: told[0] += 1)
	var begun := Time.get_ticks_msec()
	var handle := session.add_torrent_file(data, folder + "/save")
	assert_true(handle.set_download_limit(2 * MIB))
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT))
	# What is told may lag behind what can be asked.
	var is_told := func() -> bool: return told[0] > 1
	assert_true(await wait_until(is_told, LIMIT), "a download that outlasts an interval")
	assert_lte(told[0], (Time.get_ticks_msec() - begun) / interval + 1)

	# Without the other one it comes to rest, and says so.
	seeder.stop_session()
	assert_true(await wait_until(func() -> bool: return _is_at_rest(handle), LIMIT), "rests")
	var other := start_session({"status_update_interval": interval})
	var restless := other.add_torrent_file(data, folder + "/other")
	# All is quiet while changes of another session are told ten times, as far apart. The
	# last changes may be on their way at first.
	var deadline := Time.get_ticks_msec() + int(LIMIT * 1000)
	told[0] = 1
	while told[0] > 0 and Time.get_ticks_msec() < deadline:
		told[0] = 0
		await _change(other, restless, 10)
	assert_eq(told[0], 0, "nothing has changed")


func _is_at_rest(handle: TorrentHandle) -> bool:
	var status := handle.get_status()
	return (
		status.get_num_connections() == 0
		and status.get_download_rate() == 0
		and status.get_upload_rate() == 0
	)


## Changes a torrent until that was told so many times.
func _change(session: TorrentSession, handle: TorrentHandle, times: int) -> void:
	var told := [0]
	var again := func(_handles: Array) -> void:
		told[0] += 1
		handle.set_upload_limit(handle.get_upload_limit() + 1)
	session.torrents_updated.connect(again)
	again.call([])
	var is_told := func() -> bool: return told[0] > times
	assert_true(await wait_until(is_told, LIMIT), "%d changes are told" % times)
	session.torrents_updated.disconnect(again)


func test_signals_come_however_few_alerts_are_kept() -> void:
	var seeder := start_session()
	var data := make_torrent(16 * MIB, 16 * KIB)
	await seed_torrent(seeder, data)
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var manager := session.get_alert_manager()
	assert_true(manager.set_queue_limit(1))
	var handle := session.add_torrent_file(data, folder + "/save")
	follow(session, handle)
	var progress := [0.0]
	handle.progress_changed.connect(func(now: float) -> void: progress[0] = now)
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	assert_true(await wait_until(func() -> bool: return "finished" in _heard, LIMIT))
	var count := handle.get_torrent_info().get_num_pieces()
	assert_eq(count, 1024)
	assert_true(await wait_until(_all_pieces_told.bind(count), LIMIT))
	for index in count:
		assert_eq(_heard.count("piece %d" % index), 1, "piece %d is told once" % index)
	assert_eq(_heard.count("file 0"), 1)
	assert_true(await wait_until(func() -> bool: return progress[0] == 1.0, LIMIT))
	assert_eq(_heard.count("finished"), 1)
	assert_gt(manager.get_dropped_count(), 0, "that is for alerts")
	assert_lte(manager.get_alerts().size(), 5, "the most important ones and the report")


## Single pieces may be told of after the end when there are many.
func _all_pieces_told(count: int) -> bool:
	return _pieces_told() >= count


func _pieces_told() -> int:
	return _heard.filter(func(text: String) -> bool: return text.begins_with("piece ")).size()


## Each state begins where the one before ended, up to seeding.
func _assert_chain() -> void:
	var states := _heard.filter(func(text: String) -> bool: return text.begins_with("state "))
	assert_gt(states.size(), 1)
	for at in range(1, states.size()):
		assert_eq(states[at].get_slice(" ", 1), states[at - 1].get_slice(" ", 2), str(states))
	assert_eq(states[-1].get_slice(" ", 2), str(TorrentStatus.STATE_SEEDING))


func test_what_waits_for_a_download_goes_on() -> void:
	var seeder := start_session()
	var data := make_torrent(MIB)
	await seed_torrent(seeder, data)
	var handle := download(start_session(), data, seeder)
	_await_the_end(handle)
	assert_true(await wait_until(func() -> bool: return "went on" in _heard, LIMIT))
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))


func _await_the_end(handle: TorrentHandle) -> void:
	await handle.finished
	note("went on")


func test_what_waits_for_a_torrent_file_goes_on() -> void:
	write_file(folder + "/a.bin", content(MIB))
	var creator := TorrentCreator.new()
	assert_true(creator.add_file(folder + "/a.bin"))
	assert_true(creator.generate())
	var data: PackedByteArray = await creator.completed
	assert_eq(TorrentInfo.from_data(data).get_info_hash(), creator.get_info_hash())


func test_what_waits_for_the_end_of_a_session_goes_on() -> void:
	var session := start_session()
	await session.session_started
	assert_true(session.is_running())
	session.stop_session()
	await session.session_stopped
	assert_false(session.is_running())
	assert_eq(session.get_listening_ports().size(), 0)


func test_a_signal_never_comes_during_a_call() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	follow(session, handle)
	var before := _heard.size()
	# Whatever happens in the background meanwhile waits for the frame.
	var deadline := Time.get_ticks_msec() + int(LIMIT * 1000)
	while not handle.get_status().is_seeding() and Time.get_ticks_msec() < deadline:
		handle.get_peer_info()
	assert_true(handle.get_status().is_seeding())
	assert_eq(_heard.size(), before)
	assert_true(await wait_until(func() -> bool: return "finished" in _heard, LIMIT))


func test_what_a_handler_adds_is_told_too() -> void:
	var data := make_torrent(100_000)
	var other := make_torrent(50_000, 32 * KIB, "other.bin")
	var session := start_session()
	var reference: WeakRef = weakref(session)
	session.torrent_finished.connect(
		func(handle: TorrentHandle) -> void:
			note(handle.get_name())
			if handle.get_name() == "data.bin":
				reference.get_ref().add_torrent_file(other, folder + "/seed")
	)
	session.add_torrent_file(data, folder + "/seed")
	assert_true(await wait_until(func() -> bool: return "other.bin" in _heard, LIMIT))
	assert_eq(_heard, ["data.bin", "other.bin"] as Array[String])


func test_a_torrent_that_comes_back_in_a_handler() -> void:
	var data := make_torrent(100_000)
	var session := start_session()
	var reference: WeakRef = weakref(session)
	var first := await seed_torrent(session, data)
	session.torrent_removed.connect(
		func(hash: String) -> void:
			note("removed " + hash)
			reference.get_ref().add_torrent_file(data, folder + "/seed")
	)
	assert_true(session.remove_torrent(first))
	var is_back := func() -> bool:
		var handles := session.get_torrents()
		return handles.size() == 1 and handles[0].get_status().is_seeding()
	assert_true(await wait_until(is_back, LIMIT))
	assert_eq(_heard, ["removed " + first.get_info_hash()] as Array[String])
	assert_false(first.is_valid())
	assert_not_same(session.get_torrents()[0], first)
