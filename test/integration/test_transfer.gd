extends "res://test/integration/torrent_test.gd"
## Transfers between two sessions over loopback, and what a game hears of them.

var _seeder: TorrentSession
var _leecher: TorrentSession


func before_each() -> void:
	super()
	_seeder = start_session()
	_leecher = start_session()


func after_each() -> void:
	_seeder = null
	_leecher = null
	await super()


## Three files that end within pieces.
func make_pack(piece_size := 16 * KIB) -> PackedByteArray:
	return make_files(
		{"pack/a.bin": 1_000_001, "pack/b/c.bin": 77, "pack/d.bin": 500_000}, piece_size
	)


func make_files(sizes: Dictionary, piece_size: int) -> PackedByteArray:
	for name: String in sizes:
		write_file(folder + "/seed/" + name, content(sizes[name], sizes[name]))
	return torrent_of(folder + "/seed/pack", piece_size)


func assert_same_file(name: String) -> void:
	var got := folder + "/save/" + name
	assert_file_exists(got)
	assert_eq(sha256(got), sha256(folder + "/seed/" + name), name)


func test_a_file_arrives_byte_for_byte() -> void:
	var data := make_torrent(3 * MIB + 12_345, 64 * KIB)
	await seed_torrent(_seeder, data)
	var handle := download(_leecher, data, _seeder)
	watch_signals(handle)
	watch_signals(_leecher)
	assert_true(await wait_for_signal(handle.finished, LIMIT))
	assert_same_file("data.bin")

	assert_signal_emit_count(handle.finished, 1)
	assert_signal_emit_count(_leecher.torrent_finished, 1)
	assert_signal_emitted_with_parameters(_leecher.torrent_finished, [handle])
	var pieces := handle.get_status().get_num_pieces()
	assert_eq(pieces, 49)
	# Single pieces may be told of after the end.
	var all_told := func() -> bool: return get_signal_emit_count(handle, "piece_finished") >= pieces
	assert_true(await wait_until(all_told, LIMIT))
	assert_signal_emit_count(handle.piece_finished, pieces)
	assert_signal_emitted_with_parameters(handle.file_completed, [0])
	assert_signal_emitted(handle.state_changed)
	assert_signal_emitted(_leecher.torrent_state_changed)
	var is_told := func() -> bool: return get_signal_parameters(handle.progress_changed) == [1.0]
	assert_true(await wait_until(is_told, LIMIT), "the last progress that is told is 1.0")
	var is_updated := func() -> bool: return get_signal_emit_count(_leecher, "torrents_updated") > 0
	assert_true(await wait_until(is_updated, LIMIT))
	assert_eq(get_signal_parameters(_leecher.torrents_updated)[0], [handle])

	var is_counted := func() -> bool:
		return handle.get_status().get_total_payload_download() == 3 * MIB + 12_345
	assert_true(await wait_until(is_counted, LIMIT), "every byte is counted")
	var status := handle.get_status()
	assert_eq(status.get_total_done(), 3 * MIB + 12_345)
	assert_gt(status.get_total_download(), status.get_total_payload_download())
	assert_eq(status.get_total_failed_bytes(), 0)
	assert_gt(status.get_completed_time(), 0)


func test_awaiting_the_end_is_all_that_a_game_needs() -> void:
	var data := make_torrent(MIB)
	await seed_torrent(_seeder, data)
	var handle := download(_leecher, data, _seeder)
	var watchdog := get_tree().create_timer(LIMIT)
	var give_up := func() -> void: handle.finished.emit()
	watchdog.timeout.connect(give_up)
	await handle.finished
	assert_gt(watchdog.time_left, 0.0, "finished in time")
	watchdog.timeout.disconnect(give_up)
	assert_same_file("data.bin")


func test_every_file_of_a_folder_arrives(
	piece_size: int = use_parameters([16 * KIB, 64 * KIB, MIB])
) -> void:
	var data := make_pack(piece_size)
	await seed_torrent(_seeder, data)
	var handle := download(_leecher, data, _seeder)
	watch_signals(handle)
	await finished(handle)
	for name: String in ["pack/a.bin", "pack/b/c.bin", "pack/d.bin"]:
		assert_same_file(name)
	assert_eq(handle.get_file_progress(), [1_000_001, 77, 500_000])
	var all_told := func() -> bool: return get_signal_emit_count(handle, "file_completed") == 3
	assert_true(await wait_until(all_told, LIMIT))


