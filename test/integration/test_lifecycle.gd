extends "res://test/integration/game_test.gd"
## Ends in the middle of things: no crash, no thread left.

const LoopbackTracker := preload("res://test/integration/loopback_tracker.gd")

const ROUNDS := 20
## Bytes a second of a download that takes longer than anything waits for.
const RATE := MIB

## Most seconds that the end of a session, or of a game, waits for trackers, and what else an
## end may take on a machine that does something else.
const ANNOUNCE_LIMIT := 1.0
const SLACK := 14.0


## Calls something when it is freed.
class Witness:
	extends RefCounted
	var last_words := Callable()

	func _notification(what: int) -> void:
		if what == NOTIFICATION_PREDELETE:
			last_words.call()


var _held: TorrentSession = null
var _calls := 0


func after_each() -> void:
	_held = null
	_calls = 0
	await super()


## A session that this test holds and nothing else knows.
func unheld() -> TorrentSession:
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	return session


func test_a_session_freed_in_the_middle_of_a_download_leaves_nothing() -> void:
	# What a first session leaves is there before threads are counted.
	await _free_in_the_middle(make_torrent(128 * MIB, 256 * KIB), 0)
	var before := await threads_at_rest()
	for number in range(1, ROUNDS + 1):
		await _free_in_the_middle(torrent_of(folder + "/seed/data.bin", 256 * KIB), number)
	var is_quiet := func() -> bool: return threads() <= before
	assert_true(await wait_until(is_quiet, LIMIT), "%d threads, now: %s" % [before, thread_names()])


func _free_in_the_middle(data: PackedByteArray, number: int) -> void:
	var seeder := unheld()
	var leecher := unheld()
	await seed_torrent(seeder, data)
	# Slow enough for the middle to be seen.
	assert_true(leecher.set_download_rate_limit(RATE))
	var handle := leecher.add_torrent_file(data, folder + "/save/%d" % number)
	handle.connect_peer("127.0.0.1", port_of(seeder))
	var has_begun := func() -> bool: return handle.get_status().get_total_done() > 0
	assert_true(await wait_until(has_begun, LIMIT), "round %d begins" % number)
	assert_false(handle.get_status().is_finished(), "round %d is in the middle" % number)
	var session: WeakRef = weakref(leecher)
	leecher = null
	assert_null(session.get_ref(), "nothing else holds the session")
	assert_false(handle.is_valid())
	assert_false(handle.pause())
	assert_push_error("TorrentHandle.pause")


func test_a_game_that_quits_in_the_middle_ends_well() -> void:
	var data := make_torrent(64 * MIB, 256 * KIB)
	write_file(folder + "/data.torrent", data)
	for number in ROUNDS:
		var output := []
		var status := OS.execute(godot(), game("quit_midway"), output, true)
		assert_eq(status, 0, "round %d: %s" % [number, "".join(output)])
		assert_string_contains("".join(output), "in the middle")
		remove_tree(folder + "/save")


## A tracker that answers until it is told not to.
func _open_tracker() -> LoopbackTracker:
	var tracker := LoopbackTracker.new()
	add_child_autofree(tracker)
	return tracker


## Waits until a tracker owes the answer to the announce of somebody who ends.
func _hears_the_end(tracker: LoopbackTracker) -> bool:
	var is_told := func() -> bool:
		var owed := tracker.unanswered()
		return owed.size() == 1 and owed[0].contains("event=stopped")
	return await wait_until(is_told, LIMIT)


func test_stopping_waits_for_nobody() -> void:
	var tracker := _open_tracker()
	var url := tracker.open()
	var session := start_session({"stop_tracker_timeout": 60})
	watch_signals(session)
	var handle := session.add_torrent_file(make_torrent(MIB), folder + "/save")
	assert_true(handle.add_tracker(url))
	var is_answered := func() -> bool: return handle.get_status().get_current_tracker() == url
	assert_true(await wait_until(is_answered, LIMIT))
	tracker.is_silent = true
	# Nobody but this thread takes what is announced: nothing of it was waited for.
	session.stop_session()
	assert_false(session.is_running())
	assert_signal_not_emitted(session.session_stopped)
	assert_true(await _hears_the_end(tracker), "the tracker is told")
	# It owes its answer for a minute, which the end does not take.
	if get_signal_emit_count(session, "session_stopped") == 0:
		assert_true(await wait_for_signal(session.session_stopped, ANNOUNCE_LIMIT + SLACK))
	assert_eq(tracker.unanswered().size(), 1, "the tracker is still told")


func test_a_session_takes_the_place_of_one_that_was_just_freed() -> void:
	var data := make_torrent(MIB)
	var settings := LOOPBACK.merged({"listen_interfaces": "127.0.0.1:%d" % _free_port()}, true)
	for round in 3:
		# Nothing but this test holds it.
		_held = TorrentSession.new()
		var ups := [0]
		_held.session_started.connect(func() -> void: ups[0] += 1)
		_held.set_state_directory(folder + "/state")
		assert_true(_held.start_session_with_settings(settings), "round %d" % round)
		assert_true(_held.is_running())
		var handle := _held.add_torrent_file(data, folder + "/save")
		assert_not_null(handle)
		assert_true(
			await wait_until(func() -> bool: return ups[0] == 1, LIMIT), "round %d is up" % round
		)
		assert_eq(str(port_of(_held)), settings.listen_interfaces.get_slice(":", 1))
		assert_eq(_held.find_torrent(handle.get_info_hash()), handle)
		if round > 0:
			assert_true(await wait_until(handle.is_paused, LIMIT), "it comes back as it was")
		handle.pause()
		# As a scene does that is loaded again.
		_held = null


func _free_port() -> int:
	var server := TCPServer.new()
	server.listen(0, "127.0.0.1")
	return server.get_local_port()


