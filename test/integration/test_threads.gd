extends "res://test/integration/game_test.gd"
## Calls from other threads than the main one: what reads works, all else is refused with
## one error, nothing crashes.

const Common := preload("res://test/integration/threads_common.gd")


func before_each() -> void:
	await super()
	write_file(folder + "/data.torrent", make_torrent(4 * MIB, 32 * KIB))


## What a game prints about its failures.
func _assert_no_failure(output: String) -> void:
	for line in output.split("\n"):
		assert_false(line.begins_with("@fail"), line)


func test_what_does_not_only_read_is_refused_elsewhere() -> void:
	var output := run_game("threads_refused")
	_assert_no_failure(output)
	var calls := 0
	for part: String in output.split("@call ").slice(1):
		var method := part.get_slice("\n", 0).strip_edges()
		var errors := Array(part.split("\n")).filter(
			func(line: String) -> bool: return line.contains("ERROR")
		)
		assert_eq(errors.size(), 1, "%s: %s" % [method, part])
		if errors.size() == 1:
			assert_string_contains(errors[0], method + ": only the main thread may call this")
		calls += 1
	assert_gt(calls, 100, "every method is called")
	assert_string_contains(output, "@end %d" % calls)


func test_what_reads_works_in_every_thread() -> void:
	var output := run_game("threads_reading")
	_assert_no_failure(output)
	assert_string_contains(output, "the threads have read")
	assert_false(output.contains("WRONG_THREAD"), output)
	assert_false(output.contains("panicked"), output)


func test_resources_can_be_loaded_in_threads() -> void:
	var torrent := TorrentFile.new()
	torrent.data = FileAccess.get_file_as_bytes(folder + "/data.torrent")
	assert_eq(ResourceSaver.save(torrent, folder + "/saved.res"), OK)
	var node := Node.new()
	node.set_meta("torrent", torrent)
	var scene := PackedScene.new()
	assert_eq(scene.pack(node), OK)
	assert_eq(ResourceSaver.save(scene, folder + "/scene.tscn"), OK)
	node.free()
	var output := run_game("threads_loading")
	assert_string_contains(output, "the torrent: data.bin")
	assert_string_contains(output, "in the scene: data.bin")
	assert_string_contains(output, "in a thread: true")
	assert_false(output.contains("ERROR"), output)
