extends "res://test/integration/torrent_test.gd"
## What is behind the editor's dock: making torrents from options, and the outline of
## one.

const Maker := preload("res://addons/godot-torrent/editor/torrent_maker.gd")
const Outline := preload("res://addons/godot-torrent/editor/torrent_outline.gd")


func options(changes := {}) -> Dictionary:
	var all := Maker.default_options()
	all.merge(changes, true)
	return all


## Makes a torrent to the end; null when it failed.
func make(source: String, changes := {}) -> TorrentInfo:
	var maker := Maker.new()
	watch_signals(maker)
	assert_true(maker.start(source, options(changes)))
	assert_true(await wait_for_signal(maker.made, LIMIT), "it is made")
	assert_false(maker.is_busy())
	var arguments: Array = get_signal_parameters(maker, "made")
	var info := TorrentInfo.from_data(arguments[0])
	assert_eq(arguments[1], info.get_info_hash())
	assert_eq(arguments[2], info.get_magnet_uri())
	return info


func test_a_file_with_nothing_said() -> void:
	write_file(folder + "/a.bin", content(100_000))
	var info := await make(folder + "/a.bin")
	assert_eq(info.get_name(), "a.bin")
	assert_eq(info.get_comment(), "")
	assert_false(info.is_private())
	assert_eq(info.get_trackers().size(), 0)


func test_a_folder_with_all_options() -> void:
	write_file(folder + "/pack/a.bin", content(100_000))
	write_file(folder + "/pack/.hidden", content(10))
	var info := await make(
		" %s/pack " % folder,
		{
			"name": "another",
			"piece_size": 32 * KIB,
			"comment": "hello",
			"private": true,
			"include_hidden": true,
			"trackers": "http://one.example/announce\n\n http://two.example/announce ",
			"web_seeds": "http://web.example/files/\n",
		}
	)
	assert_eq(info.get_name(), "another")
	assert_eq(info.get_piece_size(), 32 * KIB)
	assert_eq(info.get_comment(), "hello")
	assert_true(info.is_private())
	assert_eq(info.get_file_count(), 2)
	assert_eq(
		info.get_trackers(),
		[
			{"url": "http://one.example/announce", "tier": 0},
			{"url": "http://two.example/announce", "tier": 1},
		]
	)
	assert_eq(info.get_web_seeds().size(), 1)


func test_progress_ends_at_one() -> void:
	write_file(folder + "/a.bin", content(4 * MIB))
	var maker := Maker.new()
	watch_signals(maker)
	maker.start(folder + "/a.bin", options({"piece_size": 16 * KIB}))
	await wait_for_signal(maker.made, LIMIT)
	assert_signal_emitted(maker.progressed)
	assert_eq(get_signal_parameters(maker, "progressed"), [1.0])


func test_it_can_be_given_up() -> void:
	write_file(folder + "/a.bin", content(MIB))
	var maker := Maker.new()
	watch_signals(maker)
	assert_true(maker.start(folder + "/a.bin", options()))
	assert_true(maker.is_busy())
	assert_false(maker.start(folder + "/a.bin", options()), "one at a time")
	maker.cancel()
	assert_false(maker.is_busy())
	# What comes after it is heard, what was given up is not.
	assert_true(maker.start(folder + "/a.bin", options({"name": "second"})))
	await wait_for_signal(maker.made, LIMIT)
	assert_signal_emit_count(maker.made, 1)
	assert_signal_not_emitted(maker.failed)


func test_what_is_wrong_is_said(
	wrong: Array = use_parameters(
		[
			["", {}, "Choose"],
			["/nowhere/at all", {}, "There is no"],
			["FILE", {"piece_size": 17}, "17 bytes"],
			["FILE", {"trackers": "no address"}, "'no address'"],
			["FILE", {"web_seeds": "ftp://x"}, "'ftp://x'"],
			["FILE", {"name": "../up"}, "'../up'"],
		]
	)
) -> void:
	write_file(folder + "/a.bin", content(100))
	var maker := Maker.new()
	watch_signals(maker)
	var source: String = wrong[0].replace("FILE", folder + "/a.bin")
	assert_false(maker.start(source, options(wrong[1])))
	assert_signal_emit_count(maker.failed, 1)
	assert_string_contains(get_signal_parameters(maker, "failed")[0], wrong[2])
	assert_false(maker.is_busy())
	# The library says it as well.
	for error in get_errors():
		error.handled = true


func test_a_source_that_vanishes_fails() -> void:
	write_file(folder + "/pack/a.bin", content(100))
	DirAccess.make_dir_recursive_absolute(folder + "/nothing")
	var maker := Maker.new()
	watch_signals(maker)
	if maker.start(folder + "/nothing", options()):
		await wait_for_signal(maker.failed, LIMIT)
	assert_signal_emit_count(maker.failed, 1)
	assert_false(maker.is_busy())
	for error in get_errors():
		error.handled = true


func test_saving() -> void:
	var maker := Maker.new()
	assert_eq(maker.save(folder + "/nothing.torrent"), ERR_DOES_NOT_EXIST)
	assert_file_does_not_exist(folder + "/nothing.torrent")
	write_file(folder + "/a.bin", content(100))
	watch_signals(maker)
	maker.start(folder + "/a.bin", options())
	await wait_for_signal(maker.made, LIMIT)
	assert_eq(maker.save(folder + "/a.torrent"), OK)
	var data: PackedByteArray = get_signal_parameters(maker, "made")[0]
	assert_eq(FileAccess.get_file_as_bytes(folder + "/a.torrent"), data)
	assert_ne(maker.save(folder + "/no such folder/a.torrent"), OK)


func test_tiers_are_paragraphs() -> void:
	var tiers := Maker.read_tiers("\n\na\n b \n\n\n\nc\n")
	assert_eq(tiers, [{"url": "a", "tier": 0}, {"url": "b", "tier": 0}, {"url": "c", "tier": 1}])
	assert_eq(Maker.read_tiers("").size(), 0)


func outline_info() -> TorrentInfo:
	for name: String in ["a.bin", "maps/one.map", "maps/big/two.map", "maps/big/three.map"]:
		write_file(folder + "/pack/" + name, content(1000, name.length()))
	return TorrentInfo.from_data(torrent_of(folder + "/pack"))


func test_the_outline_is_a_tree_with_sizes() -> void:
	var tree := Outline.tree(outline_info())
	assert_eq(tree.name, "pack")
	assert_eq(tree.size, 4000)
	assert_eq(tree.left_out, 0)
	var sizes := {}
	for child: Dictionary in tree.children:
		sizes[child.name] = child.size
	assert_eq(sizes, {"a.bin": 1000, "maps": 3000})
	var is_maps := func(child: Dictionary) -> bool: return child.name == "maps"
	var maps: Dictionary = tree.children.filter(is_maps)[0]
	assert_eq(maps.children.size(), 2)


func test_the_outline_has_an_end() -> void:
	var tree := Outline.tree(outline_info(), 1)
	assert_gt(tree.left_out, 0)
	assert_lt(tree.left_out, 4)


func test_the_facts_are_the_torrents() -> void:
	var info := outline_info()
	var facts := {}
	for fact in Outline.facts(info):
		facts[fact[0]] = fact[1]
	assert_eq(facts["Name"], "pack")
	assert_eq(facts["Info-hash"], info.get_info_hash())
	assert_eq(facts["Files"], "4")
	assert_eq(facts["Private"], "no")
	assert_string_contains(facts["Size"], "4000 B")
