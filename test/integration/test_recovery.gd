extends "res://test/integration/torrent_test.gd"
## Errors of the disk and of peers: told, and over when their cause is.

const PIECE := 16 * KIB


func test_a_folder_that_is_gone_is_an_error() -> void:
	var seeder := start_session()
	var data := make_torrent(MIB, PIECE)
	await seed_torrent(seeder, data)
	var session := start_session()
	var handle := download(session, data, seeder)
	await finished(handle)
	remove_tree(folder + "/save")
	watch_signals(handle)
	assert_true(handle.force_recheck())
	# It may be on a disk that is not there: nothing is downloaded in its place.
	assert_true(await wait_for_signal(handle.error_occurred, LIMIT))
	assert_push_error("out of reach")
	assert_string_contains(handle.get_status().get_error_file(), "/save")
	assert_false(DirAccess.dir_exists_absolute(folder + "/save"))
	# Who wants it anew makes the folder.
	DirAccess.make_dir_recursive_absolute(folder + "/save")
	assert_true(handle.clear_error())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	# Its peer may still be connected: then all of it comes again at once.
	handle.connect_peer("127.0.0.1", port_of(seeder))
	var is_whole := func() -> bool:
		return sha256(folder + "/save/data.bin") == sha256(folder + "/seed/data.bin")
	assert_true(await wait_until(is_whole, LIMIT))
	await finished(handle)
	var came_twice := func() -> bool:
		return handle.get_status().get_total_payload_download() == 2 * MIB
	assert_true(await wait_until(came_twice, LIMIT), "it came twice")


func test_a_place_that_cannot_be_written() -> void:
	var seeder := start_session()
	var data := make_torrent(100_000, PIECE)
	await seed_torrent(seeder, data)
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	# Where not even the administrator makes files.
	var place := "/sys/kernel" if OS.get_name() == "Linux" else _read_only()
	var handle := session.add_torrent_file(data, place)
	assert_not_null(handle)
	watch_signals(handle)
	handle.connect_peer("127.0.0.1", port_of(seeder))
	var is_told := func() -> bool: return get_signal_emit_count(handle, "error_occurred") > 0
	assert_true(await wait_until(is_told, LIMIT))
	assert_push_error("data.bin")
	assert_eq(session.get_last_error().get_category(), TorrentError.STORAGE_ERROR)
	assert_string_contains(handle.get_status().get_error_file(), place)
	await alert_of(session, "file_error")
	# Other pieces may be on their way to the disk yet.
	var is_none_done := func() -> bool: return handle.get_status().get_total_done() == 0
	assert_true(await wait_until(is_none_done, LIMIT))
	assert_true(handle.is_valid())

	# A place that can be written mends it.
	watch_signals(session)
	assert_true(handle.move_storage(folder + "/save"))
	assert_true(await wait_for_signal(handle.storage_moved, LIMIT))
	assert_true(handle.clear_error())
	assert_true(handle.resume())
	handle.connect_peer("127.0.0.1", port_of(seeder))
	await finished(handle)
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))


func _read_only() -> String:
	DirAccess.make_dir_recursive_absolute(folder + "/read_only")
	var path := ProjectSettings.globalize_path(folder + "/read_only")
	FileAccess.set_unix_permissions(path, FileAccess.UNIX_READ_OWNER)
	return path


func test_a_seed_whose_data_has_changed_is_found_out() -> void:
	var seeder := start_session()
	var data := make_torrent(32 * PIECE, PIECE)
	await seed_torrent(seeder, data)
	# The seed does not know.
	var file := FileAccess.open(folder + "/seed/data.bin", FileAccess.READ_WRITE)
	file.seek(7 * PIECE)
	file.store_buffer("something else".to_utf8_buffer())
	file.close()
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var handle := download(session, data, seeder)
	var alert := await alert_of(session, "hash_failed")
	assert_eq(alert.get("piece_index"), 7)
	assert_eq(alert.get("info_hash"), handle.get_info_hash())
	var is_counted := func() -> bool: return handle.get_status().get_total_failed_bytes() >= PIECE
	assert_true(await wait_until(is_counted, LIMIT))
	assert_false(handle.have_piece(7))
	assert_false(handle.get_status().is_finished())
	assert_eq(handle.get_status().get_error(), "", "that is no error of the torrent")

	# Somebody else has it right.
	write_file(folder + "/good/data.bin", content(32 * PIECE))
	var good := start_session({"listen_interfaces": "127.0.0.2:0"})
	var other := good.add_torrent_file(data, folder + "/good")
	assert_true(await wait_until(func() -> bool: return other.get_status().is_seeding(), LIMIT))
	assert_true(handle.connect_peer("127.0.0.2", port_of(good)))
	await finished(handle)
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/good/data.bin"))


func test_a_port_that_is_free_again() -> void:
	# An address that nobody else gets ports of.
	var address := "127.0.0.9"
	var server := TCPServer.new()
	assert_eq(server.listen(0, address), OK)
	var port := server.get_local_port()
	var settings := {
		"listen_interfaces": "%s:%d" % [address, port],
		"max_retry_port_bind": 0,
		"listen_system_port_fallback": false,
	}
	var session := start_session(settings)
	watch_signals(session)
	assert_true(await wait_for_signal(session.listen_failed, LIMIT))
	assert_push_error(str(port))
	server.stop()
	assert_true(session.apply_settings({"listen_interfaces": "127.0.0.1:0"}))
	var has_moved := func() -> bool: return session.get_listening_ports().size() == 1
	assert_true(await wait_until(has_moved, LIMIT))
	assert_true(session.apply_settings({"listen_interfaces": "%s:%d" % [address, port]}))
	var listens := func() -> bool: return Array(session.get_listening_ports()) == [port]
	assert_true(await wait_until(listens, LIMIT))
