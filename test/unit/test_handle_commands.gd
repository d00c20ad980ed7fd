extends "res://test/integration/torrent_test.gd"
## TorrentHandle: commands that move and rename files, ask trackers, and clear errors.

const PIECE := 16 * KIB


func test_files_are_moved() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000, PIECE))
	watch_signals(handle)
	assert_true(handle.move_storage(folder + "/moved"))
	assert_true(await wait_for_signal(handle.storage_moved, LIMIT))
	var there := ProjectSettings.globalize_path(folder + "/moved")
	assert_signal_emitted_with_parameters(handle.storage_moved, [there])
	assert_eq(handle.get_save_path(), there)
	assert_eq(FileAccess.get_file_as_bytes(there + "/data.bin"), content(100_000))
	assert_signal_not_emitted(handle.storage_move_failed)
	assert_false(handle.move_storage(""))
	assert_push_error("TorrentHandle.move_storage: ")


func test_a_file_is_renamed() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000, PIECE))
	watch_signals(handle)
	assert_true(handle.rename_file(0, "other.bin"))
	assert_true(await wait_for_signal(handle.file_renamed, LIMIT))
	assert_signal_emitted_with_parameters(handle.file_renamed, [0, "other.bin"])
	assert_file_exists(folder + "/seed/other.bin")
	assert_file_does_not_exist(folder + "/seed/data.bin")
	for index: int in [-1, 1, 1 << 40]:
		assert_false(handle.rename_file(index, "x.bin"))
		assert_push_error("TorrentHandle.rename_file: ")
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_FILE_INDEX)


func test_an_error_is_cleared() -> void:
	write_file(folder + "/in the way", PackedByteArray([1]))
	var data := make_torrent(100_000, PIECE)
	var seeder := start_session()
	await seed_torrent(seeder, data)
	var handle := start_session().add_torrent_file(data, folder + "/in the way")
	watch_signals(handle)
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	var is_told := func() -> bool: return get_signal_emit_count(handle, "error_occurred") > 0
	assert_true(await wait_until(is_told, LIMIT))
	assert_ne(handle.get_status().get_error(), "")
	assert_push_error("in the way")
	DirAccess.remove_absolute(folder + "/in the way")
	assert_true(handle.clear_error())
	var is_well := func() -> bool: return handle.get_status().get_error() == ""
	assert_true(await wait_until(is_well, LIMIT))


func test_clearing_no_error_is_none() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(1000))
	assert_true(handle.clear_error())
	assert_true(handle.is_valid())


func test_trackers_are_scraped() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/save")
	assert_true(handle.scrape_tracker(), "nobody to ask is no error")
	assert_true(handle.add_tracker("http://127.0.0.1:1/announce"))
	assert_true(handle.scrape_tracker())
	var manager := session.get_alert_manager()
	var has_failed := func() -> bool: return manager.get_alerts_by_name("scrape_failed").size() > 0
	assert_true(await wait_until(has_failed, LIMIT), "nobody answers at that port")
	assert_eq(manager.get_tracker_alerts()[0].info_hash, handle.get_info_hash())


func test_availability_is_known_for_each_piece() -> void:
	var handle := start_session().add_torrent_file(make_torrent(100_000, PIECE), folder + "/save")
	assert_eq(handle.get_piece_availability().size(), 7)
	assert_eq(handle.get_piece_availability().max(), 0, "nobody is there")
