extends "res://test/integration/torrent_test.gd"
## TorrentHandle: what it knows, what it can be told, and refusals. What has to do
## with other peers is in the tests of transfers.

const PIECE := 16 * KIB


## A handle that seeds a torrent of seven pieces, the last one short.
func seeding() -> TorrentHandle:
	return await seed_torrent(start_session(), make_torrent(100_000, PIECE))


## A handle of a torrent of three files that nobody seeds.
func waiting() -> TorrentHandle:
	write_file(folder + "/pack/a.bin", content(5 * PIECE, 1))
	write_file(folder + "/pack/b.bin", content(5 * PIECE, 2))
	write_file(folder + "/pack/c.bin", content(100, 3))
	var data := torrent_of(folder + "/pack", PIECE)
	return start_session().add_torrent_file(data, folder + "/save")


func test_what_it_knows() -> void:
	var handle := await seeding()
	var data := handle.get_torrent_file_data()
	assert_true(handle.is_valid())
	assert_eq(handle.get_name(), "data.bin")
	assert_eq(handle.get_info_hash(), TorrentInfo.from_data(data).get_info_hash())
	assert_eq(handle.get_torrent_info().get_info_hash(), handle.get_info_hash())
	assert_eq(handle.get_torrent_info().get_total_size(), 100_000)
	assert_eq(handle.get_save_path(), ProjectSettings.globalize_path(folder + "/seed"))
	assert_almost_eq(float(handle.get_added_time()), Time.get_unix_time_from_system(), 60.0)
	assert_string_starts_with(handle.get_magnet_uri(), "magnet:?xt=urn:btih:")
	assert_string_contains(handle.get_magnet_uri(), handle.get_info_hash())


func test_pieces_that_are_there() -> void:
	var handle := await seeding()
	assert_eq(handle.get_pieces(), PackedByteArray([1, 1, 1, 1, 1, 1, 1]))
	assert_true(handle.have_piece(0))
	assert_true(handle.have_piece(6))
	assert_eq(handle.get_file_progress(), [100_000])
	assert_eq(handle.get_download_queue().size(), 0)
	for piece: int in [-1, 7, 1 << 40]:
		assert_false(handle.have_piece(piece))
		assert_push_error("TorrentHandle.have_piece")


func test_pieces_that_are_not_there() -> void:
	var handle := waiting()
	assert_eq(handle.get_pieces().size(), 11)
	assert_eq(handle.get_pieces().count(1), 0)
	assert_false(handle.have_piece(0))
	assert_eq(handle.get_file_progress(), [0, 0, 0])


func test_a_piece_is_read() -> void:
	var handle := await seeding()
	watch_signals(handle)
	assert_true(handle.read_piece(6))
	assert_true(await wait_for_signal(handle.piece_read, LIMIT))
	assert_signal_emitted_with_parameters(handle.piece_read, [6, content(100_000).slice(6 * PIECE)])
	for piece: int in [-1, 7]:
		assert_false(handle.read_piece(piece))
		assert_push_error("TorrentHandle.read_piece")


func test_a_piece_that_is_not_there_reads_as_nothing() -> void:
	var handle := waiting()
	watch_signals(handle)
	assert_true(handle.read_piece(0))
	assert_true(await wait_for_signal(handle.piece_read, LIMIT))
	assert_signal_emitted_with_parameters(handle.piece_read, [0, PackedByteArray()])


func test_paused_and_resumed() -> void:
	var handle := await seeding()
	assert_false(handle.is_paused())
	assert_true(handle.pause())
	assert_true(handle.is_paused())
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_paused(), LIMIT))
	assert_true(handle.pause(), "twice is no error")
	assert_true(handle.resume())
	assert_false(handle.is_paused())
	assert_true(await wait_until(func() -> bool: return not handle.get_status().is_paused(), LIMIT))


func test_what_is_on_disk_is_checked_again() -> void:
	var handle := await seeding()
	watch_signals(handle)
	write_file(folder + "/seed/data.bin", content(100_000, 2))
	assert_true(handle.force_recheck())
	assert_true(await wait_for_signal(handle.checked, LIMIT))
	assert_true(await wait_until(func() -> bool: return handle.get_pieces().count(1) == 0, LIMIT))
	assert_false(handle.get_status().is_seeding())
	assert_signal_emitted(handle.state_changed)


# --- priorities ---


