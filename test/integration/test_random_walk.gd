extends "res://test/integration/torrent_test.gd"
## 20,000 calls at random: whatever a game calls, with whatever arguments and whenever, the
## library returns what it says, tells of errors in its own words, and stays alive.
##
## The environment variables TORRENT_WALK_SEED and TORRENT_WALK_CALLS choose another walk;
## TORRENT_WALK_TRACE prints each call before it is made.

const RandomWalk = preload("res://test/integration/random_walk.gd")

const SEED := 1
const CALLS := 20_000
const CALLS_A_FRAME := 12
## Files that were deleted in the meantime come back so often.
const CALLS_A_SUPPLY := 1000

var _walk: RandomWalk = null


func after_each() -> void:
	_walk = null
	await super()


func test_calls_at_random() -> void:
	# What a first session leaves is there before threads are counted.
	await _start_and_stop()
	var threads_before := await threads_at_rest()
	var walk_seed := _from_environment("TORRENT_WALK_SEED", SEED)
	var count := _from_environment("TORRENT_WALK_CALLS", CALLS)
	print("random walk: seed %d, %d calls" % [walk_seed, count])
	_walk = RandomWalk.new(walk_seed)
	OS.add_logger(_walk.listener)
	var supplied := -CALLS_A_SUPPLY
	while _walk.call_count < count:
		if _walk.call_count - supplied >= CALLS_A_SUPPLY:
			supplied = _walk.call_count
			await _supply()
		for i in CALLS_A_FRAME:
			_walk.step()
		await get_tree().process_frame
	# The engine may be slow to get its turn beside the game.
	var gets_somewhere := func() -> bool:
		_walk.step()
		return _walk.signals.has("finished")
	assert_true(await wait_until(gets_somewhere, LIMIT), "torrents get somewhere")
	await _end_walk(threads_before)
	OS.remove_logger(_walk.listener)
	_expect_documented_errors()
	print(
		(
			"random walk: %d calls, signals %s, %d errors; the longest took %.1f ms: %s"
			% [
				_walk.call_count,
				_walk.signals,
				_walk.listener.documented,
				_walk.longest_usec / 1000.0,
				_walk.longest_call,
			]
		)
	)
	assert_eq("\n".join(_walk.complaints), "", "every call does what it says")
	assert_eq("\n".join(_walk.listener.unexpected), "", "errors are documented ones")
	if count >= CALLS:
		var missed := _walk.all_methods().filter(
			func(method: String) -> bool: return not _walk.calls.has(method)
		)
		assert_eq(missed, [] as Array[String], "every method is called")


func _from_environment(name: String, otherwise: int) -> int:
	var text := OS.get_environment(name)
	return text.to_int() if text.is_valid_int() else otherwise


func _start_and_stop() -> void:
	var session := start_session()
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))


## Files to share and places to save them to.
func _supply() -> void:
	var files := {
		"/seed/data.bin": content(100_000),
		"/seed/pack/a.bin": content(50_000, 2),
		"/seed/pack/b/c.bin": content(7, 3),
		"/in the way": content(10),
		"/rules.p2p": "one:203.0.113.1-203.0.113.9\nnonsense\n".to_utf8_buffer(),
	}
	for path: String in files:
		# A session that moves its files there meanwhile can be in the way.
		var is_supplied := func() -> bool: return _supply_file(folder + path, files[path])
		assert_true(await wait_until(is_supplied, LIMIT), "writes %s" % path)
	DirAccess.make_dir_recursive_absolute(folder + "/deep/deep/deep")
	var values := _walk.values
	if values.torrents.is_empty():
		var good := [torrent_of(folder + "/seed/data.bin", 16 * KIB)]
		good.append(torrent_of(folder + "/seed/pack", 16 * KIB))
		for data: PackedByteArray in good:
			var broken := data.duplicate()
			broken[data.size() / 2] ^= 0x55
			values.torrents.append_array([data, broken, data.slice(0, -3), data])
			write_file(folder + "/%d.torrent" % data.size(), data)
			values.paths.append(folder + "/%d.torrent" % data.size())
	for path: String in [
		"/seed",
		"/seed/data.bin",
		"/seed/pack",
		"/save",
		"/save/../save2",
		"/deep/deep/../deep/deep",
		"/in the way",
		"/in the way/below",
		"/rules.p2p",
		"/nothing",
		"//twice//",
		"/ünï 漢字",
		"/" + "n".repeat(300),
		"/\u0001\n",
	]:
		if not folder + path in values.paths:
			values.paths.append(folder + path)
	values.paths.append(ProjectSettings.globalize_path(folder + "/seed"))


func _supply_file(path: String, bytes: PackedByteArray) -> bool:
	# What was a file may be somebody's folder by now, and the other way round.
	remove_tree(path)
	DirAccess.remove_absolute(path.get_base_dir())
	DirAccess.make_dir_recursive_absolute(path.get_base_dir())
	var file := FileAccess.open(path, FileAccess.WRITE)
	return file != null and file.store_buffer(bytes)


## Everything stops, also what nobody holds any more.
func _end_walk(threads_before: int) -> void:
	_let_go()
	PeerInfo.set_country_resolver(Callable())
	var is_quiet := func() -> bool: return threads() <= threads_before
	assert_true(
		await wait_until(is_quiet, LIMIT),
		"%d threads before, now: %s" % [threads_before, thread_names()]
	)


## Gives up all objects. Not done by who waits for their end: a function keeps what its
## variables held until it returns, also those of a loop that is over.
func _let_go() -> void:
	var sessions := _walk.sessions().duplicate()
	_walk.end()
	for i in sessions.size():
		var session: TorrentSession = sessions[i]
		# The thread that writes the file ends with the last one who holds the logger.
		var path := "%s/last-%d.log" % [folder, i]
		assert_true(session.get_logger().set_log_file(path), "opens %s" % path)
		session.stop_session()


func _expect_documented_errors() -> void:
	var documented := RegEx.create_from_string("^[A-Z][A-Za-z]+(\\.[a-z_]+)?: ")
	for error: GutTrackedError in get_errors():
		if error.is_push_error() and documented.search(error.code) != null:
			error.handled = true
