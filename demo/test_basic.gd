extends "res://demo/common/console_demo.gd"
## The first steps: a session and its settings, a torrent made of a file, what a
## torrent file says, the magnet link, and the status of a torrent.

const FOLDER := "user://demo_test_basic"

var _session := TorrentSession.new()


func _run() -> void:
	# Nobody else is needed here, so the session listens on this machine only, at a
	# port that the system chooses.
	var settings := {"listen_interfaces": "127.0.0.1:0", "user_agent": "godot-torrent demo"}
	if not check(_session.start_session_with_settings(settings), "the session does not start"):
		return
	say("session: running, port %d" % _session.get_listening_ports()[0])
	say("settings: %d, for example:" % _session.get_settings().size())
	for name: String in ["user_agent", "listen_interfaces", "connections_limit"]:
		say("  %s = %s" % [name, _session.get_settings()[name]])

	if not _show_shipped():
		return
	var data := _make_torrent()
	if not _show_torrent(data):
		return

	var handle := _session.add_torrent_file(data, FOLDER)
	if not check(handle != null, _session.get_last_error().get_message()):
		return
	say("magnet link: %s" % handle.get_magnet_uri())
	var ok: bool = await handle.wait_finished()
	if not check(ok, handle.get_last_error().get_message()):
		return
	_show_status(handle.get_status())

	# A wrong call says what is wrong, and nothing else happens.
	say("adding it without a folder to save in (which prints an error):")
	check(_session.add_torrent_file(data, "") == null, "an empty save path is taken")
	var error := _session.get_last_error()
	say("  error %d: %s" % [error.get_code(), error.get_message()])
	check(error.get_code() == TorrentError.EMPTY_SAVE_PATH, "the error has another code")
	if OS.has_feature("template"):
		_download_into_the_game(data)


## The folder of the project is there in the editor only.
func _download_into_the_game(data: PackedByteArray) -> void:
	say("downloading into an exported game (which prints errors):")
	var path := "res://downloads"
	var calls: Dictionary[String, Callable] = {
		"a torrent": _session.add_torrent_file.bind(data, path),
		"a magnet link":
		_session.add_magnet_uri.bind("magnet:?xt=urn:btih:" + "ab".repeat(20), path),
		"parameters": _session.add_torrent.bind({"torrent_data": data, "save_path": path}),
		"a move": _session.get_torrents()[0].move_storage.bind(path),
	}
	for name in calls:
		var refused: bool = not calls[name].call()
		var error := _session.get_last_error()
		refused = refused and error.get_code() == TorrentError.INVALID_PATH
		if not check(refused and "user://" in error.get_message(), "%s is taken" % name):
			return
	say("  refused: %s" % _session.get_last_error().get_message())


func _clean_up() -> void:
	if _session.is_running():
		_session.stop_session()
		await _session.wait_stopped()
		say("session: stopped")
	Tools.remove_tree(FOLDER)


## A .torrent file of the project is a resource, in the exported game too. There
## it is found by its path as well, although the file itself is not exported.
func _show_shipped() -> bool:
	var path := "res://demo/assets/welcome.torrent"
	var torrent: TorrentFile = load(path)
	if not check(torrent != null and torrent.get_info() != null, "the torrent is not shipped"):
		return false
	say("shipped torrent: %s, %d bytes" % [torrent.name, torrent.size])
	say("  info-hash = %s" % torrent.info_hash)
	var info := TorrentInfo.from_file(path)
	if not check(info != null, "the shipped torrent is not found by its path"):
		return false
	say("read by its path: %s" % info.get_info_hash())
	return check(torrent.files.size() == 2, "it has another number of files")


func _make_torrent() -> PackedByteArray:
	Tools.remove_tree(FOLDER)
	DirAccess.make_dir_recursive_absolute(FOLDER + "/stories/old")
	_write("stories/one.txt", "Once upon a time. ".repeat(5000))
	_write("stories/old/two.txt", "It was a dark and stormy night. ".repeat(2000))
	var creator := TorrentCreator.new()
	creator.add_directory(FOLDER + "/stories")
	creator.set_piece_size(16384)
	creator.set_comment("made by a demo")
	return creator.generate_blocking()


func _write(path: String, text: String) -> void:
	FileAccess.open(FOLDER.path_join(path), FileAccess.WRITE).store_string(text)


func _show_torrent(data: PackedByteArray) -> bool:
	var info := TorrentInfo.from_data(data)
	if not check(info != null, "the torrent file cannot be read"):
		return false
	say("torrent file: %d bytes" % data.size())
	say("  name = %s, %d bytes" % [info.get_name(), info.get_total_size()])
	say("  info-hash = %s" % info.get_info_hash())
	say("  pieces = %d of %d bytes" % [info.get_piece_count(), info.get_piece_size()])
	for file in info.get_files():
		say("  %s: %d bytes" % [file.path, file.size])
	return check(info.get_file_count() == 2, "it has another number of files")


func _show_status(status: TorrentStatus) -> void:
	say("status: %s, %d %%" % [status.get_state_string(), status.get_progress() * 100.0])
	say("  done = %d of %d bytes" % [status.get_total_done(), status.get_total_wanted()])
	say("  pieces = %d of %d" % [status.get_pieces_downloaded(), status.get_num_pieces()])
	say("  peers = %d" % status.get_num_peers())
	check(status.get_progress() == 1.0, "the torrent is not complete")
