extends SceneTree
## A game that quits when a tracker has answered it once: what it says then is not answered
## any more. Run by test_lifecycle.gd; the arguments are a folder with data.torrent and the
## tracker's URL.

## A session has far more patience with a tracker than the end of a game has with it.
const SETTINGS := {
	"listen_interfaces": "127.0.0.1:0",
	"stop_tracker_timeout": 60,
	"tracker_receive_timeout": 300,
	"tracker_completion_timeout": 300,
}
const LIMIT := 120.0

var _session := TorrentSession.new()


func _initialize() -> void:
	create_timer(LIMIT).timeout.connect(_fail.bind("it took too long"))
	var folder: String = OS.get_cmdline_user_args()[0]
	var url: String = OS.get_cmdline_user_args()[1]
	_session.start_session_with_settings(SETTINGS)
	var data := FileAccess.get_file_as_bytes(folder + "/data.torrent")
	var handle := _session.add_torrent_file(data, folder + "/save")
	handle.add_tracker(url)
	while handle.get_status().get_current_tracker() != url:
		await process_frame
	quit(0)


func _fail(reason: String) -> void:
	printerr(reason)
	quit(1)
