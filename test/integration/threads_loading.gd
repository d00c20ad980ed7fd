extends SceneTree
## Loads a torrent and a scene that has one in threads. Run by test_threads.gd; the
## arguments are a folder with saved.res and scene.tscn.


func _initialize() -> void:
	var folder: String = OS.get_cmdline_user_args()[0]
	for path: String in ["/saved.res", "/scene.tscn"]:
		ResourceLoader.load_threaded_request(folder + path, "", true)
	var torrent: TorrentFile = await _loaded(folder + "/saved.res")
	print("the torrent: %s" % torrent.name)
	var scene: PackedScene = await _loaded(folder + "/scene.tscn")
	var node := scene.instantiate()
	print("in the scene: %s" % node.get_meta("torrent").name)
	node.free()
	var thread := Thread.new()
	thread.start(func() -> String: return load(folder + "/saved.res").info_hash)
	while thread.is_alive():
		await process_frame
	print("in a thread: %s" % (thread.wait_to_finish() == torrent.info_hash))
	quit()


func _loaded(path: String) -> Resource:
	while ResourceLoader.load_threaded_get_status(path) == ResourceLoader.THREAD_LOAD_IN_PROGRESS:
		await process_frame
	return ResourceLoader.load_threaded_get(path)
