extends "res://test/integration/torrent_test.gd"
## TorrentSession: addresses that it has nothing to do with.


func test_a_blocked_peer_is_not_connected() -> void:
	var data := make_torrent(100_000)
	var seeding := start_session()
	await seed_torrent(seeding, data)
	var session := new_session()
	assert_true(session.add_ip_filter_rule("127.0.0.0/8", true), "before the start, too")
	session.get_alert_manager().enable_ip_block_alerts(true)
	assert_true(session.start_session_with_settings(LOOPBACK))
	var handle := session.add_torrent_file(data, folder + "/save")
	handle.connect_peer("127.0.0.1", port_of(seeding))
	var is_blocked := func() -> bool:
		return not session.get_alert_manager().get_alerts_by_name("peer_blocked").is_empty()
	assert_true(await wait_until(is_blocked, LIMIT))
	assert_eq(handle.get_status().get_total_done(), 0)
	assert_true(session.set_ip_filter_enabled(false))
	handle.connect_peer("127.0.0.1", port_of(seeding))
	assert_true(await wait_for_signal(handle.finished, LIMIT))


func test_rules_are_read_and_refused() -> void:
	var session := TorrentSession.new()
	assert_true(session.add_ip_filter_rule("10.0.0.1", true))
	assert_true(session.add_ip_filter_rule("10.0.0.1 - 10.0.0.9", false))
	assert_true(session.add_ip_filter_rule("fd00::/8", true))
	for wrong: String in ["", "10.0.0", "10.0.0.9 - 10.0.0.1", "x/8"]:
		assert_false(session.add_ip_filter_rule(wrong, true), wrong)
		assert_push_error("TorrentSession.add_ip_filter_rule")
	assert_true(session.clear_ip_filter())


func test_lists_are_loaded() -> void:
	var session := TorrentSession.new()
	write_file(
		folder + "/list.p2p",
		"one:1.2.3.4-1.2.3.9\nnonsense\ntwo:5.6.7.8-5.6.7.8\n".to_utf8_buffer()
	)
	assert_eq(session.load_ip_filter(folder + "/list.p2p"), 2)
	write_file(
		folder + "/list.dat", "001.002.003.004 - 001.002.003.009 , 000 , one\n".to_utf8_buffer()
	)
	assert_eq(session.load_ip_filter(folder + "/list.dat"), 1)
	assert_eq(session.load_ip_filter(folder + "/nothing.dat"), -1)
	assert_push_error("TorrentSession.load_ip_filter")
	assert_eq(session.get_last_error().get_code(), TorrentError.PATH_NOT_FOUND)
	assert_eq(rules_of(session), ["1.2.3.4-1.2.3.9", "5.6.7.8-5.6.7.8"])


func test_a_list_of_the_project_is_loaded() -> void:
	var session := TorrentSession.new()
	assert_eq(session.load_ip_filter("res://test/unit/blocked.p2p"), 2)
	assert_eq(rules_of(session), ["192.0.2.0-192.0.2.255", "198.51.100.7-198.51.100.9"])


func test_a_broken_list_changes_nothing() -> void:
	for session: TorrentSession in [TorrentSession.new(), start_session()]:
		assert_true(session.add_ip_filter_rule("10.0.0.0", true))
		var broken := PackedByteArray([255, 255, 255, 255])
		broken.append_array("P2B".to_utf8_buffer())
		# A range that is whole, and one that is not.
		broken.append_array(PackedByteArray([2, 0, 1, 2, 3, 4, 1, 2, 3, 5, 0, 1]))
		write_file(folder + "/list.p2b", broken)
		assert_eq(session.load_ip_filter(folder + "/list.p2b"), -1)
		assert_push_error("TorrentSession.load_ip_filter")
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
		assert_eq(rules_of(session), ["10.0.0.0-10.0.0.0"])


