extends SceneTree
## A game that quits in the middle of a transfer without a word to its sessions. Run by
## test_lifecycle.gd; the argument is a folder with data.torrent and seed/data.bin.

const SETTINGS := {"listen_interfaces": "127.0.0.1:0"}
## Bytes a second: slow enough for the middle to be seen, however late that is.
const RATE := 512 * 1024
const LIMIT := 120.0

var _seeder := TorrentSession.new()
var _leecher := TorrentSession.new()


func _initialize() -> void:
	create_timer(LIMIT).timeout.connect(_fail.bind("it took too long"))
	var folder: String = OS.get_cmdline_user_args()[0]
	var data := FileAccess.get_file_as_bytes(folder + "/data.torrent")
	_seeder.start_session_with_settings(SETTINGS)
	_leecher.start_session_with_settings(SETTINGS.merged({"download_rate_limit": RATE}))
	var seed := _seeder.add_torrent_file(data, folder + "/seed")
	while not seed.get_status().is_seeding():
		await process_frame
	var handle := _leecher.add_torrent_file(data, folder + "/save")
	handle.piece_finished.connect(_on_piece_finished.bind(handle), CONNECT_ONE_SHOT)
	handle.connect_peer("127.0.0.1", _seeder.get_listening_ports()[0])


func _on_piece_finished(_index: int, handle: TorrentHandle) -> void:
	if handle.get_status().is_finished():
		_fail("the transfer was over too soon")
		return
	print("in the middle: %d bytes" % handle.get_status().get_total_done())
	quit(0)


func _fail(reason: String) -> void:
	printerr(reason)
	quit(1)
