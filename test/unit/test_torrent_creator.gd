extends "res://test/integration/torrent_test.gd"
## TorrentCreator: files and folders become torrents; bad input is refused.


func make_pack() -> String:
	write_file(folder + "/pack/a.bin", content(100_000, 1))
	write_file(folder + "/pack/b/c.txt", content(7, 2))
	write_file(folder + "/pack/.hidden/d.bin", content(50, 3))
	return folder + "/pack"


func test_a_file() -> void:
	write_file(folder + "/a.bin", content(100_000))
	var creator := TorrentCreator.new()
	assert_true(creator.add_file(folder + "/a.bin"))
	assert_true(creator.set_piece_size(16 * KIB))
	var info := TorrentInfo.from_data(creator.generate_blocking())
	assert_eq(info.get_name(), "a.bin")
	assert_eq(info.get_total_size(), 100_000)
	assert_eq(info.get_piece_size(), 16 * KIB)
	assert_eq(info.get_info_hash(), creator.get_info_hash())
	assert_eq(info.get_magnet_uri(), creator.get_magnet_uri())


func test_a_folder() -> void:
	var creator := TorrentCreator.new()
	assert_true(creator.add_directory(make_pack()))
	var info := TorrentInfo.from_data(creator.generate_blocking())
	assert_eq(info.get_name(), "pack")
	assert_eq(info.get_file_count(), 2)
	assert_eq(info.get_file_path_at(1), "pack/b/c.txt")


func test_a_folder_with_what_is_hidden() -> void:
	var creator := TorrentCreator.new()
	assert_true(creator.add_directory(make_pack(), true))
	assert_eq(TorrentInfo.from_data(creator.generate_blocking()).get_file_count(), 3)


func test_all_that_can_be_said() -> void:
	var creator := TorrentCreator.new()
	assert_true(creator.add_directory(make_pack()))
	creator.set_name("another name")
	creator.set_comment("a comment")
	creator.set_creator("me")
	creator.set_creation_date(1_600_000_000)
	creator.set_private(true)
	creator.set_source("src")
	assert_true(creator.add_tracker("udp://127.0.0.1:5/announce", 0))
	assert_true(creator.add_tracker("http://127.0.0.1:6/announce", 1))
	assert_true(creator.add_url_seed("http://127.0.0.1:7/files/"))
	assert_true(creator.add_http_seed("http://127.0.0.1:8/seed"))
	assert_true(creator.add_node("127.0.0.1", 6881))
	assert_true(creator.add_similar_torrent("01".repeat(20)))
	creator.add_collection("a collection")
	var info := TorrentInfo.from_data(creator.generate_blocking())
	assert_eq(info.get_name(), "another name")
	assert_eq(info.get_comment(), "a comment")
	assert_eq(info.get_creator(), "me")
	assert_eq(info.get_creation_date(), 1_600_000_000)
	assert_true(info.is_private())
	assert_eq(info.get_source(), "src")
	assert_eq(info.get_trackers().size(), 2)
	assert_eq(info.get_trackers()[1].tier, 1)
	assert_eq_deep(info.get_nodes(), [{"host": "127.0.0.1", "port": 6881}])
	assert_eq_deep(
		info.get_web_seeds(),
		[
			{"url": "http://127.0.0.1:7/files/", "type": "url_seed"},
			{"url": "http://127.0.0.1:8/seed", "type": "http_seed"},
		]
	)


func test_the_same_content_gives_the_same_torrent() -> void:
	var hashes := {}
	for i in 3:
		var creator := TorrentCreator.new()
		creator.add_directory(make_pack())
		creator.generate_blocking()
		hashes[creator.get_info_hash()] = true
	assert_eq(hashes.size(), 1)


func test_in_the_background() -> void:
	write_file(folder + "/a.bin", content(8 * MIB))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	creator.set_piece_size(64 * KIB)
	watch_signals(creator)
	assert_true(creator.generate())
	assert_false(creator.generate(), "one at a time")
	assert_push_error("TorrentCreator.generate")
	assert_true(await wait_for_signal(creator.completed, LIMIT))
	assert_signal_emitted_with_parameters(creator.progress, [128, 128])
	assert_signal_not_emitted(creator.failed)
	var data: PackedByteArray = get_signal_parameters(creator.completed)[0]
	assert_eq(TorrentInfo.from_data(data).get_info_hash(), creator.get_info_hash())
	assert_eq(data, torrent_of_again(creator))


## What the same creator makes once more.
func torrent_of_again(creator: TorrentCreator) -> PackedByteArray:
	return creator.generate_blocking()


func test_a_failure_in_the_background() -> void:
	write_file(folder + "/a.bin", content(1000))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	DirAccess.remove_absolute(folder + "/a.bin")
	watch_signals(creator)
	assert_true(creator.generate())
	assert_true(await wait_for_signal(creator.failed, LIMIT))
	assert_push_error("a.bin")
	assert_string_contains(get_signal_parameters(creator.failed)[0], "a.bin")
	assert_signal_not_emitted(creator.completed)


