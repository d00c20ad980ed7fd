extends SceneTree
## Run in a project that contains nothing but the unpacked addon: its classes are
## there and work.


func _initialize() -> void:
	if not ClassDB.can_instantiate(&"TorrentSession"):
		printerr("the unpacked addon has no TorrentSession")
		quit(1)
		return
	var session: Object = ClassDB.instantiate(&"TorrentSession")
	var running: bool = session.call(&"is_running")
	session = null
	quit(1 if running else 0)
