extends "res://test/integration/torrent_test.gd"
## Files of a torrent that are renamed and moved.


func test_a_file_gets_another_name() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000))
	assert_true(handle.rename_file(0, "deep/other.bin"))
	var told: Array = await handle.file_renamed
	assert_eq(told, [0, "deep/other.bin"])
	var path := handle.get_save_path() + "/deep/other.bin"
	assert_eq(FileAccess.get_file_as_bytes(path), content(100_000))
	assert_false(FileAccess.file_exists(handle.get_save_path() + "/data.bin"))


func test_names_that_lead_out_are_refused() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000))
	for name: String in ["../out.bin", "/tmp/out.bin"]:
		var messages: Array[String] = []
		var listen := func(message: String) -> void: messages.append(message)
		handle.error_occurred.connect(listen)
		var taken := handle.rename_file(0, name)
		if taken:
			assert_true(await wait_until(func() -> bool: return not messages.is_empty(), LIMIT))
		handle.error_occurred.disconnect(listen)
		assert_push_error("not a plain path")
	assert_false(FileAccess.file_exists(folder + "/out.bin"))
	assert_true(FileAccess.file_exists(handle.get_save_path() + "/data.bin"))
	assert_false(handle.rename_file(7, "x"))
	assert_push_error("TorrentHandle.rename_file")


func test_files_move_to_another_folder() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000))
	var old := handle.get_save_path()
	assert_true(handle.move_storage(folder + "/moved"))
	var path: String = await handle.storage_moved
	assert_eq(path, handle.get_save_path())
	assert_ne(path, old)
	assert_eq(FileAccess.get_file_as_bytes(path + "/data.bin"), content(100_000))
	assert_false(FileAccess.file_exists(old + "/data.bin"))
	assert_true(handle.get_status().is_seeding())
	assert_false(handle.get_status().is_moving_storage())


func test_a_move_that_fails_leaves_everything() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000))
	var old := handle.get_save_path()
	write_file(folder + "/in_the_way", PackedByteArray([1]))
	assert_true(handle.move_storage(folder + "/in_the_way"))
	var message: String = await handle.storage_move_failed
	assert_ne(message, "")
	assert_push_error("in_the_way")
	assert_eq(handle.get_save_path(), old)
	assert_true(FileAccess.file_exists(old + "/data.bin"))
	assert_false(handle.move_storage(""))
	assert_push_error("TorrentHandle.move_storage")
