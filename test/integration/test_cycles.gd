extends "res://test/integration/torrent_test.gd"
## Lambdas and bound callables hold what they use. `stop_session()` ends that where an object
## would keep itself alive.

var _heard: Array[String] = []
var _session: TorrentSession = null


func before_each() -> void:
	super()
	_heard.clear()


## A session that its own handlers hold, and a handle of it that its own hold.
func _self_centred(with_torrent := true) -> Array[WeakRef]:
	var session := TorrentSession.new()
	var heard := _heard
	session.torrent_finished.connect(
		func(_handle: TorrentHandle) -> void: heard.append("finished %s" % session.is_running())
	)
	session.session_stopped.connect(_on_stopped_of.bind(session))
	session.get_alert_manager().alert_posted.connect(
		func(_alert: Dictionary) -> void: session.get_torrents()
	)
	assert_true(session.start_session_with_settings(LOOPBACK))
	if not with_torrent:
		return [weakref(session)]
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	handle.removed.connect(func() -> void: heard.append("removed %s" % handle.is_valid()))
	handle.finished.connect(_on_finished_of.bind(handle))
	return [weakref(session), weakref(handle)]


func _on_stopped_of(session: TorrentSession) -> void:
	_heard.append("stopped %s" % session.is_running())


func _on_finished_of(handle: TorrentHandle) -> void:
	_heard.append("of %s" % handle.get_name())


func _are_gone(objects: Array[WeakRef]) -> bool:
	return objects.all(func(object: WeakRef) -> bool: return object.get_ref() == null)


## Returns when its signals have come and its references have been counted.
func _stop(session: TorrentSession) -> void:
	session.stop_session()
	assert_true(await session.wait_stopped())
	await wait_process_frames(5)


func test_a_session_that_is_stopped_and_forgotten_is_freed() -> void:
	var objects := _self_centred()
	assert_true(await wait_until(func() -> bool: return "of data.bin" in _heard, LIMIT))
	await wait_physics_frames(10)
	assert_not_null(objects[0].get_ref(), "its handlers hold it")
	var session: TorrentSession = objects[0].get_ref()
	await _stop(session)
	session = null
	assert_true(await wait_until(_are_gone.bind(objects), LIMIT))
	assert_eq(_heard, ["of data.bin", "finished true", "stopped false"] as Array[String])


func test_one_that_is_held_a_while_longer() -> void:
	var objects := _self_centred()
	var session: TorrentSession = objects[0].get_ref()
	await _stop(session)
	assert_false(session.torrent_finished.get_connections().is_empty(), "it may start again")
	assert_true(_are_gone([objects[1]]), "but not its torrent's handle")
	session = null
	assert_true(await wait_until(_are_gone.bind(objects), LIMIT))


func test_what_is_connected_outlives_a_stop() -> void:
	var session := new_session()
	var heard := _heard
	session.session_started.connect(func() -> void: heard.append("started"))
	session.torrent_added.connect(
		func(handle: TorrentHandle) -> void: heard.append("added %s" % handle.get_name())
	)
	var data := make_torrent(1000)
	for run in 2:
		assert_true(session.start_session_with_settings(LOOPBACK))
		session.add_torrent_file(data, folder + "/seed")
		var are_told := func() -> bool: return heard.size() == 2 * run + 2
		assert_true(await wait_until(are_told, LIMIT), "run %d" % run)
		session.stop_session()
		assert_true(await session.wait_stopped())
		await wait_physics_frames(10)
	assert_eq(heard, ["started", "added data.bin", "started", "added data.bin"] as Array[String])


## The references of the call that stops it are not those of the game.
func test_what_is_connected_outlives_a_stop_by_a_handler() -> void:
	_session = TorrentSession.new()
	var heard := _heard
	_session.session_started.connect(func() -> void: heard.append("started"))
	_session.torrent_added.connect(func(_handle: TorrentHandle) -> void: _session.stop_session())
	_session.session_stopped.connect(func() -> void: heard.append("stopped"))
	var data := make_torrent(1000)
	for run in 2:
		assert_true(_session.start_session_with_settings(LOOPBACK))
		assert_not_null(_session.add_torrent_file(data, folder + "/seed"))
		var are_told := func() -> bool: return heard.size() == 2 * run + 2
		assert_true(await wait_until(are_told, LIMIT), "run %d" % run)
		await wait_process_frames(10)
	assert_eq(heard, ["started", "stopped", "started", "stopped"] as Array[String])
	_session.stop_session()
	_session = null


func test_a_torrent_that_is_removed_lets_go_of_its_handle() -> void:
	var objects := _self_centred()
	var session: TorrentSession = objects[0].get_ref()
	assert_true(await wait_until(func() -> bool: return "of data.bin" in _heard, LIMIT))
	assert_true(session.remove_torrent(objects[1].get_ref()))
	assert_true(await wait_until(_are_gone.bind([objects[1]] as Array[WeakRef]), LIMIT))
	assert_eq(_heard.count("removed false"), 1, "after its last signal")
	assert_true(session.is_running())
	await _stop(session)
	session = null
	assert_true(await wait_until(_are_gone.bind(objects), LIMIT))


func test_methods_stay_connected() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(1000))
	handle.removed.connect(_on_removed)
	assert_true(session.remove_torrent(handle))
	assert_true(await wait_until(func() -> bool: return "removed" in _heard, LIMIT))
	await wait_physics_frames(5)
	# Whoever disconnects in the end finds what was connected.
	assert_true(handle.removed.is_connected(_on_removed))
	handle.removed.disconnect(_on_removed)


func _on_removed() -> void:
	_heard.append("removed")
