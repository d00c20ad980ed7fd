extends "res://test/integration/torrent_test.gd"
## TorrentSession that does not run, because it was not started or was stopped: what
## needs a running one is refused, each with one error that says so; what is asked of
## it is answered with nothing.

var _data := PackedByteArray()


func before_each() -> void:
	super()
	_data = make_torrent(1000)


func test_one_that_was_not_started() -> void:
	assert_refuses(TorrentSession.new())


func test_one_that_was_stopped() -> void:
	var session := start_session()
	session.stop_session()
	assert_refuses(session)
	assert_true(await session.wait_stopped(LIMIT))
	assert_refuses(session)


func test_one_that_could_not_start() -> void:
	var session := new_session()
	assert_false(session.start_session_with_settings({"listen_interfaces": "no address"}))
	assert_push_error("TorrentSession.start_session_with_settings: ")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
	assert_refuses(session)
	assert_true(session.start_session_with_settings(LOOPBACK), "it can start all the same")


func assert_refuses(session: TorrentSession) -> void:
	assert_false(session.is_running())
	assert_false(session.is_session_paused())
	assert_eq(session.get_torrents(), [] as Array[TorrentHandle])
	assert_eq(session.get_listening_ports(), [] as Array[int])
	assert_eq(session.get_session_stats(), {})
	assert_eq(session.get_network_status(), {})
	assert_eq(session.run_network_diagnostics(), {})
	assert_null(session.find_torrent("ab".repeat(20)))
	assert_eq(session.get_alerts().size(), 0)
	var magnet := "magnet:?xt=urn:btih:" + "ab".repeat(20)
	var refusals: Array[Callable] = [
		session.pause_session,
		session.resume_session,
		session.add_torrent_file.bind(_data, folder),
		session.add_torrent_file_with_resume.bind(_data, folder, PackedByteArray()),
		session.add_magnet_uri.bind(magnet, folder),
		session.add_magnet_uri_with_resume.bind(magnet, folder, PackedByteArray()),
		session.add_torrent.bind({"torrent_data": _data, "save_path": folder}),
		session.remove_torrent.bind(TorrentHandle.new()),
		session.post_torrent_updates,
		session.save_all_resume_data,
	]
	for refusal in refusals:
		var before := get_errors().size()
		assert_true(not refusal.call(), refusal.get_method())
		assert_eq(get_errors().size(), before + 1, "one error of %s" % refusal.get_method())
		assert_push_error("TorrentSession.%s: " % refusal.get_method())
		var code := session.get_last_error().get_code()
		assert_eq(code, TorrentError.SESSION_NOT_RUNNING, refusal.get_method())
	# These do nothing, and say nothing.
	session.stop_session()
	session.clear_alerts()
	session.poll()
	assert_keeps_settings(session)


## Settings are for the next run.
func assert_keeps_settings(session: TorrentSession) -> void:
	assert_true(session.set_max_connections(55))
	assert_eq(session.get_max_connections(), 55)
	assert_true(session.set_ip_filter_enabled(false))
	assert_true(session.set_ip_filter_enabled(true))
	assert_true(session.clear_ip_filter())
	var other := TorrentSession.new()
	assert_true(other.load_state(session.save_state()))
	assert_eq(other.get_max_connections(), 55)
