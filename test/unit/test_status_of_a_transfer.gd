extends "res://test/integration/torrent_test.gd"
## TorrentStatus: both ends of a transfer that has come to a halt in the middle.

var _seeder: TorrentSession = null
var _handle: TorrentHandle = null
## The downloader's status, and the seed's.
var _here: TorrentStatus = null
var _there: TorrentStatus = null


func before_each() -> void:
	super()
	_seeder = start_session()
	var data := await half_of_a_seed(_seeder)
	_handle = download(start_session(), data, _seeder)
	await wait_for_half(_handle)
	var is_counted := func() -> bool:
		_here = _handle.get_status()
		_there = _seeder.get_torrents()[0].get_status()
		return (
			_here.get_total_payload_download() == MIB / 2
			and _there.get_total_payload_upload() == MIB / 2
			and _here.get_num_peers() == 1
			and _here.get_downloading_piece_index() == -1
		)
	assert_true(await wait_until(is_counted, LIMIT), "half of it is there")


func after_each() -> void:
	_seeder = null
	_handle = null
	_here = null
	_there = null
	await super()


func test_bytes() -> void:
	assert_eq(_here.get_total_done(), MIB / 2)
	assert_eq(_here.get_total_wanted_done(), MIB / 2)
	assert_eq(_here.get_total_payload_download(), MIB / 2)
	assert_eq(_here.get_total_payload_upload(), 0)
	assert_gt(_here.get_total_download(), MIB / 2, "with what is around the data")
	assert_between(_here.get_total_upload(), 1, MIB / 2)
	assert_gt(_there.get_total_upload(), MIB / 2)
	assert_eq(_there.get_total_payload_upload(), MIB / 2)
	assert_eq(_here.get_total_failed_bytes(), 0)
	assert_eq(_here.get_total_redundant_bytes(), 0)
	assert_eq(_here.get_all_time_download(), MIB / 2)
	assert_eq(_here.get_all_time_upload(), 0)
	assert_eq(_there.get_all_time_upload(), MIB / 2)
	assert_eq(_here.get_ratio(), 0.0)
	assert_eq(_there.get_ratio(), -1.0, "it has received nothing")
	assert_almost_eq(_here.get_progress(), 0.5, 0.001)


func test_rates() -> void:
	# Half a mebibyte that takes longer than anybody looks at it.
	var session := start_session({"download_rate_limit": 4_000})
	var handle := session.add_torrent_file(_handle.get_torrent_file_data(), folder + "/slow")
	assert_true(handle.connect_peer("127.0.0.1", port_of(_seeder)))
	var seed := _seeder.get_torrents()[0]
	var are_shown := func() -> bool:
		_here = handle.get_status()
		_there = seed.get_status()
		# Blocks one way, requests the other; and each block has a head.
		return (
			_here.get_download_payload_rate() > 0
			and _here.get_download_rate() > _here.get_download_payload_rate()
			and _here.get_upload_rate() > 0
			and _here.get_upload_rate() < _here.get_download_rate()
			and _there.get_upload_payload_rate() > 0
			and _there.get_upload_rate() > _there.get_upload_payload_rate()
		)
	assert_true(await wait_until(are_shown, LIMIT), "each rate is that of its direction")
	assert_eq(_here.get_upload_payload_rate(), 0)
	assert_eq(_there.get_download_payload_rate(), 0)
	# A rate is that of the last seconds: it comes to rest with the transfer.
	assert_true(session.set_download_rate_limit(0))
	await wait_for_half(handle)
	var is_over := func() -> bool:
		var status := handle.get_status()
		return status.get_download_payload_rate() == 0 and status.get_eta() == -1
	assert_true(await wait_until(is_over, LIMIT))


func test_the_swarm() -> void:
	assert_eq(_here.get_num_peers(), 1)
	assert_eq(_here.get_num_connections(), 1)
	assert_eq(_here.get_num_seeds(), 0)
	assert_eq(_here.get_num_complete(), -1, "there is no tracker to say")
	assert_eq(_here.get_num_incomplete(), -1)
	assert_eq(_here.get_list_peers(), 1)
	assert_eq(_here.get_list_seeds(), 0)
	assert_eq(_here.get_connect_candidates(), 0, "the only one is connected")
	assert_eq(_here.get_last_seen_complete(), 0, "no peer has had it all")
	assert_almost_eq(_here.get_distributed_copies(), 0.5, 0.001)
	assert_almost_eq(_here.get_availability(), 0.5, 0.001)
	assert_eq(_handle.get_piece_availability().slice(0, 32).max(), 1)
	assert_eq(_handle.get_piece_availability().slice(32).max(), 0)


