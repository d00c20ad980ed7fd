extends "res://test/integration/torrent_test.gd"
## AlertManager: the mask, the queue, who is told.


func test_at_first_only_errors_get_in() -> void:
	var manager := AlertManager.new()
	assert_eq(manager.get_alert_mask(), AlertManager.CATEGORY_ERROR)
	assert_eq(manager.get_alerts().size(), 0)
	assert_eq(manager.get_dropped_count(), 0)
	assert_gt(manager.get_queue_limit(), 0)


func test_each_switch_turns_its_bits_on_and_off() -> void:
	var manager := AlertManager.new()
	var progress := AlertManager.CATEGORY_PIECE_PROGRESS | AlertManager.CATEGORY_FILE_PROGRESS
	var switches := {
		"enable_error_alerts": AlertManager.CATEGORY_ERROR,
		"enable_status_alerts": AlertManager.CATEGORY_STATUS,
		"enable_storage_alerts": AlertManager.CATEGORY_STORAGE,
		"enable_peer_alerts": AlertManager.CATEGORY_PEER,
		"enable_connect_alerts": AlertManager.CATEGORY_CONNECT,
		"enable_tracker_alerts": AlertManager.CATEGORY_TRACKER,
		"enable_progress_alerts": progress,
		"enable_piece_progress_alerts": AlertManager.CATEGORY_PIECE_PROGRESS,
		"enable_file_progress_alerts": AlertManager.CATEGORY_FILE_PROGRESS,
	}
	for name: String in switches:
		manager.set_alert_mask(0)
		manager.call(name, true)
		assert_eq(manager.get_alert_mask(), switches[name], name)
		manager.set_alert_mask(AlertManager.CATEGORY_ALL)
		manager.call(name, false)
		assert_eq(manager.get_alert_mask(), AlertManager.CATEGORY_ALL & ~switches[name], name)


func test_the_categories_are_libtorrents_bits() -> void:
	assert_eq(AlertManager.CATEGORY_ERROR, 1)
	assert_eq(AlertManager.CATEGORY_PEER, 2)
	assert_eq(AlertManager.CATEGORY_STORAGE, 8)
	assert_eq(AlertManager.CATEGORY_TRACKER, 16)
	assert_eq(AlertManager.CATEGORY_CONNECT, 32)
	assert_eq(AlertManager.CATEGORY_STATUS, 64)
	assert_eq(AlertManager.CATEGORY_FILE_PROGRESS, 1 << 21)
	assert_eq(AlertManager.CATEGORY_PIECE_PROGRESS, 1 << 22)
	assert_eq(AlertManager.CATEGORY_ALL, 0xffff_ffff)


func test_numbers_that_make_no_sense_are_refused() -> void:
	var manager := AlertManager.new()
	for mask: int in [-1, 1 << 32]:
		assert_false(manager.set_alert_mask(mask))
		assert_push_error("AlertManager.set_alert_mask")
	for limit: int in [-1, 0, 10_000_001]:
		assert_false(manager.set_queue_limit(limit))
		assert_push_error("AlertManager.set_queue_limit")
	assert_eq(manager.get_alert_mask(), AlertManager.CATEGORY_ERROR)
	assert_true(manager.set_queue_limit(5))
	assert_eq(manager.get_queue_limit(), 5)


func test_the_mask_is_a_setting_too() -> void:
	var session := new_session()
	var manager := session.get_alert_manager()
	assert_true(session.apply_settings({"alert_mask": 64, "alert_queue_size": 9}))
	assert_eq(manager.get_alert_mask(), 64)
	assert_eq(manager.get_queue_limit(), 9)
	manager.set_alert_mask(8)
	assert_eq(session.get_settings().alert_mask, 8)


func test_alerts_have_their_fields_and_stay_until_popped() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_STATUS})
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	var manager := session.get_alert_manager()
	var is_there := func() -> bool: return manager.get_alerts_by_name("torrent_finished").size() > 0
	await wait_until(is_there, LIMIT)

	var alert: Dictionary = manager.get_alerts_by_name("torrent_finished")[0]
	assert_eq(alert.type, 26)
	assert_eq(alert.type_name, "torrent_finished")
	assert_eq(alert.what, "torrent_finished")
	assert_eq(alert.category, AlertManager.CATEGORY_STATUS)
	assert_eq(alert.info_hash, handle.get_info_hash())
	assert_ne(alert.message, "")
	assert_almost_eq(alert.timestamp_ms / 1000.0, Time.get_unix_time_from_system(), 60.0)

	assert_eq(manager.get_alerts_by_type(26).size(), 1)
	assert_eq(manager.get_alerts_by_type(9999).size(), 0)
	assert_has(manager.get_torrent_alerts(), alert)
	assert_does_not_have(manager.get_error_alerts(), alert)
	assert_eq(manager.get_peer_alerts().size(), 0)
	assert_eq(manager.get_tracker_alerts().size(), 0)
	assert_has(session.get_alerts(), alert)
	assert_has(manager.pop_alerts(), alert)
	assert_eq(manager.get_alerts_by_name("torrent_finished").size(), 0)


