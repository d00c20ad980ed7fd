extends "res://test/integration/torrent_test.gd"
## What waits by `wait_…` always goes on: with the result, once, and never within the call.


## Waits for a signal and notes what came, with the frame in which it came.
class Waiter:
	var result: Variant = null
	var times := 0
	var frame := 0

	func _init(waited: Signal) -> void:
		_go(waited)

	func _go(waited: Signal) -> void:
		result = await waited
		times += 1
		frame = Engine.get_process_frames()

	func is_over() -> bool:
		return times > 0


## A game's object that is freed while it waits.
class Impatient:
	extends Node

	func wait(waited: Signal) -> void:
		await waited
		fail()

	func fail() -> void:
		push_error("what waits is gone")


## How many waits the library keeps.
func kept() -> int:
	var all: Dictionary = Engine.get_main_loop().get_meta("_torrent_waits", {})
	return all.size()


## What comes of a wait, which must not take long.
func outcome(waited: Signal) -> Variant:
	assert_false(waited.is_null(), "there is something to await")
	var begun := Engine.get_process_frames()
	var waiter := Waiter.new(waited)
	assert_false(waiter.is_over(), "not within the call")
	assert_true(await wait_until(waiter.is_over, LIMIT), "it goes on")
	assert_gt(waiter.frame, begun, "with the next frame at the earliest")
	await wait_physics_frames(2)
	assert_eq(waiter.times, 1, "once")
	return waiter.result


## The signal of what was waited for comes once, perhaps a few frames after the wait.
func emitted_once(object: Object, name: String) -> void:
	var is_emitted := func() -> bool: return get_signal_emit_count(object, name) > 0
	assert_true(await wait_until(is_emitted, LIMIT), name)
	assert_signal_emit_count(object, name, 1)


func test_what_is_so_already() -> void:
	var session := start_session()
	assert_true(await outcome(session.wait_started()))
	assert_true(await outcome(session.wait_started()))
	var handle := await seed_torrent(session, make_torrent(100_000))
	for i in 2:
		assert_true(await outcome(handle.wait_finished()))
		assert_true(await outcome(handle.wait_metadata()))
		assert_true(await outcome(handle.wait_checked()))
		assert_gt((await outcome(handle.wait_resume_data())).size(), 0)
	assert_false(handle.get_last_error().is_error())


func test_what_is_still_to_come() -> void:
	var seeder := start_session()
	var data := make_torrent(MIB)
	var link := (await seed_torrent(seeder, data)).get_magnet_uri()
	var session := start_session()
	var handle := session.add_magnet_uri(link, folder + "/save")
	var known := Waiter.new(handle.wait_metadata())
	var checked := Waiter.new(handle.wait_checked())
	var finished_waiter := Waiter.new(handle.wait_finished())
	await wait_physics_frames(3)
	assert_eq(known.times + checked.times + finished_waiter.times, 0, "nobody is there to ask")
	assert_true(handle.pause())
	assert_true(handle.resume())
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	assert_true(await wait_until(finished_waiter.is_over, LIMIT))
	assert_true(known.result)
	assert_true(checked.result)
	assert_true(finished_waiter.result)
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))


func test_a_signal_comes_as_well_as_what_waits_for_the_same() -> void:
	var seeder := start_session()
	var data := make_torrent(MIB)
	await seed_torrent(seeder, data)
	var handle := download(start_session(), data, seeder)
	watch_signals(handle)
	assert_true(await handle.wait_finished())
	await emitted_once(handle, "finished")


func test_a_torrent_that_is_removed() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var waiting := Waiter.new(handle.wait_finished())
	var removed := Waiter.new(handle.wait_removed())
	assert_true(await outcome(handle.wait_checked()))
	assert_eq(waiting.times + removed.times, 0)
	watch_signals(handle)
	assert_true(session.remove_torrent(handle))
	assert_true(await wait_until(removed.is_over, LIMIT))
	assert_true(removed.result)
	await emitted_once(handle, "removed")
	assert_true(await wait_until(waiting.is_over, LIMIT))
	assert_false(waiting.result)
	assert_eq(handle.get_last_error().get_code(), TorrentError.INVALID_TORRENT_HANDLE)
	assert_true(await outcome(handle.wait_removed()))
	assert_false(await outcome(handle.wait_finished()))
	assert_eq((await outcome(handle.wait_resume_data())).size(), 0)


