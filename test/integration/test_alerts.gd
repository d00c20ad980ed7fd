extends "res://test/integration/torrent_test.gd"
## Alerts of whole transfers: by type, by name, by mask, in order.

## Every alert has these.
const COMMON := ["type", "type_name", "what", "category", "timestamp_ms", "message"]


## What a session that downloads something has to tell under a mask.
func alerts_of_a_download(mask: int) -> AlertManager:
	var seeder := start_session()
	var data := make_torrent(MIB, 64 * KIB)
	await seed_torrent(seeder, data)
	var session := start_session({"alert_mask": mask})
	var handle := download(session, data, seeder)
	watch_signals(handle)
	await finished(handle)
	await wait_until(func() -> bool: return get_signal_emit_count(handle, "finished") > 0, LIMIT)
	return session.get_alert_manager()


func test_the_mask_decides(
	mask: int = use_parameters(
		[
			AlertManager.CATEGORY_STATUS,
			AlertManager.CATEGORY_PIECE_PROGRESS,
			AlertManager.CATEGORY_FILE_PROGRESS,
			AlertManager.CATEGORY_BLOCK_PROGRESS,
			AlertManager.CATEGORY_CONNECT | AlertManager.CATEGORY_PEER,
			AlertManager.CATEGORY_ALL,
		]
	)
) -> void:
	var manager := await alerts_of_a_download(mask)
	var alerts := manager.get_alerts()
	assert_gt(alerts.size(), 0)
	for alert in alerts:
		assert_ne(alert.category & mask, 0, alert.type_name)


func test_types_and_names_say_the_same() -> void:
	var manager := await alerts_of_a_download(AlertManager.CATEGORY_ALL)
	var numbers := {}
	var last := 0
	for alert in manager.get_alerts():
		for field: String in COMMON:
			assert_has(alert, field)
		assert_eq(alert.what, alert.type_name)
		assert_ne(alert.message, "")
		assert_eq(numbers.get_or_add(alert.type_name, alert.type), alert.type)
		assert_gte(alert.timestamp_ms, last, "in the order of time")
		last = alert.timestamp_ms
	assert_eq(_unique(numbers.values()), numbers.size(), "each name has a number of its own")
	for name: String in ["add_torrent", "state_changed", "torrent_finished", "piece_finished"]:
		assert_has(numbers, name)
	var total := 0
	for name: String in numbers:
		var by_name := manager.get_alerts_by_name(name)
		assert_eq_deep(manager.get_alerts_by_type(numbers[name]), by_name)
		total += by_name.size()
	assert_eq(total, manager.get_alerts().size())


func test_each_piece_and_each_file_is_told_once() -> void:
	var manager := await alerts_of_a_download(AlertManager.CATEGORY_ALL)
	var is_told := func() -> bool: return manager.get_alerts_by_name("file_completed").size() > 0
	assert_true(await wait_until(is_told, LIMIT))
	var pieces := manager.get_alerts_by_name("piece_finished").map(
		func(alert: Dictionary) -> int: return alert.piece_index
	)
	pieces.sort()
	assert_eq(pieces, range(16))
	var files := manager.get_alerts_by_name("file_completed")
	assert_eq(files.size(), 1)
	assert_eq(files[0].file_index, 0)


func test_by_group() -> void:
	var manager := await alerts_of_a_download(AlertManager.CATEGORY_ALL)
	for alert in manager.get_torrent_alerts():
		assert_eq(str(alert.info_hash).length(), 40, alert.type_name)
	var peers := AlertManager.CATEGORY_PEER | AlertManager.CATEGORY_CONNECT
	assert_gt(manager.get_peer_alerts().size(), 0)
	for alert in manager.get_peer_alerts():
		assert_ne(alert.category & peers, 0, alert.type_name)
	for alert in manager.get_error_alerts():
		assert_ne(alert.category & AlertManager.CATEGORY_ERROR, 0, alert.type_name)
	assert_eq(manager.get_tracker_alerts().size(), 0)
	var connected := manager.get_alerts_by_name("peer_connect")
	assert_eq(connected.size(), 1)
	assert_eq(connected[0].peer_ip, "127.0.0.1")
	assert_between(connected[0].peer_port, 1, 65_535)


func test_a_mask_takes_effect_at_once() -> void:
	var session := start_session({"alert_mask": 0})
	var manager := session.get_alert_manager()
	var handle := await seed_torrent(session, make_torrent(100_000))
	watch_signals(handle)
	assert_eq(manager.get_alerts().size(), 0)
	manager.enable_status_alerts(true)
	assert_true(handle.force_recheck())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	assert_gt(manager.get_alerts_by_name("torrent_checked").size(), 0)
	assert_gt(manager.pop_alerts().size(), 0)
	await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT)
	manager.enable_status_alerts(false)
	manager.clear_alerts()
	assert_true(handle.force_recheck())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	assert_eq(manager.get_alerts_by_name("torrent_checked").size(), 0)


func test_a_subscriber_may_change_the_subscriptions() -> void:
	var session := start_session({"alert_mask": AlertManager.CATEGORY_STATUS})
	var manager := session.get_alert_manager()
	# Nothing here may hold the manager, which would hold these.
	var reference: WeakRef = weakref(manager)
	var heard: Array[String] = []
	var later := func(alert: Dictionary) -> void: heard.append("later " + alert.type_name)
	var first: Array[Callable] = []
	first.append(
		func(alert: Dictionary) -> void:
			heard.append("first " + alert.type_name)
			reference.get_ref().unsubscribe("torrent_checked", first[0])
			reference.get_ref().subscribe("torrent_checked", later)
	)
	assert_true(manager.subscribe("torrent_checked", first[0]))
	var handle := await seed_torrent(session, make_torrent(100_000))
	await wait_until(func() -> bool: return heard.size() > 0, LIMIT)
	assert_eq(heard[0], "first torrent_checked")
	watch_signals(handle)
	assert_true(handle.force_recheck())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	await wait_until(func() -> bool: return "later torrent_checked" in heard, LIMIT)
	assert_eq(heard.count("first torrent_checked"), 1)
	assert_true(manager.unsubscribe("torrent_checked", later))
	first.clear()


func _unique(values: Array) -> int:
	var seen := {}
	for value: Variant in values:
		seen[value] = true
	return seen.size()
