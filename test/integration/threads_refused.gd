extends SceneTree
## Calls every method that only the main thread may call from another one. Run by
## test_threads.gd, which reads what is printed; the arguments are a folder with
## data.torrent.

const Common := preload("res://test/integration/threads_common.gd")

var _objects := {}
var _called := 0


func _initialize() -> void:
	var folder: String = OS.get_cmdline_user_args()[0]
	var session := TorrentSession.new()
	session.start_session_with_settings(Common.SETTINGS)
	var data := FileAccess.get_file_as_bytes(folder + "/data.torrent")
	var handle := session.add_torrent_file(data, folder + "/save")
	_objects = {
		"TorrentSession": session,
		"TorrentHandle": handle,
		"AlertManager": session.get_alert_manager(),
		"TorrentLogger": session.get_logger(),
		"TorrentCreator": TorrentCreator.new(),
	}
	var thread := Thread.new()
	thread.start(_call_all)
	while thread.is_alive():
		await process_frame
	thread.wait_to_finish()
	_expect(session.is_running(), "the session runs")
	_expect(session.get_torrents().size() == 1, "its torrent is there")
	_expect(not handle.is_paused(), "it is not paused")
	_expect(
		session.get_settings() == TorrentSession.new().get_settings().merged(Common.SETTINGS, true),
		"no setting is another one"
	)
	# From here on the main thread calls, and may.
	_expect(handle.pause(), "the main thread may pause it")
	printerr("@end %d" % _called)
	quit()


func _call_all() -> void:
	for name: String in Common.classes:
		for method: Dictionary in Common.methods(name):
			if Common.reads(name, method.name):
				continue
			if not _objects.has(name):
				printerr("@fail there is no object of %s" % name)
				continue
			_called += 1
			printerr("@call %s.%s" % [name, method.name])
			var value: Variant = _objects[name].callv(method.name, Common.arguments(method))
			_expect(Common.is_failure(value), "%s.%s returns %s" % [name, method.name, value])
			if name in ["TorrentSession", "TorrentHandle"]:
				var error: TorrentError = _objects.TorrentSession.get_last_error()
				_expect(error.get_code() == TorrentError.WRONG_THREAD, "the last error says so")


func _expect(is_so: bool, what: String) -> void:
	if not is_so:
		printerr("@fail " + what)
