extends "res://test/integration/torrent_test.gd"
## Torrents that begin as a magnet link.


func test_a_magnet_link_becomes_a_whole_torrent() -> void:
	var seeding := start_session()
	var data := make_torrent(300_000)
	var seed_handle := await seed_torrent(seeding, data)
	var session := start_session()
	watch_signals(session)
	var handle := session.add_magnet_uri(seed_handle.get_magnet_uri(), folder + "/save")
	assert_not_null(handle)
	watch_signals(handle)
	assert_null(handle.get_torrent_info(), "nobody has told yet")
	assert_false(handle.get_status().has_metadata())
	assert_eq(handle.get_info_hash(), seed_handle.get_info_hash())
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeding)))
	assert_true(await wait_for_signal(handle.metadata_received, LIMIT))
	assert_eq(handle.get_torrent_info().get_total_size(), 300_000)
	var info := TorrentInfo.from_data(handle.get_torrent_file_data())
	assert_eq(info.get_info_hash(), TorrentInfo.from_data(data).get_info_hash())
	if not handle.get_status().is_finished():
		assert_true(await wait_for_signal(handle.finished, LIMIT))
	assert_signal_emit_count(handle.metadata_received, 1)
	assert_signal_emitted_with_parameters(session.metadata_received, [handle.get_info_hash()])
	assert_eq(
		FileAccess.get_file_as_bytes(folder + "/save/data.bin"),
		FileAccess.get_file_as_bytes(folder + "/seed/data.bin")
	)


func test_pieces_are_unknown_before_the_metadata() -> void:
	var session := start_session()
	var link := "magnet:?xt=urn:btih:%s&dn=../evil" % "ab".repeat(20)
	var handle := session.add_magnet_uri(link, folder + "/save")
	var is_asking := func() -> bool:
		return handle.get_status().get_state() == TorrentStatus.STATE_DOWNLOADING_METADATA
	assert_true(await wait_until(is_asking, LIMIT))
	assert_false(handle.have_piece(0))
	assert_push_error("TorrentHandle.have_piece")
	assert_eq(handle.get_torrent_file_data().size(), 0)
	assert_push_error("TorrentHandle.get_torrent_file_data")
	assert_eq(handle.get_pieces().size(), 0)
	assert_eq(handle.get_file_progress(), [])
	assert_string_contains(handle.get_magnet_uri(), "ab".repeat(20))
	assert_false(DirAccess.dir_exists_absolute(folder + "/evil"))


func test_what_is_no_magnet_link_is_an_error() -> void:
	var session := start_session()
	for link: String in ["", "http://example.com", "magnet:?dn=x", "magnet:?xt=urn:btih:12"]:
		assert_null(session.add_magnet_uri(link, folder))
		assert_push_error("TorrentSession.add_magnet_uri")
		assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_MAGNET_URI, link)
	assert_null(session.add_magnet_uri("magnet:?xt=urn:btih:" + "ab".repeat(20), ""))
	assert_push_error("TorrentSession.add_magnet_uri")


func test_trackers_are_scraped_only_where_there_is_a_torrent() -> void:
	var handle := TorrentHandle.new()
	assert_false(handle.scrape_tracker())
	assert_push_error("TorrentHandle.scrape_tracker")
	var session := start_session()
	var real := session.add_torrent_file(make_torrent(1000), folder + "/save")
	assert_true(real.scrape_tracker(), "nobody is asked where there is no tracker")
