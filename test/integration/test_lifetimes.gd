extends "res://test/integration/torrent_test.gd"
## Objects that go, and what others hold of them: sessions dropped while they stop,
## sessions side by side, handles that nobody holds.


func test_a_session_dropped_while_it_stops_ends() -> void:
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	var port := port_of(session)
	var handle := session.add_torrent_file(make_torrent(MIB), folder + "/seed")
	session.stop_session()
	session = null
	assert_false(handle.is_valid())
	assert_eq(handle.get_name(), "data.bin")
	assert_true(await wait_until(_is_free.bind(port), LIMIT), "its port is free")


func test_a_session_dropped_while_it_transfers_ends() -> void:
	var seeder := start_session({"upload_rate_limit": 100_000})
	var data := make_torrent(8 * MIB)
	await seed_torrent(seeder, data)
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	var port := port_of(session)
	var handle := session.add_torrent_file(data, folder + "/save")
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	var has_begun := func() -> bool: return handle.get_status().get_total_download() > 0
	assert_true(await wait_until(has_begun, LIMIT))
	var reference: WeakRef = weakref(session)
	session = null
	assert_null(reference.get_ref(), "nobody else holds it")
	assert_false(handle.is_valid())
	assert_true(await wait_until(_is_free.bind(port), LIMIT), "its port is free")
	var is_alone := func() -> bool: return seeder.get_torrents()[0].get_peer_info().is_empty()
	assert_true(await wait_until(is_alone, LIMIT), "the other end sees it go")


func _is_free(port: int) -> bool:
	var server := TCPServer.new()
	var is_free := server.listen(port, "127.0.0.1") == OK
	server.stop()
	return is_free


func test_two_sessions_do_not_disturb_one_another() -> void:
	var data := make_torrent(MIB)
	var first := start_session({"connections_limit": 33})
	var second := start_session({"connections_limit": 44})
	var one := await seed_torrent(first, data)
	var two := await seed_torrent(second, data)
	assert_not_same(one, two)
	assert_eq(one.get_info_hash(), two.get_info_hash())
	assert_eq([first.get_max_connections(), second.get_max_connections()], [33, 44])
	assert_ne(port_of(first), port_of(second))
	assert_true(one.pause())
	assert_false(two.is_paused())
	first.find_torrent("no hash")
	assert_push_error("TorrentSession.find_torrent")
	assert_false(second.get_last_error().is_error(), "errors are each session's own")
	first.stop_session()
	assert_true(await wait_for_signal(first.session_stopped, LIMIT))
	assert_true(second.is_running())
	assert_true(two.is_valid())
	var leecher := start_session()
	var handle := leecher.add_torrent_file(data, folder + "/save")
	assert_true(handle.connect_peer("127.0.0.1", port_of(second)))
	await finished(handle)


func test_a_handle_that_nobody_holds_is_the_same_again() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/seed")
	var hash := handle.get_info_hash()
	var id := handle.get_instance_id()
	handle = null
	assert_eq(session.find_torrent(hash).get_instance_id(), id)
	assert_eq(session.get_torrents().size(), 1)


func test_the_last_handle_goes_in_its_own_signal() -> void:
	var session := start_session()
	var holder: Array[TorrentHandle] = []
	holder.append(session.add_torrent_file(make_torrent(100_000), folder + "/seed"))
	var reference: WeakRef = weakref(holder[0])
	var told := [0]
	var session_reference: WeakRef = weakref(session)
	holder[0].finished.connect(
		func() -> void:
			told[0] += 1
			session_reference.get_ref().remove_torrent(holder[0])
			holder.clear()
	)
	var is_gone := func() -> bool: return told[0] == 1 and reference.get_ref() == null
	assert_true(await wait_until(is_gone, LIMIT), "the object is freed after its removal")
	assert_eq(session.get_torrents().size(), 0)


func test_alerts_and_logger_outlive_their_session() -> void:
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	var manager := session.get_alert_manager()
	var logger := session.get_logger()
	session.find_torrent("no hash")
	assert_push_error("TorrentSession.find_torrent")
	var error := session.get_last_error()
	session = null
	assert_eq(error.get_context(), "no hash")
	assert_true(manager.set_alert_mask(AlertManager.CATEGORY_STATUS))
	assert_eq(manager.get_alerts().size(), 0)
	manager.clear_alerts()
	assert_true(logger.set_log_level(TorrentLogger.ERROR))
	var next := new_session()
	assert_true(next.set_alert_manager(manager))
	assert_true(next.set_logger(logger))
	assert_eq(next.get_settings().alert_mask, AlertManager.CATEGORY_STATUS)


func test_one_manager_for_two_sessions() -> void:
	var manager := AlertManager.new()
	assert_true(manager.set_alert_mask(AlertManager.CATEGORY_STATUS))
	var hashes := {}
	for number in 2:
		var session := new_session()
		assert_true(session.set_alert_manager(manager))
		assert_true(session.start_session_with_settings(LOOPBACK))
		var data := make_torrent(1000 + number, 32 * KIB, "%d.bin" % number)
		hashes[session.add_torrent_file(data, folder + "/seed").get_info_hash()] = true
	var has_both := func() -> bool:
		return manager.get_alerts_by_name("torrent_finished").size() == 2
	assert_true(await wait_until(has_both, LIMIT))
	for alert in manager.get_alerts_by_name("torrent_finished"):
		assert_has(hashes, alert.info_hash)
