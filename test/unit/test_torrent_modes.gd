extends "res://test/integration/torrent_test.gd"
## TorrentHandle: limits, modes and deadlines.

const LATE := 3_600_000


func test_limits_are_read_back() -> void:
	var handle := _waiting()
	assert_true(handle.set_download_limit(10_000))
	assert_eq(handle.get_download_limit(), 10_000)
	assert_true(handle.set_upload_limit(20_000))
	assert_eq(handle.get_upload_limit(), 20_000)
	assert_false(handle.set_download_limit(-2))
	assert_push_error("TorrentHandle.set_download_limit")
	assert_eq(handle.get_download_limit(), 10_000)
	for bad: int in [-2, 1 << 40]:
		assert_false(handle.set_upload_limit(bad))
		assert_push_error("TorrentHandle.set_upload_limit: ")
		assert_eq(handle.get_upload_limit(), 20_000)


func test_modes_are_read_back() -> void:
	var handle := _waiting()
	assert_false(handle.is_super_seeding())
	assert_true(handle.set_super_seeding(true))
	assert_true(handle.is_super_seeding())
	assert_true(handle.set_upload_mode(true))
	assert_true(handle.is_upload_mode())
	assert_true(handle.set_upload_mode(false))
	assert_false(handle.is_upload_mode())
	assert_true(handle.set_share_mode(true))
	assert_true(handle.is_share_mode())
	assert_eq(Array(handle.get_file_priorities()), [0], "no file is wanted in share mode")
	var is_shown := func() -> bool: return handle.get_status().is_super_seeding()
	assert_true(await wait_until(is_shown, LIMIT))


func test_deadlines() -> void:
	var handle := _waiting()
	assert_true(handle.set_piece_deadline(1, LATE))
	assert_eq(handle.get_piece_priority(1), 7)
	assert_true(handle.reset_piece_deadline(1))
	assert_true(handle.clear_piece_deadlines())
	assert_false(handle.set_piece_deadline(99, LATE))
	assert_push_error("TorrentHandle.set_piece_deadline")
	assert_false(handle.set_piece_deadline(0, -1))
	assert_push_error("TorrentHandle.set_piece_deadline")
	assert_false(handle.reset_piece_deadline(-1))
	assert_push_error("TorrentHandle.reset_piece_deadline")


func test_an_invalid_handle_is_told_nothing() -> void:
	var handle := TorrentHandle.new()
	assert_false(handle.set_super_seeding(true))
	assert_push_error("TorrentHandle.set_super_seeding")
	assert_false(handle.is_share_mode())
	assert_push_error("TorrentHandle.is_share_mode")
	assert_eq(handle.get_upload_limit(), 0)
	assert_push_error("TorrentHandle.get_upload_limit")


## A torrent that has nothing and finds nobody.
func _waiting() -> TorrentHandle:
	var data := make_torrent(100_000, 16 * KIB)
	return start_session().add_torrent_file(data, folder + "/save")