func test_times() -> void:
	assert_between(_here.get_active_time(), 0, int(LIMIT))
	assert_eq(_here.get_finished_time(), 0)
	assert_eq(_here.get_seeding_time(), 0)
	assert_between(_here.get_time_since_download(), 0, int(LIMIT))
	assert_eq(_here.get_time_since_upload(), -1)
	assert_eq(_there.get_time_since_download(), -1)
	assert_between(_there.get_time_since_upload(), 0, int(LIMIT))
	assert_eq(_here.get_completed_time(), 0)


func test_trackers() -> void:
	assert_eq(_here.get_next_announce(), -1)
	assert_eq(_here.get_current_tracker(), "")
	assert_false(_here.announces_to_trackers())
	assert_true(_handle.add_tracker("http://127.0.0.1:1/announce"))
	var is_shown := func() -> bool: return _handle.get_status().announces_to_trackers()
	assert_true(await wait_until(is_shown, LIMIT))


func test_nothing_is_on_its_way() -> void:
	assert_eq(_here.get_downloading_piece_index(), -1)
	assert_eq(_here.get_downloading_block_index(), -1)
	assert_eq(_here.get_downloading_progress(), 0)
	assert_eq(_here.get_downloading_total(), 0)
	assert_eq(_here.get_down_bandwidth_queue(), 0)
	assert_eq(_here.get_up_bandwidth_queue(), 0)


func test_limits_show() -> void:
	assert_eq(_here.get_connections_limit(), -1)
	assert_eq(_here.get_uploads_limit(), -1)
	assert_true(_handle.set_max_connections(9))
	assert_true(_handle.set_max_uploads(3))
	assert_true(_handle.set_download_limit(70_000))
	assert_true(_handle.set_upload_limit(80_000))
	var shows := func() -> bool: return _handle.get_status().get_upload_limit() == 80_000
	assert_true(await wait_until(shows, LIMIT))
	var status := _handle.get_status()
	assert_eq(status.get_connections_limit(), 9)
	assert_eq(status.get_uploads_limit(), 3)
	assert_eq(status.get_download_limit(), 70_000)


func test_modes_show() -> void:
	assert_false(_here.is_sequential_download())
	assert_false(_here.is_upload_mode())
	assert_false(_here.is_share_mode())
	assert_false(_here.is_seed_mode())
	assert_false(_here.is_stop_when_ready())
	assert_false(_here.is_moving_storage())
	assert_eq(_here.get_storage_mode(), "sparse")
	assert_eq(_here.get_seed_rank(), 0, "it is no seed")
	assert_true(_handle.set_sequential_download(true))
	assert_true(_handle.set_upload_mode(true))
	var shows := func() -> bool:
		var status := _handle.get_status()
		return status.is_sequential_download() and status.is_upload_mode()
	assert_true(await wait_until(shows, LIMIT))


func test_what_a_torrent_is_added_with_shows() -> void:
	var params := {
		"torrent_data": make_torrent(MIB, 16 * KIB, "other.bin"),
		"save_path": folder + "/seed",
		"flags": ["seed_mode"],
	}
	var trusted := start_session().add_torrent(params)
	assert_true(await wait_until(func() -> bool: return trusted.get_status().is_seeding(), LIMIT))
	assert_true(trusted.get_status().is_seed_mode(), "no piece has been asked for")
	assert_false(trusted.get_status().is_share_mode())
	assert_false(trusted.get_status().is_stop_when_ready())
	params.flags = ["share_mode"]
	var sharing := start_session().add_torrent(params)
	var shows := func() -> bool: return sharing.get_status().is_share_mode()
	assert_true(await wait_until(shows, LIMIT))
	assert_false(sharing.get_status().is_seed_mode())


func test_a_torrent_that_is_to_stop_when_it_is_ready() -> void:
	var data := make_torrent(MIB, 16 * KIB, "other.bin")
	var params := {
		"magnet_uri": TorrentInfo.from_data(data).get_magnet_uri(),
		"save_path": folder + "/more",
		"flags": ["stop_when_ready"],
	}
	var waiting := start_session().add_torrent(params)
	var is_waiting := func() -> bool:
		return waiting.get_status().get_state() == TorrentStatus.STATE_DOWNLOADING_METADATA
	assert_true(await wait_until(is_waiting, LIMIT))
	assert_true(waiting.get_status().is_stop_when_ready(), "there is nothing to check yet")
	assert_false(waiting.get_status().is_paused())
	params.erase("magnet_uri")
	params.torrent_data = data
	var ready := start_session().add_torrent(params)
	assert_true(await wait_until(func() -> bool: return ready.get_status().is_paused(), LIMIT))
	assert_false(ready.get_status().is_stop_when_ready())
	assert_eq(ready.get_status().get_state(), TorrentStatus.STATE_DOWNLOADING)