func test_pieces_in_order_arrive_too() -> void:
	var data := make_torrent(MIB, 16 * KIB)
	await seed_torrent(_seeder, data)
	var params := {"torrent_data": data, "save_path": folder + "/save", "sequential_download": true}
	var handle := _leecher.add_torrent(params)
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(handle)
	assert_same_file("data.bin")


func test_files_that_are_not_wanted_do_not_come() -> void:
	# The first file ends with a piece, so that nothing of it comes along.
	var data := make_files({"pack/a.bin": 20 * 16 * KIB, "pack/b.bin": 100_000}, 16 * KIB)
	await seed_torrent(_seeder, data)
	var params := {"torrent_data": data, "save_path": folder + "/save", "file_priorities": [0, 4]}
	var handle := _leecher.add_torrent(params)
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(handle)
	assert_same_file("pack/b.bin")
	assert_eq(handle.get_status().get_state(), TorrentStatus.STATE_FINISHED)
	assert_false(handle.get_status().is_seeding())
	assert_false(handle.have_piece(0))
	assert_file_does_not_exist(folder + "/save/pack/a.bin")

	# Wanted after all, it comes.
	assert_true(handle.set_file_priority(0, 4))
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT))
	assert_same_file("pack/a.bin")


func test_a_paused_torrent_waits() -> void:
	var data := await half_of_a_seed(_seeder)
	var handle := download(_leecher, data, _seeder)
	await wait_for_half(handle)
	assert_true(handle.pause())
	var is_alone := func() -> bool:
		return handle.get_status().is_paused() and handle.get_status().get_num_connections() == 0
	assert_true(await wait_until(is_alone, LIMIT))

	# The rest is there now, but nobody asks for it before the resume.
	write_file(folder + "/seed/data.bin", content(MIB))
	var seed := _seeder.get_torrents()[0]
	seed.force_recheck()
	assert_true(await wait_until(func() -> bool: return seed.get_status().is_seeding(), LIMIT))
	assert_eq(handle.get_status().get_pieces_downloaded(), 32)
	assert_true(handle.resume())
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(handle)
	assert_same_file("data.bin")


func test_a_paused_session_waits() -> void:
	var data := make_torrent(MIB)
	await seed_torrent(_seeder, data)
	assert_true(_leecher.pause_session())
	var handle := download(_leecher, data, _seeder)
	var other := start_session()
	var control := other.add_torrent_file(data, folder + "/control")
	control.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(control)
	assert_eq(handle.get_status().get_total_done(), 0, "nothing came while another one finished")
	assert_true(_leecher.resume_session())
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(handle)
	assert_same_file("data.bin")


func test_damage_is_found_and_mended() -> void:
	var data := make_torrent(MIB, 16 * KIB)
	await seed_torrent(_seeder, data)
	var handle := download(_leecher, data, _seeder)
	await finished(handle)
	var file := FileAccess.open(folder + "/save/data.bin", FileAccess.READ_WRITE)
	file.seek(5 * 16 * KIB)
	file.store_buffer("damage".to_utf8_buffer())
	file.close()
	assert_ne(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))
	watch_signals(handle)
	assert_true(handle.force_recheck())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	handle.connect_peer("127.0.0.1", port_of(_seeder))
	await finished(handle)
	assert_same_file("data.bin")


func test_an_earlier_check_does_not_answer_a_later_one() -> void:
	var data := make_torrent(MIB, 16 * KIB)
	await seed_torrent(_seeder, data)
	var handle: TorrentHandle = _seeder.get_torrents()[0]
	# Its signals are on their way already.
	assert_true(handle.force_recheck())
	OS.delay_msec(200)
	var file := FileAccess.open(folder + "/seed/data.bin", FileAccess.READ_WRITE)
	file.seek(5 * 16 * KIB)
	file.store_buffer("damage".to_utf8_buffer())
	file.close()
	assert_true(handle.force_recheck())
	assert_false(handle.get_status().is_seeding(), "the state from before is gone")
	watch_signals(handle)
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	assert_eq(handle.get_status().get_state(), TorrentStatus.STATE_DOWNLOADING)
	assert_false(handle.have_piece(5), "the damage is found")
	assert_signal_emit_count(handle, "checked", 1)


