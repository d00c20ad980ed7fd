extends "res://test/scenes/scene_test.gd"
## Opens every demo in a window, uses it, and looks at the picture. An error that is not
## expected fails a test by itself.

const Example := preload("res://demo/download_manager/example.gd")

const DEMOS := "res://demo"
## The file that is most of the example, and the others.
const LARGEST := "example_pack/world.bin"
const OTHERS: Array[String] = [
	"example_pack/music/theme.bin", "example_pack/music/credits.bin", "example_pack/read_me.txt"
]
## Bytes a second: what is left of the example takes hours.
const TRICKLE := 1 * KIB


func test_every_demo_is_looked_at() -> void:
	var looked_at := FileAccess.get_file_as_string(get_script().resource_path)
	for name in DirAccess.get_files_at(DEMOS):
		# The shim speaks to programs and shows nothing.
		if name.ends_with(".tscn") and name != "rpc_shim.tscn":
			assert_string_contains(looked_at, DEMOS.path_join(name))


func test_an_empty_page_would_not_pass() -> void:
	var page := PanelContainer.new()
	page.set_anchors_preset(Control.PRESET_FULL_RECT)
	page.theme = load("res://demo/common/theme.tres")
	page.theme_type_variation = &"Page"
	var packed := PackedScene.new()
	packed.pack(page)
	page.free()
	assert_eq(ResourceSaver.save(packed, folder + "/empty.tscn"), OK)
	open(folder + "/empty.tscn")
	var image := await shoot("empty_page")
	var verdict := judge(image)
	assert_eq(verdict, {"colors": 1, "share": 0.0})
	assert_ne(image.get_pixel(9, 9).to_html(), Color.BLACK.to_html(), "it is drawn all the same")


func test_the_menu() -> void:
	var scene := open("res://demo/menu.tscn")
	var image := await shoot("menu")
	assert_shows(image)
	assert_eq(scene.get_node("%Grid").get_child_count(), scene.DEMOS.size())
	for demo: String in scene.DEMOS:
		assert_true(ResourceLoader.exists("res://demo/%s.tscn" % demo), demo)
	await close(scene)


func test_the_demos_that_check_something(
	path: String = use_parameters(
		[
			"res://demo/test_basic.tscn",
			"res://demo/loopback_transfer.tscn",
			"res://demo/demo_advanced.tscn",
		]
	)
) -> void:
	var scene := open(path)
	var state: Label = scene.get_node("%State")
	var has_ended := func() -> bool: return state.text != "running"
	# It has a limit of its own, which is no shorter.
	assert_true(await wait_until(has_ended, 2 * LIMIT), "it ends")
	assert_eq(state.text, "ended well")
	var image := await shoot(path.get_file().get_basename())
	assert_shows(image)
	if path.ends_with("test_basic.tscn"):
		# It shows what a wrong call does.
		assert_push_error("TorrentSession.add_torrent_file")
	await close(scene)


func test_the_download_manager() -> void:
	var scene := open("res://demo/download_manager.tscn")
	await wait_process_frames(2)
	var empty := await shoot("download_manager_empty")
	# Nothing that this test looks at is a matter of time: hardly anything comes before
	# the limit is taken away, and what is whole keeps its peer.
	var patient := {"close_redundant_connections": false}
	assert_true(scene.session.apply_settings(patient))
	assert_true(scene.session.set_download_rate_limit(TRICKLE))
	press(scene.get_node("%Example"))
	var seeder: TorrentSession = scene._sessions.back()
	assert_ne(seeder, scene.session, "somebody has the example")
	assert_true(seeder.apply_settings(patient))
	var list: Control = scene.get_node("%List")
	var row := func() -> Control: return list.get_child(list.get_child_count() - 1)
	var is_added := func() -> bool: return row.call().get_node_or_null("%Progress") != null
	assert_true(await wait_until(is_added, LIMIT), "it is in the list")
	var bar: ProgressBar = row.call().get_node("%Progress")
	var handle: TorrentHandle = scene.session.get_torrents()[0]

	# The largest file is wanted first, and the others when that one is whole: the rest
	# is as good as nothing under the limit, so the download stays in the middle.
	for name in OTHERS:
		choose_priority(scene, name, "skip")
	# It shares a piece with its neighbour.
	var is_wanted := func() -> bool:
		return handle.get_status().get_total_wanted() < Example.FILES[LARGEST] + MIB
	assert_true(await wait_until(is_wanted, LIMIT), "one file is wanted")
	assert_true(scene.session.set_download_rate_limit(0))
	var is_there := func() -> bool: return handle.get_status().is_finished() and bar.value == 1.0
	assert_true(await wait_until(is_there, LIMIT), "it moves")
	assert_true(scene.session.set_download_rate_limit(TRICKLE))
	for name in OTHERS:
		choose_priority(scene, name, "normal")
	var is_midway := func() -> bool: return bar.value > 0.3 and bar.value < 1.0
	assert_true(await wait_until(is_midway, LIMIT), "in the middle")
	var image := await shoot("download_manager")
	assert_shows(image, 0.4)
	assert_ne(image.get_data(), empty.get_data())
	assert_eq(handle.get_status().get_num_peers(), 1)

	var pause: Button = row.call().get_node("%Pause")
	press(pause)
	assert_true(await wait_until(func() -> bool: return pause.text == "Resume", LIMIT))
	assert_lt(bar.value, 1.0, "it waits in the middle")
	await shoot("download_manager_paused")
	assert_true(scene.session.set_download_rate_limit(0))
	press(pause)
	assert_true(await wait_until(func() -> bool: return bar.value == 1.0, LIMIT), "it is whole")
	for name: String in Example.FILES:
		var there := sha256("user://download_manager_example/" + name)
		assert_eq(sha256("user://downloads/" + name), there, name)
	press(row.call().get_node("%Remove"))
	assert_eq(scene.session.get_torrents().size(), 0)
	assert_true(scene.get_node("%Hint").visible)
	await close(scene)