func test_a_game_that_quits_does_not_wait_for_long() -> void:
	write_file(folder + "/data.torrent", make_torrent(MIB))
	var tracker := _open_tracker()
	tracker.is_last_answer = true
	var game := OS.execute_with_pipe(godot(), game("quit_unheard", [tracker.open()]), false)
	assert_true(game.has("pid"), "the game starts")
	assert_true(await _hears_the_end(tracker), "the game ends")
	var since := Time.get_ticks_msec()
	var has_ended := func() -> bool: return not OS.is_process_running(game.pid)
	assert_true(await wait_until(has_ended, LIMIT))
	assert_lt((Time.get_ticks_msec() - since) / 1000.0, ANNOUNCE_LIMIT + SLACK)
	assert_eq(OS.get_process_exit_code(game.pid), 0)


func test_a_game_that_quits_gets_its_callable_back() -> void:
	var output := []
	var status := OS.execute(godot(), game("quit_with_resolver"), output, true)
	assert_eq(status, 0, "".join(output))
	# While there are scripts: what is freed after them can bring the game down.
	assert_string_contains("".join(output), "the atlas is closed")


func test_a_game_ends_well_whatever_holds_our_objects() -> void:
	write_file(folder + "/data.torrent", make_torrent(MIB))
	var output := run_game("quit_holding")
	assert_string_contains(output, "the session is polled")
	assert_string_contains(output, "held in 16 ways")
	for line in output.split("\n"):
		assert_false(line.begins_with("@fail"), line)
		# What refers to itself through a callable is never freed, as Godot tells.
		var is_ours := line.contains("ERROR") and not line.contains("still in use at exit")
		assert_false(is_ours or line.contains("panicked"), line)


# --- handlers may do anything ---


## A session that downloads, with the handle's first piece as the occasion.
func _prepare() -> Array:
	var seeder := start_session()
	var data := make_torrent(8 * MIB, 64 * KIB)
	await seed_torrent(seeder, data)
	_held = unheld()
	var handle := _held.add_torrent_file(data, folder + "/save")
	return [handle, port_of(seeder)]


func test_a_handler_removes_its_torrent() -> void:
	var prepared: Array = await _prepare()
	var handle: TorrentHandle = prepared[0]
	watch_signals(handle)
	handle.piece_finished.connect(
		func(_index: int) -> void:
			_calls += 1
			_held.remove_torrent(handle)
	)
	handle.connect_peer("127.0.0.1", prepared[1])
	await wait_until(func() -> bool: return get_signal_emit_count(handle, "removed") > 0, LIMIT)
	assert_signal_emit_count(handle.removed, 1)
	assert_eq(_calls, 1, "nothing more is heard of a torrent that was removed")
	assert_signal_not_emitted(handle.finished)
	assert_eq(_held.get_torrents().size(), 0)


func test_a_handler_stops_its_session() -> void:
	var prepared: Array = await _prepare()
	var handle: TorrentHandle = prepared[0]
	var stopped := [false]
	_held.session_stopped.connect(func() -> void: stopped[0] = true)
	handle.piece_finished.connect(
		func(_index: int) -> void:
			_calls += 1
			_held.stop_session()
	)
	handle.connect_peer("127.0.0.1", prepared[1])
	assert_true(await wait_until(func() -> bool: return stopped[0], LIMIT))
	assert_eq(_calls, 1)
	assert_false(handle.is_valid())
	assert_false(_held.is_running())


func test_a_handler_frees_its_session() -> void:
	var prepared: Array = await _prepare()
	var handle: TorrentHandle = prepared[0]
	var session: WeakRef = weakref(_held)
	handle.piece_finished.connect(
		func(_index: int) -> void:
			_calls += 1
			_held = null
	)
	handle.connect_peer("127.0.0.1", prepared[1])
	assert_true(await wait_until(func() -> bool: return session.get_ref() == null, LIMIT))
	assert_eq(_calls, 1)
	assert_false(handle.is_valid())


## Adds a torrent, and lets go of its handle: only the session knows who listens to it.
func _add_witnessed(data: PackedByteArray, last_words: Callable) -> void:
	var witness := Witness.new()
	witness.last_words = last_words
	var handle := _held.add_torrent_file(data, folder + "/save")
	handle.finished.connect(func() -> void: fail_test("finished, %s" % witness))


func test_what_is_freed_with_a_torrent_may_call_its_session() -> void:
	_held = unheld()
	var data := make_torrent(MIB)
	var last_words := func() -> void:
		_calls += 1
		assert_true(_held.start_session())
		assert_not_null(_held.add_torrent_file(data, folder + "/save"))
	_add_witnessed(data, last_words)
	_held.stop_session()
	assert_true(await wait_until(func() -> bool: return _calls == 1, LIMIT))
	assert_true(_held.is_running())
	assert_eq(_held.get_torrents().size(), 1)


func test_a_handler_polls_and_restarts() -> void:
	_held = unheld()
	var starts := [0]
	var stops := [0]
	_held.session_started.connect(
		func() -> void:
			starts[0] += 1
			_held.poll()
			_held.stop_session()
	)
	_held.session_stopped.connect(
		func() -> void:
			stops[0] += 1
			_held.poll()
			if stops[0] < 3:
				assert_true(_held.start_session())
	)
	assert_true(await wait_until(func() -> bool: return stops[0] == 3, LIMIT))
	assert_eq(starts[0], 3)


func test_a_forgotten_session_is_freed() -> void:
	var session: WeakRef = weakref(unheld())
	assert_null(session.get_ref())


func test_many_sessions_at_once() -> void:
	var ports := {}
	for i in 8:
		ports[port_of(start_session())] = true
	assert_eq(ports.size(), 8)