func test_a_session_that_stops() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var waiters := {
		"finished": Waiter.new(handle.wait_finished()),
		"removed": Waiter.new(handle.wait_removed()),
		"stopped": Waiter.new(session.wait_stopped()),
	}
	assert_true(await outcome(handle.wait_checked()))
	watch_signals(session)
	session.stop_session()
	var all_over := func() -> bool:
		return waiters.values().all(func(waiter: Waiter) -> bool: return waiter.is_over())
	assert_true(await wait_until(all_over, LIMIT))
	assert_false(waiters.finished.result)
	assert_false(waiters.removed.result)
	assert_true(waiters.stopped.result)
	await emitted_once(session, "session_stopped")
	assert_true(await outcome(session.wait_stopped()))
	assert_false(await outcome(session.wait_started()))
	assert_eq(session.get_last_error().get_code(), TorrentError.SESSION_NOT_RUNNING)
	session.clear_last_error()
	assert_false(session.get_last_error().is_error())


func test_a_session_that_nobody_holds() -> void:
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var waiting := Waiter.new(handle.wait_finished())
	var stopped := Waiter.new(session.wait_stopped())
	session = null
	assert_true(await wait_until(waiting.is_over, LIMIT))
	assert_false(waiting.result)
	assert_true(await wait_until(stopped.is_over, LIMIT))
	assert_true(stopped.result)


func test_one_that_was_never_part_of_a_session() -> void:
	var handle := TorrentHandle.new()
	assert_false(await outcome(handle.wait_finished()))
	assert_push_error("TorrentHandle.wait_finished: ")
	assert_eq(handle.get_last_error().get_code(), TorrentError.INVALID_TORRENT_HANDLE)
	handle.clear_last_error()
	assert_false(handle.get_last_error().is_error())
	for wait: String in ["wait_metadata", "wait_checked", "wait_removed"]:
		assert_false(await outcome(handle.call(wait)), wait)
		assert_push_error("TorrentHandle.%s: " % wait)
	assert_eq(await outcome(handle.wait_resume_data()), PackedByteArray())
	assert_push_error("TorrentHandle.wait_resume_data: ")
	var session := TorrentSession.new()
	assert_false(await outcome(session.wait_started()))
	assert_true(await outcome(session.wait_stopped()))
	# Nobody holds what it is asked of.
	assert_false(await outcome(TorrentHandle.new().wait_finished()))
	assert_push_error("TorrentHandle.wait_finished: ")
	assert_eq((await outcome(TorrentCreator.new().wait_completed())).size(), 0)


func test_what_takes_too_long() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var late := Waiter.new(handle.wait_finished(0.05))
	var patient := Waiter.new(handle.wait_finished())
	assert_true(await wait_until(late.is_over, LIMIT))
	assert_false(late.result)
	assert_eq(handle.get_last_error().get_code(), TorrentError.TIMEOUT)
	assert_false(await outcome(handle.wait_removed(0.01)))
	assert_false(await outcome(session.wait_stopped(0.01)))
	assert_eq(session.get_last_error().get_code(), TorrentError.TIMEOUT)
	for no_limit: float in [0.0, -1.0, NAN, INF]:
		assert_true(await outcome(handle.wait_checked(no_limit)))
	assert_eq(patient.times, 0)


func test_a_torrent_in_error() -> void:
	var session := start_session()
	# A folder is where the file should be.
	DirAccess.make_dir_recursive_absolute(folder + "/save/data.bin")
	var seeder := start_session()
	var data := make_torrent(100_000)
	await seed_torrent(seeder, data)
	var handle := download(session, data, seeder)
	assert_false(await outcome(handle.wait_finished()))
	var error := handle.get_last_error()
	assert_eq(error.get_category(), TorrentError.STORAGE_ERROR, error.get_message())
	assert_push_error("TorrentSession: torrent")
	assert_true(await outcome(handle.wait_metadata()), "which is known all the same")