func test_a_rule_that_is_refused_leaves_the_others() -> void:
	var session := start_session()
	assert_true(session.add_ip_filter_rule("10.0.0.0 - 10.0.0.9", true))
	assert_false(session.add_ip_filter_rule("10.0.0", true))
	assert_push_error("TorrentSession.add_ip_filter_rule")
	assert_true(session.add_ip_filter_rule("10.0.0.5", false))
	assert_eq(rules_of(session), ["10.0.0.0-10.0.0.4", "10.0.0.6-10.0.0.9"])


func test_rules_outlive_a_run() -> void:
	var session := start_session()
	assert_true(session.add_ip_filter_rule("10.0.0.0", true))
	session.stop_session()
	assert_eq(rules_of(session), ["10.0.0.0-10.0.0.0"])
	assert_true(session.add_ip_filter_rule("12.0.0.0", true))
	assert_true(session.set_ip_filter_enabled(false))
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	assert_true(session.start_session_with_settings(LOOPBACK))
	assert_eq(rules_of(session), ["10.0.0.0-10.0.0.0", "12.0.0.0-12.0.0.0"])
	assert_true(session.clear_ip_filter())
	assert_eq(rules_of(session), [])


func test_rules_that_are_off_stay_off_with_the_next_run() -> void:
	var data := make_torrent(100_000)
	var seeding := start_session()
	await seed_torrent(seeding, data)
	var session := start_session()
	assert_true(session.add_ip_filter_rule("127.0.0.0/8", true))
	assert_true(session.set_ip_filter_enabled(false))
	session.stop_session()
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	assert_true(session.start_session_with_settings(LOOPBACK))
	var handle := session.add_torrent_file(data, folder + "/save")
	handle.connect_peer("127.0.0.1", port_of(seeding))
	assert_true(await wait_for_signal(handle.finished, LIMIT))


func test_cache_settings() -> void:
	var session := TorrentSession.new()
	assert_true(session.set_cache_size(8))
	assert_eq(session.get_settings().max_queued_disk_bytes, 8 * MIB)
	assert_false(session.set_cache_size(-1))
	assert_push_error("TorrentSession.set_cache_size")
	assert_true(session.set_cache_expiry(30))
	assert_eq(session.get_settings().idle_buffer_time, 30)
	assert_false(session.set_cache_expiry(0))
	assert_push_error("TorrentSession.set_cache_expiry")


func test_countries_come_from_the_games_resolver() -> void:
	var data := make_torrent(4 * MIB)
	var seeding := start_session({"upload_rate_limit": 20_000})
	await seed_torrent(seeding, data)
	var handle := start_session().add_torrent_file(data, folder + "/save")
	handle.connect_peer("127.0.0.1", port_of(seeding))
	assert_true(await wait_until(func() -> bool: return handle.get_peer_info().size() == 1, LIMIT))
	var peer := handle.get_peer_info()[0]
	assert_eq(peer.get_country(), "")
	PeerInfo.set_country_resolver(func(ip: String) -> String: return "at home: " + ip)
	assert_eq(peer.get_country(), "at home: 127.0.0.1")
	PeerInfo.set_country_resolver(Callable())
	assert_eq(peer.get_country(), "")


func test_a_banned_peer_is_gone() -> void:
	var data := make_torrent(4 * MIB)
	var seeding := start_session({"upload_rate_limit": 20_000})
	await seed_torrent(seeding, data)
	var handle := start_session().add_torrent_file(data, folder + "/save")
	handle.connect_peer("127.0.0.1", port_of(seeding))
	assert_true(await wait_until(func() -> bool: return handle.get_peer_info().size() == 1, LIMIT))
	assert_true(handle.ban_peer("127.0.0.1"))
	assert_true(await wait_until(func() -> bool: return handle.get_peer_info().is_empty(), LIMIT))
	assert_false(handle.ban_peer("somebody"))
	assert_push_error("TorrentHandle.ban_peer")


func test_half_open_connections_are_limited() -> void:
	var session := TorrentSession.new()
	assert_true(session.set_max_half_open_connections(7))
	assert_eq(session.get_settings().half_open_limit, 7)
	assert_false(session.set_max_half_open_connections(-1))
	assert_push_error("TorrentSession.set_max_half_open_connections")