## Chooses a file's priority in the details at the right.
func choose_priority(scene: Control, path: String, title: String) -> void:
	for row in scene.get_node("%Files").get_children():
		if row.get_child(0).text == path:
			var choice: OptionButton = row.get_child(2)
			for item in choice.item_count:
				if choice.get_item_text(item) == title:
					choice.select(item)
					choice.item_selected.emit(item)
					return
	fail_test("%s cannot be set to %s" % [path, title])


func test_a_magnet_link_in_the_download_manager() -> void:
	var data := make_torrent(100_000, 16 * KIB, "linked.bin")
	var seeder := start_session()
	var link := (await seed_torrent(seeder, data)).get_magnet_uri()
	var scene := open("res://demo/download_manager.tscn")
	var field: LineEdit = scene.get_node("%Magnet")
	var button: Button = scene.get_node("%AddMagnet")
	var type := func(text: String) -> void:
		field.text = text
		field.text_changed.emit(text)
	type.call("no link")
	assert_true(button.disabled)
	type.call("magnet:?dn=nothing")
	press(button)
	assert_push_error("TorrentSession.add_magnet_uri")
	assert_true(scene.get_node("%Problem").visible, "what is wrong is shown")
	type.call(" %s " % link)
	press(button)
	assert_false(scene.get_node("%Problem").visible)
	assert_eq(field.text, "")
	assert_true(button.disabled)
	var handle: TorrentHandle = scene.session.get_torrents()[0]
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	var files: Control = scene.get_node("%Files")
	assert_true(await wait_until(func() -> bool: return files.get_child_count() == 1, LIMIT))
	await finished(handle)
	await shoot("download_manager_magnet")
	var list: Control = scene.get_node("%List")
	assert_eq(list.get_child(list.get_child_count() - 1).get_node("%Name").text, "linked.bin")
	assert_true(scene.session.remove_torrent(handle, true))
	await wait_for_signal(handle.removed, LIMIT)
	await close(scene)


func test_priorities_in_the_download_manager() -> void:
	var scene := open("res://demo/download_manager.tscn")
	write_file(folder + "/pack/a.bin", content(100_000))
	write_file(folder + "/pack/b.bin", content(50_000))
	write_file(folder + "/pack.torrent", torrent_of(folder + "/pack"))
	scene.add_file(folder + "/pack.torrent")
	var files: Control = scene.get_node("%Files")
	assert_true(await wait_until(func() -> bool: return files.get_child_count() == 2, LIMIT))
	var handle: TorrentHandle = scene.session.get_torrents()[0]
	var choice: OptionButton = files.get_child(1).get_child(2)
	assert_eq(choice.get_item_text(choice.selected), "normal")
	choice.item_selected.emit(0)
	assert_eq(Array(handle.get_file_priorities()), [4, 0])
	assert_true(scene.session.remove_torrent(handle, true))
	await wait_for_signal(handle.removed, LIMIT)
	await close(scene)


func test_mod_sharing() -> void:
	var scene := open("res://demo/mod_sharing.tscn")
	await wait_process_frames(2)
	press(scene.get_node("%Share"))
	var find: Button = scene.get_node("%Find")
	assert_true(await wait_until(func() -> bool: return not find.disabled, LIMIT), "shared")
	press(find)
	var stage: Control = scene.get_node("%Stage")
	assert_true(
		await wait_until(func() -> bool: return stage.get_child_count() > 1, LIMIT), "plays"
	)
	await wait_process_frames(5)
	var image := await shoot("mod_sharing")
	assert_shows(image, 0.4)
	await close(scene)


func test_the_seed_server() -> void:
	var scene := open("res://demo/seed_server.tscn")
	var line: Label = scene.get_node("%Line")
	var seeds := func() -> bool: return line.text.begins_with("seeding 2 of 2")
	assert_true(await wait_until(seeds, LIMIT), line.text)
	# Somebody downloads from it, so that there is something to count.
	var torrents := "user://seed_server/torrents/"
	var data := FileAccess.get_file_as_bytes(torrents + "example_map.bin.torrent")
	var leecher := start_session()
	var handle := leecher.add_torrent_file(data, folder + "/save")
	var port: int = scene.get_node("%Address").text.get_slice(" ", 3).to_int()
	assert_true(handle.connect_peer("127.0.0.1", port))
	await finished(handle)
	var has_sent := func() -> bool: return not line.text.ends_with(" 0 B sent")
	assert_true(await wait_until(has_sent, LIMIT), line.text)
	var image := await shoot("seed_server")
	assert_shows(image, 0.15)
	await close(scene)


func test_the_dock() -> void:
	var dock := open("res://addons/godot-torrent/editor/torrent_dock.tscn", Vector2i(360, 640))
	write_file(folder + "/pack/maps/one.map", content(100_000))
	write_file(folder + "/pack/read_me.txt", content(100))
	dock.get_node("%Source").text = folder + "/pack"
	press(dock.get_node("%Make"))
	var result: Control = dock.get_node("%Result")
	assert_true(await wait_until(func() -> bool: return result.visible, LIMIT), "made")
	assert_shows(await shoot("dock_create"), 0.4)
	dock.save(folder + "/pack.torrent")
	dock.look_into(folder + "/pack.torrent")
	dock.current_tab = 1
	assert_shows(await shoot("dock_look"), 0.3)
	await close(dock)
