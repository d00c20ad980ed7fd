extends "res://test/integration/torrent_test.gd"
## TorrentStatus and PeerInfo of transfers that limits make slow enough to be looked at,
## of seeds, and of torrents while they are moved.

const RATE := 60_000
const BLOCK := 16 * KIB
const PIECE := 4 * BLOCK
## More than comes at that rate for as long as anything is waited for.
const PIECES := 128


## A download with these settings at both ends, and a limit of its own.
func _transfer(seeding: Dictionary, fetching: Dictionary, limit := 0) -> Array[TorrentHandle]:
	var seeder := start_session(seeding)
	var data := make_torrent(PIECES * PIECE, PIECE)
	var seed := await seed_torrent(seeder, data)
	var handle := start_session(fetching).add_torrent_file(data, folder + "/save")
	assert_true(handle.set_download_limit(limit))
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	return [seed, handle]


func test_blocks_come_one_after_the_other() -> void:
	var both := await _transfer({}, {"download_rate_limit": RATE})
	var blocks := {}
	var steps := {}
	var wrong := []
	var is_enough := func() -> bool:
		for shown: Variant in [both[1].get_status()] + both[1].get_peer_info():
			var piece: int = shown.get_downloading_piece_index()
			var block: int = shown.get_downloading_block_index()
			var bytes: int = shown.get_downloading_progress()
			var total: int = shown.get_downloading_total()
			if piece == -1:
				if [block, bytes, total] != [-1, 0, 0]:
					wrong.append([piece, block, bytes, total])
				continue
			var is_possible := piece in range(PIECES) and block in range(4) and total == BLOCK
			if not is_possible or bytes < 0 or bytes > total:
				wrong.append([piece, block, bytes, total])
			blocks[[piece, block]] = true
			steps[bytes] = true
		return blocks.size() >= 3 and steps.size() >= 3
	assert_true(await wait_until(is_enough, LIMIT), "%s %s" % [blocks, steps])
	assert_eq(wrong, [])
	assert_false(both[1].get_status().is_finished())


func test_who_waits_for_a_limit() -> void:
	var both := await _transfer({}, {}, RATE)
	var is_down := func() -> bool: return both[1].get_status().get_down_bandwidth_queue() == 1
	assert_true(await wait_until(is_down, LIMIT), "the download waits")
	assert_eq(both[1].get_status().get_up_bandwidth_queue(), 0)
	assert_true(both[1].set_download_limit(0))
	await finished(both[1])
	var is_over := func() -> bool: return both[1].get_status().get_down_bandwidth_queue() == 0
	assert_true(await wait_until(is_over, LIMIT), "nothing waits any more")


func test_what_a_limit_on_the_other_side_leaves_waiting() -> void:
	var both := await _transfer({"upload_rate_limit": RATE, "send_buffer_watermark": 32_768}, {})
	var is_up := func() -> bool: return both[0].get_status().get_up_bandwidth_queue() == 1
	var is_owed := func() -> bool:
		var peers := both[0].get_peer_info()
		return peers.size() == 1 and peers[0].get_upload_queue_length() > 0
	assert_true(await wait_until(is_up, LIMIT), "the upload waits")
	assert_true(await wait_until(is_owed, LIMIT), "blocks have been asked for")
	assert_eq(both[0].get_status().get_down_bandwidth_queue(), 0)
	assert_eq(both[0].get_status().get_num_uploads(), 1)
	assert_eq(both[1].get_status().get_num_uploads(), 0)
	var is_asked := func() -> bool:
		var peers := both[1].get_peer_info()
		return peers.size() == 1 and peers[0].get_download_queue_length() > 0
	assert_true(await wait_until(is_asked, LIMIT), "the other end knows what it has asked for")
	var is_fast := func() -> bool:
		var status := both[1].get_status()
		return status.get_download_payload_rate() > 0 and status.get_eta() > 0
	assert_true(await wait_until(is_fast, LIMIT), "at a rate that says when it is over")


func test_a_slot_to_give_somebody_a_chance() -> void:
	var settings := {"unchoke_slots_limit": 1, "unchoke_interval": 1, "upload_rate_limit": RATE}
	var both := await _transfer(settings, {})
	var other := start_session().add_torrent_file(
		both[0].get_torrent_file_data(), folder + "/other"
	)
	assert_true(other.connect_peer("127.0.0.1", port_of(_sessions[0])))
	var is_given := func() -> bool:
		var peers := both[0].get_peer_info()
		return peers.any(func(it: PeerInfo) -> bool: return it.is_optimistic_unchoke())
	assert_true(await wait_until(is_given, LIMIT), "two want the only slot")
	for peer in both[0].get_peer_info():
		assert_false(peer.is_optimistic_unchoke() and peer.is_choked())


func test_a_seed_counts_its_time() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000))
	var counts := func() -> bool: return handle.get_status().get_seeding_time() >= 1
	assert_true(await wait_until(counts, LIMIT))
	var status := handle.get_status()
	assert_gte(status.get_finished_time(), status.get_seeding_time())
	assert_gte(status.get_active_time(), status.get_finished_time())
	assert_lte(status.get_active_time(), int(LIMIT))
	assert_gt(status.get_seed_rank(), 0)
	assert_almost_eq(
		float(status.get_last_seen_complete()), Time.get_unix_time_from_system(), LIMIT
	)


func test_a_torrent_that_is_moved() -> void:
	for number in 300:
		write_file(folder + "/seed/many/%d.bin" % number, content(100, number))
	var data := torrent_of(folder + "/seed/many")
	var handle := await seed_torrent(start_session(), data)
	# A move may be over between two looks, on a machine that does something else.
	var deadline := Time.get_ticks_msec() + int(LIMIT * 1000)
	var is_seen := false
	var moves := 0
	while not is_seen and Time.get_ticks_msec() < deadline:
		moves += 1
		var target := ProjectSettings.globalize_path(folder + "/moved/%d" % moves)
		assert_true(handle.move_storage(target))
		while handle.get_save_path() != target and Time.get_ticks_msec() < deadline:
			is_seen = is_seen or handle.get_status().is_moving_storage()
	assert_true(is_seen, "in %d moves" % moves)
	var is_over := func() -> bool: return not handle.get_status().is_moving_storage()
	assert_true(await wait_until(is_over, LIMIT))
