extends "res://test/integration/torrent_test.gd"
## TorrentHandle without a torrent: one that a script made, one whose torrent was removed,
## one whose session has stopped or is gone. Every method of the class, as the ClassDB
## lists them, is called on each.

## What is returned that is neither false, null, 0 nor empty.
const OTHERWISE := {"get_queue_position": -1}
## What asks, and is answered from what was last known of a torrent that is gone.
const READS := ["get_", "is_", "have_", "need_"]
## What asks for more than that.
const REFUSED_READS := [
	"get_piece_priority", "get_file_priority", "have_piece", "get_torrent_file_data"
]

## What waits is looked at in test_waiting.gd, with what says how it failed.
const ELSEWHERE := ["wait_", "get_last_error", "clear_last_error"]

## Arguments that a method would take of a torrent. Without an entry: none.
var _arguments := {
	"force_reannounce": [0, -1],
	"move_storage": ["user://somewhere"],
	"rename_file": [0, "name"],
	"set_piece_priority": [0, 4],
	"get_piece_priority": [0],
	"prioritize_pieces": [PackedByteArray([4])],
	"set_file_priority": [0, 4],
	"get_file_priority": [0],
	"prioritize_files": [PackedByteArray([4])],
	"have_piece": [0],
	"read_piece": [0],
	"set_piece_deadline": [0, 100],
	"reset_piece_deadline": [0],
	"set_sequential_download": [true],
	"connect_peer": ["127.0.0.1", 1],
	"ban_peer": ["127.0.0.1"],
	"set_download_limit": [1000],
	"set_upload_limit": [1000],
	"set_max_connections": [10],
	"set_max_uploads": [10],
	"set_auto_managed": [true],
	"set_super_seeding": [true],
	"set_upload_mode": [true],
	"set_share_mode": [true],
	"set_queue_position": [0],
	"add_tracker": ["http://127.0.0.1:1/announce"],
	"remove_tracker": ["http://127.0.0.1:1/announce"],
	"replace_trackers": [[]],
	"pause": [false],
	"add_url_seed": ["http://127.0.0.1:1/"],
	"remove_url_seed": ["http://127.0.0.1:1/"],
	"add_http_seed": ["http://127.0.0.1:1/"],
	"remove_http_seed": ["http://127.0.0.1:1/"],
}


func test_one_that_a_script_made() -> void:
	var handle := TorrentHandle.new()
	assert_false(handle.is_valid())
	for method in _methods():
		var result: Variant = handle.callv(method, _arguments.get(method, []))
		assert_push_error("TorrentHandle.%s: " % method)
		_assert_nothing(method, result)
	assert_string_starts_with(str(handle), "TorrentHandle(")


func test_one_whose_torrent_was_removed() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000))
	assert_true(session.remove_torrent(handle))
	_assert_gone(handle, session)


func test_one_whose_session_was_stopped() -> void:
	var session := start_session()
	var handle := await seed_torrent(session, make_torrent(100_000))
	session.stop_session()
	_assert_gone(handle, session)
	assert_true(await wait_for_signal(session.session_stopped, LIMIT))
	_assert_gone(handle, session)


func test_one_whose_session_nobody_holds() -> void:
	var session := TorrentSession.new()
	assert_true(session.start_session_with_settings(LOOPBACK))
	# Not handed to anything that waits, which would hold it.
	var handle := session.add_torrent_file(make_torrent(100_000), folder + "/seed")
	assert_true(await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT))
	session = null
	assert_false(handle.is_valid())
	assert_eq(handle.get_name(), "data.bin")
	assert_true(handle.get_status().is_seeding())
	for method in _commands():
		assert_true(not handle.callv(method, _arguments.get(method, [])), method)
		assert_push_error("TorrentHandle.%s: " % method)


## Commands are refused, each with one error of its own; what was known is still known.
func _assert_gone(handle: TorrentHandle, session: TorrentSession) -> void:
	assert_false(handle.is_valid())
	for method in _commands():
		var before := get_errors().size()
		assert_true(not handle.callv(method, _arguments.get(method, [])), method)
		assert_eq(get_errors().size(), before + 1, "one error of %s" % method)
		assert_push_error("TorrentHandle.%s: " % method)
		var error := session.get_last_error()
		assert_eq(error.get_code(), TorrentError.INVALID_TORRENT_HANDLE, method)
	for method in _methods():
		if not method in _commands():
			assert_not_null(handle.callv(method, _arguments.get(method, [])), method)
	assert_eq(handle.get_name(), "data.bin")
	assert_eq(handle.get_info_hash().length(), 40)
	assert_eq(handle.get_torrent_info().get_total_size(), 100_000)
	assert_eq(handle.get_status().get_total_done(), 100_000)
	assert_eq(handle.get_save_path(), ProjectSettings.globalize_path(folder + "/seed"))
	assert_eq(handle.get_pieces().count(0), 0)


func _assert_nothing(method: String, result: Variant) -> void:
	if OTHERWISE.has(method):
		assert_eq(result, OTHERWISE[method], method)
	elif result is Array or result is PackedByteArray:
		assert_eq(result.size(), 0, method)
	else:
		assert_true(not result, "%s returns nothing" % method)


func _methods() -> Array[String]:
	var methods: Array[String] = []
	for method in ClassDB.class_get_method_list("TorrentHandle", true):
		var is_elsewhere: bool = ELSEWHERE.any(method.name.begins_with)
		if not (method.name.begins_with("_") or method.name == "is_valid" or is_elsewhere):
			methods.append(method.name)
			var fewest: int = method.args.size() - method.default_args.size()
			var given: int = _arguments.get(method.name, []).size()
			assert_between(given, fewest, method.args.size(), "arguments of %s" % method.name)
	assert_gt(methods.size(), 50)
	return methods


## What a torrent that is gone refuses.
func _commands() -> Array:
	return _methods().filter(
		func(method: String) -> bool:
			return method in REFUSED_READS or not READS.any(method.begins_with)
	)
