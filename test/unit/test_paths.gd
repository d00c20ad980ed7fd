extends "res://test/integration/torrent_test.gd"
## Every path that a game can give follows one rule, whichever method takes it.

var _held: Array = []


func after_each() -> void:
	_held.clear()
	await super()


func _data() -> PackedByteArray:
	return make_torrent(100_000)


## Calls that take a path to be written to; each says whether it took it.
func _writers(data: PackedByteArray) -> Dictionary:
	var session := start_session()
	var handle := session.add_torrent_file(data, folder + "/first")
	# Kept by the test, as a callable does not.
	_held = [TorrentCreator.new(), TorrentLogger.new()]
	var creator: TorrentCreator = _held[0]
	creator.add_file(folder + "/seed/data.bin")
	creator.generate_blocking()
	var magnet := "magnet:?xt=urn:btih:" + "ab".repeat(20)
	var add := func(path: String) -> bool:
		return session.add_torrent({"torrent_data": data, "save_path": path}) != null
	return {
		"add_torrent": add,
		"add_torrent_file": func(path: String) -> bool: return _added(data, path),
		"add_magnet_uri":
		func(path: String) -> bool: return session.add_magnet_uri(magnet, path) != null,
		"move_storage": handle.move_storage,
		"set_state_directory": new_session().set_state_directory,
		"set_log_file": _held[1].set_log_file,
		"save_to_file": creator.save_to_file,
	}


func _added(data: PackedByteArray, path: String) -> bool:
	var session := start_session()
	return session.add_torrent_file(data, path) != null


## Calls that take a path to be read from.
func _readers() -> Dictionary:
	var creator: TorrentCreator = _held[0]
	var session := new_session()
	return {
		"from_file": func(path: String) -> bool: return TorrentInfo.from_file(path) != null,
		"add_file": creator.add_file,
		"add_directory": creator.add_directory,
		"load_ip_filter": func(path: String) -> bool: return session.load_ip_filter(path) >= 0,
	}


func test_what_is_no_path_is_refused_by_all() -> void:
	var calls := _writers(_data())
	calls.merge(_readers())
	assert_eq(calls.size(), 11)
	for path: String in ["http://example.com/x", "file:///tmp/x", "uid://nothing", "c://"]:
		for name: String in calls:
			assert_false(calls[name].call(path), "%s takes %s" % [name, path])
			assert_push_error(path)


func test_a_part_file_lies_below_the_save_path() -> void:
	var session := start_session()
	var params := {"torrent_data": _data(), "save_path": folder, "part_file_dir": "user://parts"}
	assert_null(session.add_torrent(params))
	assert_push_error("user://parts")
	assert_eq(session.get_last_error().get_code(), TorrentError.INVALID_PATH)


func test_a_uid_is_what_the_project_knows_by_it() -> void:
	write_file(folder + "/data.torrent", _data())
	write_file(folder + "/list.p2p", "one:203.0.113.0-203.0.113.9\n".to_utf8_buffer())
	for file: String in ["/data.torrent", "/list.p2p", "/seed/data.bin", "/saved"]:
		ResourceUID.add_id(hash(file), folder + file)
	var uid := func(file: String) -> String: return ResourceUID.id_to_text(hash(file))
	assert_eq(TorrentInfo.from_file(uid.call("/data.torrent")).get_name(), "data.bin")
	assert_eq(new_session().load_ip_filter(uid.call("/list.p2p")), 1)
	var creator := TorrentCreator.new()
	assert_true(creator.add_file(uid.call("/seed/data.bin")))
	creator.generate_blocking()
	assert_true(creator.save_to_file(uid.call("/saved")))
	assert_true(FileAccess.file_exists(folder + "/saved"))
	for file: String in ["/data.torrent", "/list.p2p", "/seed/data.bin", "/saved"]:
		ResourceUID.remove_id(hash(file))


func test_a_relative_path_starts_at_the_working_directory() -> void:
	write_file(folder + "/data.torrent", _data())
	var here := DirAccess.open(".").get_current_dir()
	var absolute := ProjectSettings.globalize_path(folder)
	var up := "../".repeat(here.count("/")) + absolute.trim_prefix("/")
	assert_true(FileAccess.file_exists(up + "/data.torrent"), "as FileAccess has it")
	assert_not_null(TorrentInfo.from_file(up + "/data.torrent"))
	assert_true(TorrentCreator.new().add_file(up + "/seed/data.bin"))
	var handle := start_session().add_torrent_file(_data(), up + "/save")
	assert_string_ends_with(handle.get_save_path(), "/save")


func test_what_was_imported_is_read_as_a_torrent() -> void:
	# As in an exported game: the resource is there, its source is not.
	var torrent := TorrentFile.new()
	torrent.data = _data()
	var path := "res://not_there_%d.torrent" % OS.get_process_id()
	torrent.take_over_path(path)
	# A resource that is loaded counts as there.
	assert_eq(load(path), torrent)
	var info := TorrentInfo.from_file(path)
	assert_not_null(info)
	if info != null:
		assert_eq(info.get_name(), "data.bin")