func test_polled_by_hand() -> void:
	write_file(folder + "/a.bin", content(100_000))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	watch_signals(creator)
	creator.poll()
	assert_true(creator.generate())
	# No frame passes meanwhile.
	var deadline := Time.get_ticks_msec() + int(LIMIT * 1000)
	while get_signal_emit_count(creator, "completed") == 0 and Time.get_ticks_msec() < deadline:
		creator.poll()
	assert_signal_emit_count(creator.completed, 1)
	creator.poll()
	assert_signal_emit_count(creator.completed, 1)


func test_cancelled() -> void:
	write_file(folder + "/a.bin", content(64 * MIB))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	watch_signals(creator)
	assert_true(creator.generate())
	creator.cancel()
	creator.cancel()
	assert_true(creator.generate(), "it can begin again at once")
	assert_true(await wait_for_signal(creator.completed, LIMIT))
	assert_signal_emit_count(creator.completed, 1)
	assert_signal_not_emitted(creator.failed)


func test_cancelled_by_who_hears_of_progress() -> void:
	write_file(folder + "/a.bin", content(MIB))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	watch_signals(creator)
	var told := [false]
	# A lambda that held the creator would keep it for ever.
	var reference: WeakRef = weakref(creator)
	creator.progress.connect(
		func(hashed: int, total: int) -> void:
			if hashed == total:
				told[0] = true
				reference.get_ref().cancel()
	)
	assert_true(creator.generate())
	assert_true(await wait_until(func() -> bool: return told[0], LIMIT))
	await wait_process_frames(3)
	assert_signal_not_emitted(creator.completed)
	assert_signal_not_emitted(creator.failed)


func test_forgotten_in_the_middle() -> void:
	write_file(folder + "/a.bin", content(64 * MIB))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	assert_true(creator.generate())
	var reference: WeakRef = weakref(creator)
	creator = null
	assert_null(reference.get_ref())


func test_saved_to_a_file() -> void:
	write_file(folder + "/a.bin", content(1000))
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/a.bin")
	var data := creator.generate_blocking()
	assert_true(creator.save_to_file(folder + "/a.torrent"))
	assert_eq(FileAccess.get_file_as_bytes(folder + "/a.torrent"), data)
	assert_false(creator.save_to_file(folder + "/no/such/folder/a.torrent"))
	assert_push_error("TorrentCreator.save_to_file")


func test_nothing_made_yet() -> void:
	var creator := TorrentCreator.new()
	assert_eq(creator.get_info_hash(), "")
	assert_eq(creator.get_magnet_uri(), "")
	assert_false(creator.save_to_file(folder + "/a.torrent"))
	assert_push_error("TorrentCreator.save_to_file")
	assert_eq(creator.generate_blocking().size(), 0)
	assert_push_error("TorrentCreator.generate_blocking")
	assert_false(creator.generate())
	assert_push_error("TorrentCreator.generate")
	creator.cancel()


func test_bad_input_is_refused() -> void:
	write_file(folder + "/empty.bin", PackedByteArray())
	DirAccess.make_dir_absolute(folder + "/empty")
	var creator := TorrentCreator.new()
	for path: String in [folder + "/missing", ""]:
		assert_false(creator.add_file(path))
		assert_push_error("TorrentCreator.add_file")
		assert_false(creator.add_directory(path))
		assert_push_error("TorrentCreator.add_directory")
	assert_false(creator.add_file(folder + "/empty"), "a folder is no file")
	assert_push_error("TorrentCreator.add_file")
	assert_false(creator.add_directory(folder + "/empty.bin"), "a file is no folder")
	assert_push_error("TorrentCreator.add_directory")
	for size: int in [-1, 5, 12_345, 1 << 40]:
		assert_false(creator.set_piece_size(size), str(size))
		assert_push_error("TorrentCreator.set_piece_size")
	for url: String in ["", "nonsense", "ftp://a/"]:
		assert_false(creator.add_tracker(url))
		assert_push_error("TorrentCreator.add_tracker")
	assert_false(creator.add_tracker("http://127.0.0.1/a", -1))
	assert_push_error("TorrentCreator.add_tracker")
	for url in ["", "no web seed", "ftp://127.0.0.1/a", "http://:x/"]:
		assert_false(creator.add_url_seed(url))
		assert_push_error("TorrentCreator.add_url_seed")
		assert_false(creator.add_http_seed(url))
		assert_push_error("TorrentCreator.add_http_seed")
	assert_true(creator.add_url_seed("HTTPS://[::1]:8/with a space"))
	assert_false(creator.set_name("a/b"))
	assert_push_error("TorrentCreator.set_name")
	assert_false(creator.add_node("localhost", 0))
	assert_push_error("TorrentCreator.add_node")
	assert_false(creator.add_similar_torrent("nonsense"))
	assert_push_error("TorrentCreator.add_similar_torrent")


func test_nothing_to_hash_is_an_error() -> void:
	DirAccess.make_dir_absolute(folder + "/empty")
	var creator := TorrentCreator.new()
	creator.add_directory(folder + "/empty")
	assert_eq(creator.generate_blocking().size(), 0)
	assert_push_error("TorrentCreator.generate_blocking")
