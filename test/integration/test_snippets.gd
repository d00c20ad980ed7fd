extends "res://test/integration/torrent_test.gd"
## Every piece of GDScript in README.md and docs: it compiles, and it runs, on this
## machine alone. Those of the tutorials do what the page says.

const Snippets := preload("res://test/integration/snippets.gd")
const LoopbackTracker := preload("res://test/integration/loopback_tracker.gd")

## Names that do not exist are errors of the compiler, not only when they are reached.
const STRICT: Array[String] = [
	"debug/gdscript/warnings/unsafe_method_access",
	"debug/gdscript/warnings/unsafe_property_access",
]

## Pages that show what a wrong call does.
const ERRORS := {"docs/errors.md": "TorrentSession.add_torrent_file"}

## Functions that wait for somebody to call them, and the tests below that do.
const CALLED_BY := {
	"offer": "test_a_mod_goes_from_the_host_to_a_guest",
	"_on_mod_arrived": "test_a_mod_is_used",
}

## The torrent that snippets download, in a folder.
var data: PackedByteArray

var _seeder: TorrentSession = null
var _tracker_url := ""
var _handle_data: PackedByteArray
var _resources: Array[Resource] = []
var _levels: Array[int] = []


func before_all() -> void:
	for name in STRICT:
		_levels.append(ProjectSettings.get_setting(name))
		ProjectSettings.set_setting(name, 2)
	# The compiler is told between two frames.
	await wait_physics_frames(3)


func after_all() -> void:
	for index in STRICT.size():
		ProjectSettings.set_setting(STRICT[index], _levels[index])
	await wait_physics_frames(3)


func before_each() -> void:
	await super()
	var tracker := LoopbackTracker.new()
	add_child_autofree(tracker)
	_tracker_url = tracker.open()
	for number in 3:
		write_file(folder + "/seed/maps/%d.bin" % number, content(60_000, number))
	data = _tracked(folder + "/seed/maps")
	write_file(folder + "/seed/other/one.bin", content(50_000, 7))
	write_file(folder + "/seed/other/two.ogg", content(50_000, 8))
	write_file(folder + "/seed/other/three.bin", content(50_000, 9))
	_handle_data = _tracked(folder + "/seed/other")
	_seeder = start_session()
	await seed_torrent(_seeder, data)
	await seed_torrent(_seeder, _handle_data)


func after_each() -> void:
	_seeder = null
	_resources.clear()
	for session in Snippets.sessions:
		if session.is_running():
			session.stop_session()
			await wait_for_signal(session.session_stopped, LIMIT)
	Snippets.sessions.clear()
	Snippets.told.clear()
	await super()


func _tracked(path: String) -> PackedByteArray:
	var creator := TorrentCreator.new()
	creator.add_directory(path)
	creator.set_piece_size(16 * KIB)
	creator.add_tracker(_tracker_url)
	return creator.generate_blocking()


# --- making scripts of them ---


## What must not leave this machine or the test's folder, and what stands for it.
func _replaced() -> Dictionary:
	return {
		"TorrentSession\\.new\\(\\)": "Fixtures.new_session()",
		'"listen_port": \\d+': '"listen_interfaces": "127.0.0.1:0"',
		'"user://': '"%s/user/' % folder,
		'(?<!load\\()"res://([^"]*\\.torrent)"': '"%s/res/$1"' % folder,
		"https?://tracker\\.example[^/]*/announce": _tracker_url,
		'"magnet:[^"]*"': '"%s"' % TorrentInfo.from_data(data).get_magnet_uri(),
	}


## The files that a snippet expects to find.
func _provide(snippet: Snippets) -> void:
	for found in RegEx.create_from_string('"res://([^"]*\\.torrent)"').search_all(snippet.code):
		var path := found.get_string(1)
		write_file(folder + "/res/" + path, data)
		var resource := TorrentFile.new()
		resource.data = data
		# What load() finds there from now on.
		resource.take_over_path("res://" + path)
		_resources.append(resource)
	DirAccess.make_dir_recursive_absolute(folder + "/user")
	var added := RegEx.create_from_string('add_(file|directory)\\("user://([^"]*)"')
	for found in added.search_all(snippet.code):
		var path := folder + "/user/" + found.get_string(2)
		if found.get_string(1) == "directory":
			path += "/file.bin"
		write_file(path, content(40_000))
	for found in RegEx.create_from_string('FOLDER := "user://(.*)"').search_all(snippet.code):
		write_file(folder + "/user/" + found.get_string(1) + "/one.bin", content(40_000))


## The node that a snippet becomes, or null.
func _make(snippet: Snippets) -> Node:
	_provide(snippet)
	var script := GDScript.new()
	script.source_code = snippet.source(_replaced())
	var error := script.reload()
	assert_eq(error, OK, "%s compiles" % snippet.place())
	return autofree(script.new()) if error == OK else null