func test_priorities_of_pieces() -> void:
	var handle := waiting()
	assert_eq(handle.get_piece_priorities().count(4), 11)
	assert_true(handle.set_piece_priority(2, 7))
	assert_eq(handle.get_piece_priority(2), 7)
	assert_eq(handle.get_piece_priority(3), 4)
	assert_true(handle.prioritize_pieces(PackedByteArray([0, 1])))
	assert_eq(handle.get_piece_priorities().slice(0, 4), PackedByteArray([0, 1, 7, 4]))

	for piece: int in [-1, 11, 1 << 40]:
		assert_false(handle.set_piece_priority(piece, 4))
		assert_push_error("TorrentHandle.set_piece_priority")
		assert_eq(handle.get_piece_priority(piece), 0)
		assert_push_error("TorrentHandle.get_piece_priority")
	for priority: int in [-1, 8, 300]:
		assert_false(handle.set_piece_priority(0, priority))
		assert_push_error("TorrentHandle.set_piece_priority")
	for priorities: Array in [[8], range(12).map(func(_i: int) -> int: return 4)]:
		assert_false(handle.prioritize_pieces(PackedByteArray(priorities)))
		assert_push_error("TorrentHandle.prioritize_pieces")
	assert_eq(handle.get_piece_priorities().slice(0, 4), PackedByteArray([0, 1, 7, 4]))


func test_priorities_of_files() -> void:
	var handle := waiting()
	assert_eq(handle.get_file_priorities(), PackedByteArray([4, 4, 4]))
	assert_true(handle.set_file_priority(1, 0))
	assert_eq(handle.get_file_priority(1), 0)
	assert_eq(handle.get_file_priority(0), 4)
	# The files end with pieces, so each piece is one file's.
	assert_eq(handle.get_piece_priorities(), PackedByteArray([4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 4]))
	assert_true(handle.prioritize_files(PackedByteArray([0, 7])))
	assert_eq(handle.get_file_priorities(), PackedByteArray([0, 7, 4]))

	for file: int in [-1, 3, 1 << 40]:
		assert_false(handle.set_file_priority(file, 4))
		assert_push_error("TorrentHandle.set_file_priority")
		assert_eq(handle.get_file_priority(file), 0)
		assert_push_error("TorrentHandle.get_file_priority")
	for priority: int in [-1, 8, 300]:
		assert_false(handle.set_file_priority(0, priority))
		assert_push_error("TorrentHandle.set_file_priority")
	for priorities: Array in [[8], [4, 4, 4, 4]]:
		assert_false(handle.prioritize_files(PackedByteArray(priorities)))
		assert_push_error("TorrentHandle.prioritize_files")
	assert_eq(handle.get_file_priorities(), PackedByteArray([0, 7, 4]))


# --- limits, peers, trackers ---


func test_limits() -> void:
	var handle := waiting()
	assert_eq(handle.get_max_connections(), -1)
	assert_eq(handle.get_max_uploads(), -1)
	assert_true(handle.set_max_connections(20))
	assert_true(handle.set_max_uploads(5))
	assert_eq(handle.get_max_connections(), 20)
	assert_eq(handle.get_max_uploads(), 5)
	for limit: int in [-2, 0, 1, 1 << 20]:
		assert_false(handle.set_max_connections(limit))
		assert_push_error("TorrentHandle.set_max_connections")
		assert_false(handle.set_max_uploads(limit))
		assert_push_error("TorrentHandle.set_max_uploads")
	assert_true(handle.set_sequential_download(true))
	assert_true(handle.is_sequential_download())
	assert_true(handle.set_sequential_download(false))
	assert_false(handle.is_sequential_download())


func test_peers_that_are_none() -> void:
	var handle := waiting()
	assert_eq(handle.get_peer_info().size(), 0)
	var bad := [["nonsense", 1], ["", 1], ["127.0.0.1", 0], ["127.0.0.1", -1], ["::1", 65_536]]
	for peer: Array in bad:
		assert_false(handle.connect_peer(peer[0], peer[1]))
		assert_push_error("TorrentHandle.connect_peer")


func test_trackers() -> void:
	var handle := waiting()
	assert_eq(handle.get_trackers().size(), 0)
	assert_true(handle.add_tracker("http://127.0.0.1:1/announce"))
	assert_true(handle.add_tracker("http://127.0.0.1:2/announce", 1))
	assert_true(handle.add_tracker("http://127.0.0.1:2/announce", 0), "a known one is no error")
	var urls := func() -> Array:
		return handle.get_trackers().map(func(tracker: Dictionary) -> String: return tracker.url)
	assert_true(await wait_until(func() -> bool: return urls.call().size() == 2, LIMIT))
	var tracker := handle.get_trackers()[1]
	assert_eq(tracker.url, "http://127.0.0.1:2/announce")
	assert_eq(tracker.tier, 1)
	assert_has(tracker, "status")

	assert_true(handle.remove_tracker("http://127.0.0.1:1/announce"))
	var is_left := func() -> bool: return urls.call() == ["http://127.0.0.1:2/announce"]
	assert_true(await wait_until(is_left, LIMIT))
	assert_false(handle.remove_tracker("http://127.0.0.1:1/announce"), "it is gone")
	assert_push_error("TorrentHandle.remove_tracker")

	var tiers := ["http://127.0.0.1:3/a", ["http://127.0.0.1:4/a", "http://127.0.0.1:5/a"]]
	assert_true(handle.replace_trackers(tiers))
	assert_true(await wait_until(func() -> bool: return urls.call().size() == 3, LIMIT))
	assert_true(handle.replace_trackers([{"url": "http://127.0.0.1:6/a", "tier": 3}]))
	assert_true(await wait_until(func() -> bool: return urls.call().size() == 1, LIMIT))
	assert_true(handle.replace_trackers([]))
	assert_true(await wait_until(func() -> bool: return urls.call().is_empty(), LIMIT))


