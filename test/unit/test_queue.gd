extends "res://test/integration/torrent_test.gd"
## TorrentHandle: the queue of a session.


func test_a_managed_torrent_stands_in_line() -> void:
	var handle := _waiting()
	assert_false(handle.is_auto_managed(), "queueing is opt in")
	assert_eq(handle.get_queue_position(), 0)
	assert_true(handle.set_auto_managed(true))
	assert_true(handle.is_auto_managed())
	var is_shown := func() -> bool: return handle.get_status().is_auto_managed()
	assert_true(await wait_until(is_shown, LIMIT))
	assert_eq(handle.get_status().get_queue_position(), 0)
	for moved: bool in [
		handle.queue_up(),
		handle.queue_down(),
		handle.queue_top(),
		handle.queue_bottom(),
		handle.set_queue_position(9),
	]:
		assert_true(moved)
	assert_eq(handle.get_queue_position(), 0, "nobody else is there")
	assert_false(handle.set_queue_position(-1))
	assert_push_error("TorrentHandle.set_queue_position")


func test_pausing_ends_the_queues_rule() -> void:
	var handle := _waiting()
	assert_true(handle.set_auto_managed(true))
	assert_true(handle.pause(true))
	assert_false(handle.is_auto_managed())
	assert_true(handle.is_paused())
	assert_true(handle.resume())
	assert_false(handle.is_paused())


func test_an_invalid_handle_is_told_nothing() -> void:
	var handle := TorrentHandle.new()
	assert_false(handle.set_auto_managed(true))
	assert_push_error("TorrentHandle.set_auto_managed")
	assert_false(handle.queue_top())
	assert_push_error("TorrentHandle.queue_top")
	assert_eq(handle.get_queue_position(), -1)
	assert_push_error("TorrentHandle.get_queue_position")


func _waiting() -> TorrentHandle:
	var data := make_torrent(100_000, 16 * KIB)
	return start_session().add_torrent_file(data, folder + "/save")