## What fragments take for granted.
func _fill(node: Node, snippet: Snippets) -> void:
	var session := Snippets.new_session()
	if not snippet.code.contains("start_session"):
		session.start_session()
	if not snippet.code.contains("var session"):
		node.session = session
	if session.is_running():
		node.handle = session.add_torrent_file(_handle_data, folder + "/handle")
	node.data = data
	node.link = TorrentInfo.from_data(data).get_magnet_uri()
	node.ip = "127.0.0.1"
	node.port = port_of(_seeder)
	if snippet.code.contains("resume_data)"):
		node.resume_data = await _resume_data()


## Resume data of the torrent, complete where snippets look for it.
func _resume_data() -> PackedByteArray:
	for number in 3:
		write_file(folder + "/user/mods/maps/%d.bin" % number, content(60_000, number))
	var session := start_session()
	var handle := session.add_torrent_file(data, folder + "/user/mods")
	await finished(handle)
	handle.save_resume_data()
	return await handle.resume_data_ready


## Waits for the end of `call`; false when it does not come.
func _ends(call: Callable) -> bool:
	var ended := [false]
	var run := func() -> void:
		await call.call()
		ended[0] = true
	run.call()
	return await wait_until(func() -> bool: return ended[0], LIMIT)


## Whether the sessions of snippets have torrents, all of them complete.
func _all_finished() -> bool:
	var torrents := 0
	for session in Snippets.sessions:
		for handle in session.get_torrents():
			torrents += 1
			if not handle.get_status().is_finished():
				return false
	return torrents > 0


## Whether whoever listens has heard of the end of each.
func _all_told() -> bool:
	for session in Snippets.sessions:
		for handle in session.get_torrents():
			if not Snippets.told.has(handle.get_info_hash()):
				return false
	return true


func _run_script(node: Node) -> void:
	add_child(node)
	await _wait_for_the_end()


## Waits until its torrents are complete and what waits for that has gone on.
func _wait_for_the_end() -> void:
	assert_true(await wait_until(_all_finished, LIMIT), "its torrents are complete")
	assert_true(await wait_until(_all_told, LIMIT), "and that is told")
	await wait_process_frames(10)


# --- all of them ---


func test_a_snippet(snippet: Snippets = use_parameters(Snippets.all())) -> void:
	var node := _make(snippet)
	if node == null:
		return
	var called := Array(snippet.functions()).filter(_waits)
	if not called.is_empty():
		assert_true(called.all(_is_called), "%s is run by a test" % snippet.place())
		return
	if snippet.is_script():
		await _run_script(node)
		return
	await _fill(node, snippet)
	add_child(node)
	if node.has_method("_run"):
		assert_true(await _ends(node._run), "%s ends" % snippet.place())
	elif node.has_method("_ready"):
		await _wait_for_the_end()
	else:
		fail_test("%s is not run" % snippet.place())
	if ERRORS.has(snippet.page):
		assert_push_error(ERRORS[snippet.page])


func _waits(function: String) -> bool:
	return CALLED_BY.has(function)


func _is_called(function: String) -> bool:
	return has_method(CALLED_BY[function])


func test_a_wrong_name_is_noticed() -> void:
	var snippet := Snippets.new()
	snippet.code = "session.start_sesion()\n"
	var script := GDScript.new()
	script.source_code = snippet.source({})
	assert_ne(script.reload(), OK)
	assert_engine_error("start_sesion")


func test_every_page_is_read() -> void:
	var pages := Snippets.pages()
	assert_has(pages, "README.md")
	assert_has(pages, "docs/getting-started.md")
	assert_has(pages, "docs/reference/TorrentSession.md")
	assert_has(pages, "docs/tutorials/resume.md")


# --- what the pages promise ---


## The first complete script of a page.
func _script_of(page: String) -> Node:
	for snippet: Snippets in Snippets.of_page(page):
		if snippet.is_script():
			return _make(snippet)
	fail_test("%s has no script" % page)
	return null


func _assert_downloaded(path: String) -> void:
	for number in 3:
		var name := "%d.bin" % number
		assert_eq(sha256(path.path_join(name)), sha256(folder + "/seed/maps/" + name), name)


func test_the_readme_downloads() -> void:
	await _run_script(_script_of("README.md"))
	_assert_downloaded(folder + "/user/mods/maps")


func test_the_panel_shows_the_progress() -> void:
	var panel := _script_of("docs/tutorials/download-with-progress.md")
	await _run_script(panel)
	_assert_downloaded(folder + "/user/mods/maps")
	assert_eq(panel.bar.value, 1.0)
	assert_string_contains(panel.label.text, "Saved in")
	assert_false(panel.button.visible)