func test_masked_alerts_are_not_made() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_TRACKER})
	watch_signals(session)
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	assert_true(await wait_for_signal(handle.finished, LIMIT), "signals come all the same")
	assert_eq(session.get_alerts().size(), 0)
	assert_signal_not_emitted(session.alert_posted)


func test_the_queue_is_bounded_and_counts_what_it_drops() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var manager := session.get_alert_manager()
	manager.set_queue_limit(2)
	var handle := session.add_torrent_file(make_torrent(64 * 16 * KIB, 16 * KIB), folder + "/seed")
	await finished(handle)
	assert_true(handle.force_recheck())
	await wait_until(func() -> bool: return manager.get_dropped_count() > 0, LIMIT)
	assert_gt(manager.get_dropped_count(), 0)
	assert_lte(manager.get_alerts().size(), 8, "the most important ones may exceed it")
	manager.clear_alerts()
	assert_eq(session.get_alerts().size(), 0)


func test_subscribers_hear_of_one_kind() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_STATUS})
	var manager := session.get_alert_manager()
	watch_signals(session)
	watch_signals(manager)
	var heard: Array[String] = []
	var listener := func(alert: Dictionary) -> void: heard.append(alert.type_name)
	assert_true(manager.subscribe("torrent_finished", listener))
	assert_false(manager.subscribe("torrent_finished", listener), "once is enough")
	assert_push_error("AlertManager.subscribe")
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	await wait_until(func() -> bool: return heard.size() > 0, LIMIT)
	assert_eq(heard, ["torrent_finished"])
	assert_signal_emitted(manager.alert_posted)
	assert_signal_emitted(session.alert_posted)
	assert_eq(
		get_signal_emit_count(manager, "alert_posted"),
		get_signal_emit_count(session, "alert_posted")
	)

	assert_true(manager.unsubscribe("torrent_finished", listener))
	assert_false(manager.unsubscribe("torrent_finished", listener))
	assert_push_error("AlertManager.unsubscribe")
	watch_signals(handle)
	handle.force_recheck()
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	assert_eq(heard.size(), 1)


func test_wrong_subscriptions_are_refused() -> void:
	var manager := AlertManager.new()
	assert_false(manager.subscribe("no_such_alert", func(_alert: Dictionary) -> void: pass))
	assert_push_error("no_such_alert")
	assert_false(manager.subscribe("torrents_updated", func(_alert: Dictionary) -> void: pass))
	assert_push_error("torrents_updated")
	assert_false(manager.subscribe("torrent_finished", Callable()))
	assert_push_error("AlertManager.subscribe")


func test_what_fails_is_the_last_error_of_the_sessions() -> void:
	var manager := AlertManager.new()
	var listener := func(_alert: Dictionary) -> void: pass
	var name := "torrent_finished"
	assert_true(manager.subscribe(name, listener))
	var calls := {
		"set_alert_mask": [-1],
		"set_queue_limit": [0],
		"subscribe": [name, listener],
		"unsubscribe": [name, func() -> void: pass],
	}
	for method: String in calls:
		var sessions: Array[TorrentSession] = [new_session(), new_session()]
		for session in sessions:
			assert_true(session.set_alert_manager(manager))
		var other := new_session()
		assert_false(manager.callv(method, calls[method]), method)
		assert_push_error("AlertManager." + method)
		for session in sessions:
			var error := session.get_last_error()
			assert_eq(error.get_code(), TorrentError.INVALID_PARAMETER, method)
		assert_false(other.get_last_error().is_error(), "it has a manager of its own")
	for wrong: Array in [["no_such_alert", listener], [name, Callable()]]:
		var session := new_session()
		assert_false(session.get_alert_manager().subscribe(wrong[0], wrong[1]))
		assert_push_error("AlertManager.subscribe")
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PARAMETER)
	var left := new_session()
	assert_true(left.set_alert_manager(manager))
	assert_true(left.set_alert_manager(AlertManager.new()))
	assert_false(manager.set_queue_limit(0))
	assert_push_error("AlertManager.set_queue_limit")
	assert_false(left.get_last_error().is_error(), "it has another manager now")


func test_a_manager_of_the_games_own_takes_over() -> void:
	var manager := AlertManager.new()
	manager.set_alert_mask(AlertManager.CATEGORY_STATUS)
	var session := new_session()
	assert_true(session.set_alert_manager(manager))
	assert_same(session.get_alert_manager(), manager)
	assert_eq(session.get_settings().alert_mask, AlertManager.CATEGORY_STATUS)
	assert_true(session.start_session_with_settings(LOOPBACK))
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	assert_not_null(handle)
	var is_there := func() -> bool: return manager.get_alerts_by_name("torrent_finished").size() > 0
	assert_true(await wait_until(is_there, LIMIT))

	assert_false(session.set_alert_manager(null))
	assert_push_error("TorrentSession.set_alert_manager")
	assert_same(session.get_alert_manager(), manager)
