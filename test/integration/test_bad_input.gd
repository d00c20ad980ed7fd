extends "res://test/integration/torrent_test.gd"
## What cannot work is refused or reported with its reason, and the session goes on.

const ALERTS := {"alert_mask": 1 | 64}


## Downloads something, to show that the session goes on.
func still_works(session: TorrentSession) -> void:
	var data := make_torrent(200_000, 16 * KIB, "works.bin")
	var seeder := start_session()
	await seed_torrent(seeder, data)
	var handle := download(session, data, seeder)
	await finished(handle)
	assert_eq(sha256(folder + "/save/works.bin"), sha256(folder + "/seed/works.bin"))


func test_a_broken_torrent_file() -> void:
	var session := start_session(ALERTS)
	var data := make_torrent(1000)
	assert_null(session.add_torrent_file(data.slice(0, data.size() - 10), folder + "/save"))
	assert_push_error("TorrentSession.add_torrent_file")
	assert_push_error_count(1, "one error for one call")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_TORRENT_FILE)
	assert_ne(session.get_last_error().get_message(), "")
	var alert := await alert_of(session, "add_torrent")
	assert_eq(alert.get("error_code"), TorrentError.INVALID_TORRENT_FILE)
	assert_ne(alert.get("error"), "")
	assert_eq(session.get_torrents().size(), 0)
	await still_works(session)


func test_an_empty_save_path() -> void:
	# Errors are alerts under the default mask.
	var session := start_session()
	assert_null(session.add_torrent_file(make_torrent(1000), ""))
	assert_push_error("TorrentSession.add_torrent_file")
	assert_eq(session.get_last_error().get_code(), TorrentError.EMPTY_SAVE_PATH)
	var alert := await alert_of(session, "add_torrent")
	assert_eq(alert.get("error_code"), TorrentError.EMPTY_SAVE_PATH)
	await still_works(session)


func test_a_port_in_use() -> void:
	var server := TCPServer.new()
	assert_eq(server.listen(0, "127.0.0.1"), OK)
	var settings := {
		"listen_interfaces": "127.0.0.1:%d" % server.get_local_port(),
		"max_retry_port_bind": 0,
		"listen_system_port_fallback": false,
	}
	var session := start_session(settings.merged(ALERTS))
	watch_signals(session)
	assert_true(await wait_for_signal(session.listen_failed, LIMIT))
	assert_push_error("%d" % server.get_local_port())
	assert_push_error_count(1, "one error for one cause")
	assert_eq(session.get_last_error().get_code(), TorrentError.PORT_BINDING_FAILED)
	assert_string_contains(
		get_signal_parameters(session.listen_failed)[0], str(server.get_local_port())
	)
	var alert := await alert_of(session, "listen_failed")
	assert_eq(alert.get("port"), server.get_local_port())
	assert_true(session.is_running())
	assert_eq(session.get_listening_ports().size(), 0)
	await still_works(session)
	server.stop()


func test_a_port_in_use_and_a_way_out() -> void:
	var first := start_session()
	var taken := port_of(first)
	var second := start_session({"listen_interfaces": "127.0.0.1:%d" % taken})
	assert_ne(port_of(second), taken)
	assert_ne(port_of(second), 0)


func test_a_folder_that_cannot_be_made() -> void:
	var seeder := start_session()
	var data := make_torrent(200_000, 16 * KIB)
	await seed_torrent(seeder, data)
	var session := start_session(ALERTS)
	watch_signals(session)
	# What stands where a folder should be is a file.
	write_file(folder + "/in the way", "a file".to_utf8_buffer())
	var handle := session.add_torrent_file(data, folder + "/in the way/save")
	assert_not_null(handle)
	watch_signals(handle)
	handle.connect_peer("127.0.0.1", port_of(seeder))
	var has_error := func() -> bool: return handle.get_status().get_error() != ""
	assert_true(await wait_until(has_error, LIMIT), "the status names the error")
	var is_told := func() -> bool: return get_signal_emit_count(handle, "error_occurred") > 0
	assert_true(await wait_until(is_told, LIMIT), "the handle tells of it")
	assert_signal_emitted(session.torrent_error)
	assert_same(get_signal_parameters(session.torrent_error)[0], handle)
	assert_push_error("data.bin")
	assert_push_error_count(1, "one error for one cause")
	assert_eq(session.get_last_error().get_category(), TorrentError.STORAGE_ERROR)
	assert_string_contains(handle.get_status().get_error_file(), "in the way")
	await alert_of(session, "file_error")
	assert_false(handle.get_status().is_finished())
	await still_works(session)

	# The cause is gone, so the torrent can go on.
	DirAccess.remove_absolute(folder + "/in the way")
	assert_true(handle.clear_error())
	assert_true(handle.resume())
	handle.connect_peer("127.0.0.1", port_of(seeder))
	await finished(handle)
	assert_eq(sha256(folder + "/in the way/save/data.bin"), sha256(folder + "/seed/data.bin"))


func test_nobody_at_the_other_end() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/save")
	var server := TCPServer.new()
	assert_eq(server.listen(0, "127.0.0.1"), OK)
	var port := server.get_local_port()
	server.stop()
	assert_true(handle.connect_peer("127.0.0.1", port))
	await alert_of(session, "peer_disconnected")
	assert_eq(handle.get_status().get_error(), "", "that is no error of the torrent")


func test_a_tracker_that_is_not_there() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/save")
	var server := TCPServer.new()
	assert_eq(server.listen(0, "127.0.0.1"), OK)
	var url := "http://127.0.0.1:%d/announce" % server.get_local_port()
	server.stop()
	assert_true(handle.add_tracker(url))
	var alert := await alert_of(session, "tracker_error")
	assert_eq(alert.get("tracker_url"), url)
	assert_ne(alert.get("error"), "")
	assert_eq(alert.get("info_hash"), handle.get_info_hash())
	assert_eq(handle.get_trackers()[0].url, url)
	assert_gt(handle.get_trackers()[0].fails, 0, "whoever hears of it can see it")
	assert_eq(handle.get_status().get_error(), "", "that is no error of the torrent")
