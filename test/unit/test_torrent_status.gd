extends "res://test/integration/torrent_test.gd"
## TorrentStatus: the snapshot of a torrent.


func test_a_seed() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(100_000, 16 * KIB))
	var status := handle.get_status()
	assert_eq(status.get_state(), TorrentStatus.STATE_SEEDING)
	assert_eq(status.get_state_string(), "seeding")
	assert_true(status.is_seeding())
	assert_true(status.is_finished())
	assert_true(status.has_metadata())
	assert_false(status.is_paused())
	assert_eq(status.get_progress(), 1.0)
	assert_eq(status.get_total_size(), 100_000)
	assert_eq(status.get_total_done(), 100_000)
	assert_eq(status.get_total_wanted(), 100_000)
	assert_eq(status.get_total_wanted_done(), 100_000)
	assert_eq(status.get_num_pieces(), 7)
	assert_eq(status.get_pieces_downloaded(), 7)
	assert_eq(status.get_block_size(), 16 * KIB)
	assert_eq(status.get_name(), "data.bin")
	assert_eq(status.get_info_hash(), handle.get_info_hash())
	assert_eq(status.get_save_path(), handle.get_save_path())
	assert_eq(status.get_error(), "")
	assert_eq(status.get_error_file(), "")
	assert_eq(status.get_total_download(), 0)
	assert_eq(status.get_num_peers(), 0)
	assert_eq(status.get_added_time(), handle.get_added_time())


func test_a_download_without_peers() -> void:
	var session := start_session()
	var handle := session.add_torrent_file(make_torrent(100_000, 16 * KIB), folder + "/save")
	var is_downloading := func() -> bool:
		return handle.get_status().get_state() == TorrentStatus.STATE_DOWNLOADING
	assert_true(await wait_until(is_downloading, LIMIT))
	var status := handle.get_status()
	assert_eq(status.get_progress(), 0.0)
	assert_eq(status.get_total_done(), 0)
	assert_eq(status.get_eta(), -1)
	assert_false(status.is_finished())
	assert_false(status.is_seeding())
	assert_eq(status.get_completed_time(), 0)


func test_wanted_bytes_follow_the_priorities() -> void:
	write_file(folder + "/pack/a.bin", content(64 * KIB, 1))
	write_file(folder + "/pack/b.bin", content(32 * KIB, 2))
	var data := torrent_of(folder + "/pack", 16 * KIB)
	var params := {"torrent_data": data, "save_path": folder + "/save", "file_priorities": [0, 4]}
	var handle := start_session().add_torrent(params)
	var follows := func() -> bool: return handle.get_status().get_total_wanted() == 32 * KIB
	assert_true(await wait_until(follows, LIMIT))
	assert_eq(handle.get_status().get_total_size(), 96 * KIB)


func test_it_does_not_change() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(1000))
	var status := handle.get_status()
	handle.pause()
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_paused(), LIMIT))
	assert_false(status.is_paused())


## Every getter, and what stands for it in the dictionary, say the same.
func test_the_dictionary_says_what_the_getters_say() -> void:
	var handle := await seed_torrent(start_session(), make_torrent(1000))
	var status := handle.get_status()
	var dictionary := status.get_status_dictionary()
	assert_gt(dictionary.size(), 40)
	for name: String in dictionary:
		var getter := name if status.has_method(name) else "get_" + name
		if name == "paused":
			getter = "is_paused"
		assert_true(status.has_method(getter), getter)
		if status.has_method(getter):
			assert_eq(status.call(getter), dictionary[name], getter)


func test_a_new_one_is_empty() -> void:
	var status := TorrentStatus.new()
	assert_eq(status.get_name(), "")
	assert_eq(status.get_progress(), 0.0)
	assert_false(status.is_seeding())


func test_the_states_are_libtorrents() -> void:
	assert_eq(TorrentStatus.STATE_CHECKING_FILES, 1)
	assert_eq(TorrentStatus.STATE_DOWNLOADING_METADATA, 2)
	assert_eq(TorrentStatus.STATE_DOWNLOADING, 3)
	assert_eq(TorrentStatus.STATE_FINISHED, 4)
	assert_eq(TorrentStatus.STATE_SEEDING, 5)
	assert_eq(TorrentStatus.STATE_CHECKING_RESUME_DATA, 7)
