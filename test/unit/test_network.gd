extends "res://test/integration/torrent_test.gd"
## TorrentSession: where it listens, and how it stands in the network.


func test_nothing_is_known_of_a_session_that_does_not_run() -> void:
	var session := TorrentSession.new()
	assert_eq(session.get_network_status(), {})
	assert_eq(session.run_network_diagnostics(), {})
	assert_true(session.is_ipv6_enabled(), "the default listens on both")


func test_the_status_and_the_diagnosis() -> void:
	var session := start_session()
	var status := session.get_network_status()
	assert_true(status.is_listening)
	assert_true(status.ipv4)
	assert_false(status.ipv6)
	assert_eq(status.listening, ["127.0.0.1:%d" % port_of(session)])
	assert_eq(status.listen_errors, [])
	assert_eq(status.num_connections, 0)
	assert_gt(status.connections_limit, 0)
	var found := session.run_network_diagnostics()
	assert_true(found.listening.ok, found.listening.message)
	assert_false(found.incoming_connections.ok)
	assert_string_contains(found.listening.message, str(port_of(session)))


func test_the_loopback_interface_is_there() -> void:
	var found := TorrentSession.new().get_network_interfaces()
	var addresses := found.map(func(it: Dictionary) -> String: return it.address)
	assert_has(addresses, "127.0.0.1")
	var loopback: Dictionary = found[addresses.find("127.0.0.1")]
	assert_true(loopback.loopback)
	assert_false(loopback.ipv6)


func test_listening_moves_at_once() -> void:
	var session := start_session()
	watch_signals(session)
	assert_true(session.apply_settings({"listen_interfaces": "127.0.0.2:0"}))
	var has_moved := func() -> bool:
		var listening: Array = session.get_network_status().listening
		return listening.size() == 1 and listening[0].begins_with("127.0.0.2:")
	assert_true(await wait_until(has_moved, LIMIT))
	assert_signal_not_emitted(session, "listen_failed")


func test_one_interface_alone() -> void:
	var session := new_session()
	assert_true(session.apply_settings({"listen_port": 7001}))
	assert_true(session.bind_network_interface("127.0.0.1"))
	assert_eq(session.get_settings().listen_interfaces, "127.0.0.1:7001")
	assert_eq(session.get_settings().outgoing_interfaces, "127.0.0.1")
	assert_true(session.bind_network_interface())
	assert_eq(session.get_settings().outgoing_interfaces, "")
	assert_false(session.bind_network_interface("not an interface"))
	assert_push_error("TorrentSession.bind_network_interface")


func test_ipv6_can_be_left_out() -> void:
	var session := new_session()
	assert_true(session.enable_ipv6(false))
	assert_false(session.is_ipv6_enabled())
	assert_false("[::]" in session.get_settings().listen_interfaces)
	assert_true(session.enable_ipv6())
	assert_true(session.is_ipv6_enabled())


func test_rate_limits_of_the_session() -> void:
	var session := start_session()
	assert_true(session.set_download_rate_limit(100_000))
	assert_eq(session.get_download_rate_limit(), 100_000)
	assert_true(session.set_upload_rate_limit(50_000))
	assert_eq(session.get_upload_rate_limit(), 50_000)
	assert_false(session.set_download_rate_limit(-5))
	assert_push_error("download_rate_limit")
	assert_eq(session.get_download_rate_limit(), 100_000)
	for bad: int in [-5, 1 << 40]:
		assert_false(session.set_upload_rate_limit(bad))
		assert_push_error("TorrentSession.set_upload_rate_limit: ")
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
		assert_eq(session.get_upload_rate_limit(), 50_000)
