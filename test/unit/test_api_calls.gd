extends GutTest
## Every method of the library is called by a test of this folder, on an object of its
## class, and every signal is named by some test.

const Calls = preload("res://test/unit/api_calls.gd")

const API := "res://test/unit/api.txt"
const LATER := "res://test/unit/api_later.txt"
## What tests extend, read before them.
const BASE := "res://test/integration/torrent_test.gd"


func test_every_method_is_called() -> void:
	var calls := _calls_in(["res://test/unit"]).calls
	var missed := _methods().filter(func(method: String) -> bool: return not calls.has(method))
	assert_eq("\n".join(missed), "", "methods that no test in test/unit calls")


func test_every_signal_is_looked_at() -> void:
	var names := _calls_in(["res://test/unit", "res://test/integration"]).names
	var missed := _signals().filter(func(name: String) -> bool: return not names.has(name))
	assert_eq("\n".join(missed), "", "signals that no test names")


## The finder finds what is one, and nothing else.
func test_what_a_call_is() -> void:
	var calls := Calls.new(_returns())
	var source := """
func made() -> TorrentCreator:
	return null

func test(handle: TorrentHandle, other) -> void:
	var session := TorrentSession.new()
	# handle.resume()
	assert_eq("handle.pause()", 'x.pause()')
	session.get_alert_manager().pop_alerts()
	var info := TorrentInfo.from_data(PackedByteArray())
	info.get_name()
	made().cancel()
	other.flush_cache()
	handle.call("force_recheck")
	assert_true(handle.clear_error, other.clear_error())
	for peer in handle.get_peer_info():
		peer.get_ip()
	var listen := func(logger: TorrentLogger) -> void: logger.poll()
	await session.session_stopped
	var status := (
		handle
		. get_status()
	)
	status.is_paused()

func again() -> void:
	handle.is_paused()
	var handle := await made()
	handle.generate()
"""
	calls.read(source)
	var found := calls.calls.keys()
	found.sort()
	assert_eq(
		found,
		[
			"AlertManager.pop_alerts",
			"PeerInfo.get_ip",
			"TorrentCreator.cancel",
			"TorrentCreator.generate",
			"TorrentHandle.call",
			"TorrentHandle.get_peer_info",
			"TorrentHandle.get_status",
			"TorrentInfo.from_data",
			"TorrentInfo.get_name",
			"TorrentLogger.poll",
			"TorrentSession.get_alert_manager",
			"TorrentStatus.is_paused",
		]
	)
	assert_has(calls.names, "TorrentSession.session_stopped")
	assert_has(calls.names, "TorrentHandle.clear_error")


func _calls_in(folders: Array[String]) -> Calls:
	var calls := Calls.new(_returns())
	var scripts: Array[String] = [BASE]
	for folder in folders:
		for name in DirAccess.get_files_at(folder):
			if name.begins_with("test_") and name.ends_with(".gd"):
				scripts.append(folder.path_join(name))
	assert_gt(scripts.size(), 10, "there are tests")
	for script in scripts:
		# The texts in this one are examples.
		if script != get_script().resource_path:
			calls.read(FileAccess.get_file_as_string(script))
	return calls


## What the methods of each class return.
func _returns() -> Dictionary:
	var returns := {}
	for entry in _entries("func"):
		var methods: Dictionary = returns.get_or_add(entry[0], {})
		methods[entry[1]] = entry[2].get_slice("-> ", 1)
	return returns


func _methods() -> Array:
	return _registered(_entries("func"))


func _signals() -> Array:
	return _registered(_entries("signal"))


## `Class.member` of each entry that does not come later.
func _registered(entries: Array) -> Array:
	var later := _lines(LATER).map(func(line: String) -> String: return line.get_slice(":", 0))
	var members := entries.map(func(entry: Array) -> String: return "%s.%s" % entry.slice(0, 2))
	return members.filter(func(member: String) -> bool: return not member in later)


## Class, name and line of each method or signal.
func _entries(kind: String) -> Array:
	var entries := []
	var name := ""
	for line: String in _lines(API):
		if line.begins_with("class "):
			name = line.trim_prefix("class ")
		line = line.strip_edges().trim_prefix("static ")
		if line.begins_with(kind + " "):
			entries.append([name, line.get_slice("(", 0).trim_prefix(kind + " "), line])
	assert_gt(entries.size(), 10, kind)
	return entries


func _lines(path: String) -> Array:
	return Array(FileAccess.get_file_as_string(path).split("\n")).filter(
		func(line: String) -> bool: return line != "" and not line.begins_with("#")
	)