func test_announces_on_demand() -> void:
	var handle := waiting()
	assert_true(handle.force_reannounce(), "nobody to ask is no error")
	assert_true(handle.add_tracker("http://127.0.0.1:1/announce"))
	assert_true(handle.force_reannounce(1, 0))
	for wrong: Array in [[0, 1], [0, -2], [-1, -1], [1 << 40, -1]]:
		assert_false(handle.force_reannounce(wrong[0], wrong[1]))
		assert_push_error("TorrentHandle.force_reannounce")
	assert_true(handle.flush_cache())


func test_trackers_that_are_none() -> void:
	var handle := waiting()
	for url: String in ["", "nonsense", "ftp://tracker/", "file:///etc/passwd"]:
		assert_false(handle.add_tracker(url))
		assert_push_error("TorrentHandle.add_tracker")
		assert_false(handle.replace_trackers([url]))
		assert_push_error("TorrentHandle.replace_trackers")
	assert_false(handle.add_tracker("http://127.0.0.1/a", -1))
	assert_push_error("TorrentHandle.add_tracker")
	for trackers: Array in [[5], [[5]], [{}], [{"url": "http://127.0.0.1/a", "tier": -1}], [null]]:
		assert_false(handle.replace_trackers(trackers))
		assert_push_error("TorrentHandle.replace_trackers")


# --- handles without a torrent ---


func test_after_removal_it_knows_but_cannot_be_told() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000, PIECE))
	session.remove_torrent(handle)
	assert_false(handle.is_valid())
	assert_eq(handle.get_name(), "data.bin")
	assert_eq(handle.get_info_hash().length(), 40)
	assert_eq(handle.get_status().get_total_size(), 100_000)
	var commands: Array[Callable] = [
		handle.pause,
		handle.resume,
		handle.force_recheck,
		handle.clear_error,
		handle.flush_cache,
		handle.force_reannounce,
		handle.read_piece.bind(0),
		handle.set_piece_priority.bind(0, 4),
		handle.prioritize_pieces.bind(PackedByteArray([1])),
		handle.set_file_priority.bind(0, 7),
		handle.prioritize_files.bind(PackedByteArray([1])),
		handle.set_sequential_download.bind(true),
		handle.set_max_connections.bind(5),
		handle.set_max_uploads.bind(5),
		handle.connect_peer.bind("127.0.0.1", 1),
		handle.add_tracker.bind("http://127.0.0.1:1/a"),
		handle.remove_tracker.bind("http://127.0.0.1:1/a"),
		handle.replace_trackers.bind([]),
	]
	for command in commands:
		assert_false(command.call(), command.get_method())
		assert_push_error("TorrentHandle." + command.get_method())
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_TORRENT_HANDLE)


func test_one_that_a_script_made_has_nothing() -> void:
	var handle := TorrentHandle.new()
	assert_false(handle.is_valid())
	for method: String in ["get_status", "get_torrent_info"]:
		assert_null(handle.call(method), method)
		assert_push_error("TorrentHandle." + method)
	for method: String in ["get_name", "get_info_hash", "get_save_path", "get_magnet_uri"]:
		assert_eq(handle.call(method), "", method)
		assert_push_error("TorrentHandle." + method)
	var containers := [
		"get_pieces",
		"get_piece_priorities",
		"get_file_priorities",
		"get_file_progress",
		"get_piece_availability",
		"get_download_queue",
		"get_peer_info",
		"get_trackers",
		"get_torrent_file_data",
	]
	for method: String in containers:
		assert_eq(handle.call(method).size(), 0, method)
		assert_push_error("TorrentHandle." + method)
	for method: String in ["pause", "resume", "is_paused", "force_recheck", "clear_error"]:
		assert_false(handle.call(method), method)
		assert_push_error("TorrentHandle." + method)
