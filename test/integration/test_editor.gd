extends "res://test/integration/torrent_test.gd"
## The editor with the addon, in a project of its own: torrents are imported, broken
## ones are refused, the dock works, and nothing stays behind when it is switched off.

const PROBE := "res://test/support/editor_probe"
const PROJECT := """config_version=5

[application]

config/name="editor test"

[editor_plugins]

enabled=PackedStringArray("res://addons/godot-torrent/plugin.cfg", "res://addons/probe/plugin.cfg")
"""
const CLASHES := """extends SceneTree


func _initialize() -> void:
	var torrent: Resource = load("res://good.torrent")
	var is_good: bool = torrent.size == 50_000 and torrent.get_info() != null
	load("res://addons/godot-torrent/torrent_file.gd")
	load("res://peer.gd")
	quit(0 if is_good else 1)
"""

## What the editor printed.
var _output := ""


## Runs the editor on the test's project; its exit status.
func run_editor(arguments: Array[String], environment := "") -> int:
	var godot := OS.get_environment("GODOT")
	if godot.is_empty():
		godot = OS.get_executable_path()
	var all: Array[String] = ["--headless", "--path", ProjectSettings.globalize_path(folder)]
	all.append_array(arguments)
	OS.set_environment("GODOT_TORRENT_PROBE", environment)
	var output := []
	var status := OS.execute(godot, all, output, true)
	OS.unset_environment("GODOT_TORRENT_PROBE")
	_output = "".join(output)
	return status


func make_project() -> void:
	write_file(folder + "/project.godot", PROJECT.to_utf8_buffer())
	write_file(
		folder + "/.godot/extension_list.cfg",
		"res://addons/godot-torrent/godot-torrent.gdextension\n".to_utf8_buffer()
	)
	DirAccess.make_dir_recursive_absolute(folder + "/addons")
	var links := DirAccess.open(folder + "/addons")
	for link: Array in [["res://addons/godot-torrent", "godot-torrent"], [PROBE, "probe"]]:
		assert_eq(links.create_link(ProjectSettings.globalize_path(link[0]), link[1]), OK)
	write_file(folder + "/payload.bin", content(100_000))
	write_file(folder + "/good.torrent", make_torrent(50_000))
	remove_tree(folder + "/seed")


func after_each() -> void:
	# The links are removed and not what they lead to.
	for link: String in ["godot-torrent", "probe"]:
		DirAccess.remove_absolute(folder + "/addons/" + link)
	await super()


func test_the_editor_imports_torrents_and_has_a_dock() -> void:
	make_project()
	assert_eq(run_editor(["--import"]), 0, _output)
	assert_file_exists(folder + "/good.torrent.import")
	assert_eq(run_editor(["--editor"], "1"), 0, _output)
	assert_string_contains(_output, "PROBE OK")
	for complaint: String in ["ERROR:", "leaked", "Leaked", "orphan"]:
		assert_false(complaint in _output, "'%s' in: %s" % [complaint, _output])


func test_a_broken_torrent_is_not_imported() -> void:
	make_project()
	write_file(folder + "/broken.torrent", content(1000))
	write_file(folder + "/empty.torrent", PackedByteArray())
	run_editor(["--import"])
	assert_string_contains(_output, "TorrentInfo.from_file")
	var imported := Array(DirAccess.get_files_at(folder + "/.godot/imported"))
	var is_result := func(name: String) -> bool: return name.ends_with(".res")
	var results := imported.filter(is_result)
	assert_eq(results.size(), 1, str(results))
	assert_string_starts_with(results[0], "good.torrent")


func test_the_projects_own_torrent_is_a_resource() -> void:
	var torrent: TorrentFile = load("res://demo/assets/welcome.torrent")
	assert_not_null(torrent)
	assert_eq(torrent.name, "welcome")
	var session := start_session()
	var handle := session.add_torrent_file(torrent.data, folder + "/save")
	assert_eq(handle.get_info_hash(), torrent.info_hash)


## A script of the game has the name of ours, which cannot be loaded then.
func test_a_game_with_a_torrent_file_class_of_its_own() -> void:
	make_project()
	write_file(folder + "/mine.gd", "class_name TorrentFile\nextends RefCounted\n".to_utf8_buffer())
	write_file(folder + "/peer.gd", "class_name PeerInfo\nextends RefCounted\n".to_utf8_buffer())
	write_file(folder + "/check.gd", CLASHES.to_utf8_buffer())
	assert_eq(run_editor(["--import"]), 0, _output)
	assert_eq(run_editor(["-s", "res://check.gd"]), 0, _output)
	# As "Getting started" has it.
	for said: String in ['"TorrentFile" hides a global script', '"PeerInfo" hides a native class.']:
		assert_string_contains(_output, said)