func test_a_creator() -> void:
	write_file(folder + "/a.bin", content(MIB))
	var creator := TorrentCreator.new()
	assert_eq((await outcome(creator.wait_completed())).size(), 0, "nothing was begun")
	assert_true(creator.get_last_error().is_error())
	assert_false(creator.generate())
	assert_push_error("TorrentCreator.generate: ")
	assert_eq((await outcome(creator.wait_completed())).size(), 0)
	creator.clear_last_error()
	assert_false(creator.get_last_error().is_error())
	assert_true(creator.add_file(folder + "/a.bin"))
	assert_true(creator.generate())
	var data: PackedByteArray = await outcome(creator.wait_completed())
	assert_eq(TorrentInfo.from_data(data).get_info_hash(), creator.get_info_hash())
	assert_eq(await outcome(creator.wait_completed()), data, "again")
	# What was begun and given up.
	assert_true(creator.generate())
	var given_up := Waiter.new(creator.wait_completed())
	creator.cancel()
	assert_true(await wait_until(given_up.is_over, LIMIT))
	assert_eq(given_up.result, PackedByteArray())
	# And what nobody holds any more.
	assert_true(creator.generate())
	var orphan := Waiter.new(creator.wait_completed())
	creator = null
	assert_true(await wait_until(orphan.is_over, LIMIT))
	assert_eq(orphan.result, PackedByteArray())


func test_on_a_thread() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000))
	var waits := [handle.wait_finished, handle.wait_resume_data, session.wait_started]
	for wait: Callable in waits:
		var thread := Thread.new()
		assert_eq(thread.start(wait), OK)
		var waited: Signal = thread.wait_to_finish()
		assert_true(not not await outcome(waited), wait.get_method())


func test_many_at_once() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	var waiters: Array[Waiter] = []
	for i in 500:
		waiters.append(Waiter.new(handle.wait_finished()))
	session.remove_torrent(handle)
	var all_over := func() -> bool:
		return waiters.all(func(waiter: Waiter) -> bool: return waiter.is_over())
	assert_true(await wait_until(all_over, LIMIT))
	assert_true(waiters.all(func(waiter: Waiter) -> bool: return waiter.times == 1))


## What nothing waits for any more is not kept for as long as the torrent lives.
func test_what_is_abandoned() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/save")
	assert_true(await handle.wait_checked())
	var before := kept()
	var patient := Waiter.new(handle.wait_finished())
	# Their time-out has passed, and nothing was ever connected to them.
	for i in 2000:
		handle.wait_finished(0.01)
	assert_true(await wait_until(func() -> bool: return kept() == before + 1, LIMIT))
	# Those that waited have been freed. Some are looked at with each frame.
	var crowd: Array[Impatient] = []
	for i in 1500:
		var impatient := Impatient.new()
		impatient.wait(handle.wait_finished())
		crowd.append(impatient)
	for i in 60:
		await get_tree().process_frame
	assert_eq(kept(), before + 1501)
	for impatient in crowd:
		impatient.free()
	# Some are kept, in case that they are awaited yet.
	var are_fewer := func() -> bool: return kept() <= before + 1 + 1000
	assert_true(await wait_until(are_fewer, LIMIT))
	for i in 3000:
		handle.wait_removed()
	var late := handle.wait_finished()
	assert_true(await wait_until(are_fewer, LIMIT))
	assert_gt(kept(), before + 900)
	assert_eq(patient.times, 0)
	var at_last := Waiter.new(late)
	assert_true(session.remove_torrent(handle))
	assert_true(await wait_until(func() -> bool: return kept() == before, LIMIT))
	assert_eq([patient.times, at_last.times], [1, 1])
	assert_false(patient.result)
	assert_false(at_last.result)


## A game that is started again finds everything there: what waits goes on at once, and is
## told of the end of what comes back after the start.
func test_what_comes_back_complete() -> void:
	var seeder := start_session()
	var data := make_torrent(100_000)
	await seed_torrent(seeder, data)
	for run in 2:
		var session := new_session()
		var heard: Array[String] = []
		session.session_started.connect(func() -> void: heard.append("started"))
		session.torrent_finished.connect(
			func(_handle: TorrentHandle) -> void: heard.append("finished")
		)
		assert_true(session.set_state_directory(folder + "/state"))
		assert_true(session.start_session_with_settings(LOOPBACK))
		assert_true(await outcome(session.wait_started()))
		assert_eq(session.get_torrents().size(), run)
		var handle := session.add_torrent_file(data, folder + "/save")
		if run == 0:
			assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
		assert_true(await outcome(handle.wait_finished()))
		assert_true(await wait_until(func() -> bool: return "finished" in heard, LIMIT))
		assert_eq(heard, ["started", "finished"] as Array[String])
		session.stop_session()
		assert_true(await outcome(session.wait_stopped()))
