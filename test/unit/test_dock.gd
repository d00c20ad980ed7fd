extends "res://test/integration/torrent_test.gd"
## The editor's dock, pressed as a person would press it.

const Dock := preload("res://addons/godot-torrent/editor/torrent_dock.tscn")

var _dock: Control = null


func before_each() -> void:
	super()
	_dock = Dock.instantiate()
	add_child_autofree(_dock)
	watch_signals(_dock)


func part(name: String) -> Node:
	return _dock.get_node("%" + name)


func press(name: String) -> void:
	assert_false(part(name).disabled, "%s can be pressed" % name)
	part(name).pressed.emit()


func wait_until_made() -> void:
	assert_true(await wait_until(func() -> bool: return part("Result").visible, LIMIT), "made")


func test_it_begins_empty() -> void:
	assert_true(part("Cancel").disabled)
	assert_true(part("CopyShown").disabled)
	assert_false(part("Result").visible)
	assert_false(part("Progress").visible)
	assert_eq(part("PieceSize").get_item_text(0), "automatic")
	press("Make")
	assert_string_contains(part("Message").text, "Choose a file")
	assert_false(part("Make").disabled)


func test_it_makes_saves_and_shows_a_torrent() -> void:
	write_file(folder + "/a.bin", content(MIB))
	part("Source").text = folder + "/a.bin"
	part("PieceSize").select(2)
	part("Comment").text = "by the dock"
	part("Private").button_pressed = true
	part("Trackers").text = "http://tracker.example/announce"
	press("Make")
	assert_true(part("Make").disabled)
	assert_false(part("Cancel").disabled)
	await wait_until_made()
	assert_eq(part("Progress").value, 1.0)
	assert_false(part("Make").disabled)
	assert_true(part("Cancel").disabled)

	_dock.save(folder + "/a.torrent")
	assert_signal_emitted_with_parameters(_dock, "saved", [folder + "/a.torrent"])
	var info := TorrentInfo.from_file(folder + "/a.torrent")
	assert_eq(info.get_piece_size(), 32 * KIB)
	assert_eq(info.get_comment(), "by the dock")
	assert_true(info.is_private())
	assert_eq(info.get_magnet_uri(), part("Magnet").text)

	_dock.look_into(folder + "/a.torrent")
	assert_eq(part("LookedAt").text, "a.torrent")
	assert_false(part("CopyShown").disabled)
	var texts := tree_texts()
	assert_has(texts, info.get_info_hash())
	assert_has(texts, "http://tracker.example/announce")
	assert_has(texts, "a.bin")


func test_a_folder_is_shown_as_a_tree() -> void:
	write_file(folder + "/pack/maps/big/one.map", content(100))
	write_file(folder + "/t.torrent", torrent_of(folder + "/pack"))
	_dock.look_into(folder + "/t.torrent")
	var texts := tree_texts()
	for name: String in ["maps", "big", "one.map"]:
		assert_has(texts, name)


func test_it_can_be_cancelled() -> void:
	write_file(folder + "/a.bin", content(MIB))
	part("Source").text = folder + "/a.bin"
	press("Make")
	press("Cancel")
	assert_eq(part("Message").text, "Cancelled.")
	assert_false(part("Make").disabled)
	assert_false(part("Result").visible)
	press("Make")
	await wait_until_made()


func test_what_is_no_torrent_is_said() -> void:
	write_file(folder + "/x.torrent", content(100))
	_dock.look_into(folder + "/x.torrent")
	assert_push_error("TorrentInfo.from_file")
	assert_string_contains(part("LookedAt").text, "no torrent")
	assert_true(part("CopyShown").disabled)
	assert_eq(tree_texts().size(), 0)


func test_where_it_cannot_save_is_said() -> void:
	write_file(folder + "/a.bin", content(100))
	part("Source").text = folder + "/a.bin"
	press("Make")
	await wait_until_made()
	_dock.save(folder + "/no such folder/a.torrent")
	assert_string_contains(part("Message").text, "cannot be written")
	assert_signal_not_emitted(_dock, "saved")


func test_it_may_go_in_the_middle() -> void:
	write_file(folder + "/a.bin", content(4 * MIB))
	part("Source").text = folder + "/a.bin"
	press("Make")
	var dock: WeakRef = weakref(_dock)
	_dock.free()
	assert_null(dock.get_ref())
	_dock = null


## All texts in the tree of facts.
func tree_texts() -> Array[String]:
	var texts: Array[String] = []
	var item: TreeItem = part("Facts").get_root()
	while item != null:
		for column in 2:
			texts.append(item.get_text(column))
		item = item.get_next_in_tree()
	return texts
