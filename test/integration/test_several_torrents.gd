extends "res://test/integration/torrent_test.gd"
## Several torrents of one session: side by side, one after another, one without the
## others.

const COUNT := 5

var _seeder: TorrentSession = null
var _torrents: Array[PackedByteArray] = []


func before_each() -> void:
	super()
	_torrents.clear()
	_seeder = start_session()
	for number in COUNT:
		_torrents.append(make_torrent(300_000 + number, 32 * KIB, "%d.bin" % number))
	for data in _torrents:
		await seed_torrent(_seeder, data)


func after_each() -> void:
	_seeder = null
	await super()


func download_all(session: TorrentSession) -> Array[TorrentHandle]:
	var handles: Array[TorrentHandle] = []
	for data in _torrents:
		handles.append(download(session, data, _seeder))
	return handles


func assert_arrived(number: int) -> void:
	var name := "/%d.bin" % number
	assert_eq(sha256(folder + "/save" + name), sha256(folder + "/seed" + name), name)


func test_all_of_them_arrive() -> void:
	var session := start_session()
	var handles := download_all(session)
	assert_eq(session.get_torrents().size(), COUNT)
	for number in COUNT:
		await finished(handles[number])
		assert_arrived(number)
		assert_same(session.find_torrent(handles[number].get_info_hash()), handles[number])


func test_one_that_is_removed_leaves_the_others() -> void:
	_seeder.set_upload_rate_limit(500_000)
	var session := start_session()
	var handles := download_all(session)
	var has_begun := func() -> bool: return handles[2].get_status().get_total_done() > 0
	assert_true(await wait_until(has_begun, LIMIT))
	assert_true(session.remove_torrent(handles[2], true))
	assert_eq(session.get_torrents().size(), COUNT - 1)
	for number: int in [0, 1, 3, 4]:
		await finished(handles[number])
		assert_arrived(number)
	var is_gone := func() -> bool: return not FileAccess.file_exists(folder + "/save/2.bin")
	assert_true(await wait_until(is_gone, LIMIT))


func test_one_that_is_paused_waits_alone() -> void:
	var session := start_session()
	var params := {"torrent_data": _torrents[0], "save_path": folder + "/save", "paused": true}
	var paused := session.add_torrent(params)
	assert_true(paused.connect_peer("127.0.0.1", port_of(_seeder)))
	var handle := download(session, _torrents[1], _seeder)
	await finished(handle)
	assert_eq(paused.get_status().get_total_done(), 0)
	assert_true(paused.resume())
	assert_true(paused.connect_peer("127.0.0.1", port_of(_seeder)))
	await finished(paused)
	assert_arrived(0)


func test_the_queue_lets_one_run_at_a_time() -> void:
	var session := start_session({"active_downloads": 1, "active_limit": 1})
	var handles: Array[TorrentHandle] = []
	for data in _torrents.slice(0, 3):
		var params := {"torrent_data": data, "save_path": folder + "/save", "auto_managed": true}
		handles.append(session.add_torrent(params))
	var positions := handles.map(
		func(handle: TorrentHandle) -> int: return handle.get_queue_position()
	)
	assert_eq(positions, [0, 1, 2])
	var running := func() -> int:
		return (
			handles
			. filter(
				func(handle: TorrentHandle) -> bool: return not handle.get_status().is_paused()
			)
			. size()
		)
	assert_true(await wait_until(func() -> bool: return running.call() == 1, LIMIT))
	assert_true(handles[2].queue_top())
	assert_eq(handles[2].get_queue_position(), 0)
	var is_first := func() -> bool:
		return not handles[2].get_status().is_paused() and running.call() == 1
	assert_true(await wait_until(is_first, LIMIT), "the first in the queue is the one that runs")
