extends "res://demo/common/console_demo.gd"
## A whole transfer on one machine: makes a file and a torrent of it, shares it from
## one session, downloads it with another one, and compares the two.
##
##     ./build.sh demo loopback_transfer -- --size-mib=256

const FOLDER := "user://demo_loopback_transfer"
const FILE := "payload.bin"
const MIB := Tools.MIB

## Milliseconds between two lines of progress.
const INTERVAL := 100

var _size := 64 * MIB
var _sharing := TorrentSession.new()
var _downloading := TorrentSession.new()
var _next_line := 0


func _run() -> void:
	for argument in OS.get_cmdline_user_args():
		if not check(_read(argument), "unknown argument '%s'" % argument):
			return

	Tools.remove_tree(FOLDER)
	say("making %d MiB in %s" % [_size / MIB, ProjectSettings.globalize_path(FOLDER)])
	if not _make_payload(FOLDER + "/shared"):
		return
	var data := await _make_torrent(FOLDER + "/shared/" + FILE)
	if not check(data.size() > 0, "there is no torrent"):
		return

	var shared := _add(_sharing, data, FOLDER + "/shared")
	if shared == null:
		return
	var is_shared: bool = await shared.wait_finished()
	if not check(is_shared, shared.get_last_error().get_message()):
		return
	var port := _sharing.get_listening_ports()[0]
	say("sharing on 127.0.0.1:%d" % port)

	var handle := _add(_downloading, data, FOLDER + "/downloaded")
	if handle == null:
		return
	handle.progress_changed.connect(_on_progress_changed.bind(handle))
	var begin := Time.get_ticks_usec()
	check(handle.connect_peer("127.0.0.1", port), "the peer is not taken")
	var ok: bool = await handle.wait_finished()
	if not check(ok, handle.get_last_error().get_message()):
		return
	var seconds := (Time.get_ticks_usec() - begin) / 1e6
	handle.progress_changed.disconnect(_on_progress_changed)
	_show_progress(handle)
	say("downloaded in %.2f s, %.0f MiB/s" % [seconds, _size / seconds / MIB])
	_compare()


func _read(argument: String) -> bool:
	if argument.begins_with("--demo="):
		# Read by the menu.
		return true
	if argument.begins_with("--size-mib=") and argument.get_slice("=", 1).to_int() > 0:
		_size = argument.get_slice("=", 1).to_int() * MIB
		return true
	return false


func _clean_up() -> void:
	await Tools.stop([_sharing, _downloading])
	Tools.remove_tree(FOLDER)


func _make_payload(folder: String) -> bool:
	var written := Tools.write_random_file(folder.path_join(FILE), _size)
	return check(written, "%s cannot be written" % folder)


func _make_torrent(path: String) -> PackedByteArray:
	var creator := TorrentCreator.new()
	if not check(creator.add_file(path), "%s cannot be added" % path):
		return PackedByteArray()
	creator.generate()
	var data: PackedByteArray = await creator.wait_completed()
	if not check(not data.is_empty(), creator.get_last_error().get_message()):
		return data
	say("torrent: %d bytes, info-hash %s" % [data.size(), creator.get_info_hash()])
	return data


func _add(session: TorrentSession, data: PackedByteArray, path: String) -> TorrentHandle:
	if not check(session.start_session_with_settings(Tools.LOOPBACK), "a session does not start"):
		return null
	var handle := session.add_torrent_file(data, path)
	check(handle != null, session.get_last_error().get_message())
	return handle


func _on_progress_changed(_progress: float, handle: TorrentHandle) -> void:
	if Time.get_ticks_msec() >= _next_line:
		_next_line = Time.get_ticks_msec() + INTERVAL
		_show_progress(handle)


func _show_progress(handle: TorrentHandle) -> void:
	var status := handle.get_status()
	var left := status.get_eta()
	say(
		(
			"%5.1f %%  %6.1f MiB/s  peers %d  ETA %s"
			% [
				status.get_progress() * 100.0,
				status.get_download_rate() / float(MIB),
				status.get_num_peers(),
				"%d s" % left if left >= 0 else "unknown",
			]
		)
	)


func _compare() -> void:
	var there := FileAccess.get_sha256(FOLDER + "/shared/" + FILE)
	var here := FileAccess.get_sha256(FOLDER + "/downloaded/" + FILE)
	say("SHA-256 shared     %s" % there)
	say("SHA-256 downloaded %s" % here)
	if check(there != "" and there == here, "the files differ"):
		say("OK: the files are the same")
