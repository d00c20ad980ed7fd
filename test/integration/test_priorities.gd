extends "res://test/integration/torrent_test.gd"
## What is wanted, and how soon: priorities of pieces and files, order, deadlines.

const ScriptedPeer := preload("res://test/integration/scripted_peer.gd")

## Of one block, so that a request is that of a piece.
const PIECE := 16 * KIB


## The pieces of a download in the order in which they are asked for: in which they arrive
## and are hashed is the machine's affair too. `prepare` is told of the handle before it
## knows its peer.
func asked_for(prepare: Callable) -> Array[int]:
	var data := make_torrent(64 * PIECE, PIECE)
	var peer := ScriptedPeer.new()
	peer.payload = content(64 * PIECE)
	add_child_autofree(peer)
	var port := peer.open(TorrentInfo.from_data(data))
	var handle := start_session().add_torrent_file(data, folder + "/save")
	var arrived: Array[int] = []
	handle.piece_finished.connect(func(index: int) -> void: arrived.append(index))
	var is_ready := func() -> bool:
		return handle.get_status().get_state() == TorrentStatus.STATE_DOWNLOADING
	assert_true(await wait_until(is_ready, LIMIT))
	prepare.call(handle)
	assert_true(handle.connect_peer("127.0.0.1", port))
	await finished(handle)
	var wanted := handle.get_piece_priorities().size() - handle.get_piece_priorities().count(0)
	assert_true(await wait_until(func() -> bool: return arrived.size() == wanted, LIMIT))
	var order: Array[int] = []
	for request in peer.requests:
		order.append(request.x)
	arrived.sort()
	var asked := order.duplicate()
	asked.sort()
	assert_eq(arrived, asked, "each piece that was asked for has come, once")
	return order


func test_urgent_pieces_come_first() -> void:
	var order := await asked_for(
		func(handle: TorrentHandle) -> void:
			for piece: int in [20, 41, 63]:
				assert_true(handle.set_piece_priority(piece, 7))
	)
	for piece: int in [20, 41, 63]:
		assert_lt(order.find(piece), 12, "piece %d in %s" % [piece, order])


func test_pieces_that_are_not_wanted_do_not_come() -> void:
	var order := await asked_for(
		func(handle: TorrentHandle) -> void:
			var priorities := PackedByteArray()
			priorities.resize(64)
			for piece in range(8, 16):
				priorities[piece] = 4
			assert_true(handle.prioritize_pieces(priorities))
	)
	order.sort()
	assert_eq(order, range(8, 16) as Array[int])


func test_in_order() -> void:
	var order := await asked_for(
		func(handle: TorrentHandle) -> void: assert_true(handle.set_sequential_download(true))
	)
	assert_eq(order, range(64) as Array[int])


func test_a_piece_with_a_deadline_comes_first() -> void:
	var order := await asked_for(
		func(handle: TorrentHandle) -> void: assert_true(handle.set_piece_deadline(50, 1))
	)
	assert_lt(order.find(50), 12, str(order))


func test_a_file_given_up_in_the_middle() -> void:
	var seeder := start_session()
	write_file(folder + "/seed/pack/a.bin", content(32 * PIECE, 1))
	write_file(folder + "/seed/pack/b.bin", content(32 * PIECE, 2))
	var data := torrent_of(folder + "/seed/pack", PIECE)
	# Nobody has the end of the first file for now, so that it stays in the middle.
	var broken := content(16 * PIECE, 1)
	broken.append_array(content(16 * PIECE, 99))
	write_file(folder + "/seed/pack/a.bin", broken)
	var seed := seeder.add_torrent_file(data, folder + "/seed")
	var is_checked := func() -> bool: return seed.get_pieces().count(1) == 48
	assert_true(await wait_until(is_checked, LIMIT), "three quarters are there")
	var handle := download(start_session(), data, seeder)
	var has_begun := func() -> bool: return handle.get_status().get_pieces_downloaded() > 2
	assert_true(await wait_until(has_begun, LIMIT))
	assert_true(handle.set_file_priority(0, 0))
	await finished(handle)
	assert_eq(sha256(folder + "/save/pack/b.bin"), sha256(folder + "/seed/pack/b.bin"))
	assert_false(handle.get_status().is_seeding())
	assert_eq(handle.get_file_progress()[1], 32 * PIECE)
	assert_lt(handle.get_file_progress()[0], 32 * PIECE)

	# Wanted after all, and there.
	write_file(folder + "/seed/pack/a.bin", content(32 * PIECE, 1))
	assert_true(seed.force_recheck())
	assert_true(await wait_until(func() -> bool: return seed.get_status().is_seeding(), LIMIT))
	assert_true(handle.prioritize_files(PackedByteArray([7, 4])))
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT))
	assert_eq(sha256(folder + "/save/pack/a.bin"), sha256(folder + "/seed/pack/a.bin"))