func test_getters_show_what_was_just_set() -> void:
	var data := make_torrent(MIB, 16 * KIB)
	await seed_torrent(_seeder, data)
	var handle: TorrentHandle = _seeder.get_torrents()[0]
	assert_true(handle.add_tracker("http://127.0.0.1:9/announce", 0))
	assert_eq(handle.get_trackers().size(), 1)
	assert_true(handle.remove_tracker("http://127.0.0.1:9/announce"))
	assert_eq(handle.get_trackers().size(), 0)
	assert_true(handle.pause())
	assert_true(handle.get_status().is_paused())
	assert_true(handle.resume())
	assert_false(handle.get_status().is_paused())
	assert_true(handle.move_storage(folder + "/moved"))
	assert_true(handle.get_status().is_moving_storage())
	assert_true(handle.pause())
	assert_true(_seeder.remove_torrent(handle))
	assert_true(await wait_for_signal(handle.removed, LIMIT))


func test_what_is_there_is_not_fetched_again() -> void:
	var data := make_torrent(MIB, 16 * KIB)
	await seed_torrent(_seeder, data)
	write_file(folder + "/save/data.bin", content(MIB).slice(0, MIB / 2))
	var handle := download(_leecher, data, _seeder)
	await finished(handle)
	assert_same_file("data.bin")
	var is_counted := func() -> bool:
		return handle.get_status().get_total_payload_download() == MIB / 2
	assert_true(await wait_until(is_counted, LIMIT), "only what was missing has come")


func test_peers_can_be_looked_at() -> void:
	var data := await half_of_a_seed(_seeder)
	var handle := download(_leecher, data, _seeder)
	await wait_for_half(handle)
	var both_see := func() -> bool:
		var seed := _seeder.get_torrents()[0]
		return handle.get_peer_info().size() == 1 and seed.get_peer_info().size() == 1
	assert_true(await wait_until(both_see, LIMIT))

	var peer: PeerInfo = handle.get_peer_info()[0]
	assert_eq(peer.get_ip(), "127.0.0.1")
	assert_eq(peer.get_port(), port_of(_seeder))
	assert_eq(peer.get_connection_type(), "tcp")
	assert_string_contains(peer.get_source(), "manual")
	assert_false(peer.is_incoming())
	assert_true(peer.is_local())
	assert_false(peer.is_seed())
	assert_almost_eq(peer.get_progress(), 0.5, 0.01)
	assert_eq(peer.get_pieces_downloaded(), 32)
	assert_eq(peer.get_total_download(), MIB / 2)
	assert_ne(peer.get_client(), "")
	assert_ne(peer.get_peer_id(), "")
	assert_gt(handle.get_piece_availability().size(), 0)
	assert_eq(handle.get_piece_availability().max(), 1)
	assert_eq(handle.get_status().get_num_peers(), 1)

	var incoming: PeerInfo = _seeder.get_torrents()[0].get_peer_info()[0]
	assert_true(incoming.is_incoming())
	assert_string_contains(incoming.get_source(), "incoming")
	var dictionary := peer.get_peer_dictionary()
	for name: String in dictionary:
		var getter := name if peer.has_method(name) else "get_" + name
		assert_true(peer.has_method(getter), getter)
	assert_eq(PeerInfo.new().get_ip(), "")
	assert_eq(PeerInfo.new().get_peer_dictionary().size(), dictionary.size())


func test_several_leechers_help_one_another() -> void:
	var data := make_torrent(4 * MIB, 64 * KIB)
	await seed_torrent(_seeder, data)
	var handles: Array[TorrentHandle] = []
	var sessions: Array[TorrentSession] = []
	for i in 3:
		var session := start_session()
		var handle := session.add_torrent_file(data, folder + "/save/%d" % i)
		handle.connect_peer("127.0.0.1", port_of(_seeder))
		for other in sessions:
			handle.connect_peer("127.0.0.1", port_of(other))
		handles.append(handle)
		sessions.append(session)
	for i in 3:
		await finished(handles[i])
		assert_eq(sha256(folder + "/save/%d/data.bin" % i), sha256(folder + "/seed/data.bin"))