func test_the_panel_pauses() -> void:
	var panel := _script_of("docs/tutorials/download-with-progress.md")
	add_child(panel)
	panel.button.pressed.emit()
	assert_true(panel.download.is_paused())
	panel.button.pressed.emit()
	assert_false(panel.download.is_paused())
	# To the end, so that nothing waits for a node that is gone.
	var is_done := func() -> bool: return not panel.button.visible
	assert_true(await wait_until(is_done, LIMIT))


func test_a_magnet_link_is_downloaded() -> void:
	await _run_script(_script_of("docs/tutorials/magnet.md"))
	_assert_downloaded(folder + "/user/downloads/maps")


func test_the_state_directory_brings_a_torrent_back() -> void:
	await _run_script(_script_of("docs/tutorials/resume.md"))
	var session: TorrentSession = Snippets.sessions.pop_back()
	session.stop_session()
	await wait_for_signal(session.session_stopped, LIMIT)
	_seeder.stop_session()
	var again := _script_of("docs/tutorials/resume.md")
	add_child(again)
	assert_true(await wait_for_signal(again.session.session_started, LIMIT))
	assert_eq(again.session.get_torrents().size(), 1, "it is back")
	assert_true(await wait_until(_all_finished, LIMIT))
	_assert_downloaded(folder + "/user/mods/maps")


func test_the_seed_server_seeds() -> void:
	var bytes := content(200_000, 5)
	write_file(folder + "/user/shared/level.pck", bytes)
	var server := _script_of("docs/tutorials/seed.md")
	await _run_script(server)
	var made := FileAccess.get_file_as_bytes(folder + "/user/shared/level.pck.torrent")
	var session := start_session()
	var handle := session.add_torrent_file(made, folder + "/save")
	assert_true(await finished(handle), "found by the tracker")
	assert_eq(FileAccess.get_file_as_bytes(folder + "/save/level.pck"), bytes)
	server._print_status()


## A tree with a multiplayer connection of its own, as another copy of the game has.
func _game(peer: ENetMultiplayerPeer, name: String) -> Node:
	var game := Node.new()
	game.name = name
	add_child_autofree(game)
	var connection := SceneMultiplayer.new()
	get_tree().set_multiplayer(connection, game.get_path())
	connection.multiplayer_peer = peer
	return game


func test_a_mod_goes_from_the_host_to_a_guest() -> void:
	var bytes := content(200_000, 6)
	write_file(folder + "/host/winter.pck", bytes)
	var server := ENetMultiplayerPeer.new()
	server.set_bind_ip("127.0.0.1")
	assert_eq(server.create_server(0), OK)
	var client := ENetMultiplayerPeer.new()
	assert_eq(client.create_client("127.0.0.1", server.host.get_local_port()), OK)
	var host := _script_of("docs/tutorials/share-a-mod.md")
	var guest := _script_of("docs/tutorials/share-a-mod.md")
	for node: Node in [host, guest]:
		node.name = "ModShare"
	_game(server, "Host").add_child(host)
	_game(client, "Guest").add_child(guest)
	watch_signals(guest)
	assert_true(await _ends(host.share.bind(folder + "/host/winter.pck")))
	if get_signal_emit_count(guest, "mod_arrived") == 0:
		assert_true(await wait_for_signal(guest.mod_arrived, LIMIT))
	var path: String = get_signal_parameters(guest, "mod_arrived")[0]
	assert_eq(FileAccess.get_file_as_bytes(path), bytes)
	for name: String in ["Host", "Guest"]:
		get_tree().set_multiplayer(null, get_node(name).get_path())
	client.close()
	server.close()


func test_a_mod_is_used() -> void:
	write_file(
		folder + "/main.tscn",
		'[gd_scene format=3]\n\n[node name="Winter" type="Node"]\n'.to_utf8_buffer()
	)
	var packer := PCKPacker.new()
	assert_eq(packer.pck_start(folder + "/winter.pck"), OK)
	assert_eq(packer.add_file("res://mods/winter/main.tscn", folder + "/main.tscn"), OK)
	assert_eq(packer.flush(), OK)
	for snippet: Snippets in Snippets.of_page("docs/tutorials/share-a-mod.md"):
		if snippet.functions().has("_on_mod_arrived"):
			var node := _make(snippet)
			add_child(node)
			node._on_mod_arrived(folder + "/winter.pck")
	var is_shown := func() -> bool:
		var scene := get_tree().current_scene
		return scene != null and scene.name == "Winter"
	assert_true(await wait_until(is_shown, LIMIT), "the scene of the mod is shown")
	get_tree().unload_current_scene()
