@tool
extends EditorPlugin
## Looks, inside a running editor, at what the addon does there, and ends the editor.
## The last line it prints is PROBE OK, or PROBE FAILED with the reason.

const PLUGIN := "godot-torrent"
const LIMIT := 300.0

## The addon's dock, or whatever is left of it.
var _dock_reference: WeakRef = null


func _enter_tree() -> void:
	# Not in an editor that only imports.
	if OS.get_environment("GODOT_TORRENT_PROBE") == "1":
		_probe.call_deferred()


func _probe() -> void:
	get_tree().create_timer(LIMIT).timeout.connect(_end.bind("it takes too long"))
	while EditorInterface.get_resource_filesystem().is_scanning():
		await get_tree().process_frame
	var problem := _look_at_imports()
	if problem == "":
		problem = await _use_dock()
	if problem == "":
		problem = await _switch_off_and_on()
	_end(problem)


func _look_at_imports() -> String:
	var torrent: Resource = load("res://good.torrent")
	if torrent == null:
		return "good.torrent is no resource"
	if torrent.data != FileAccess.get_file_as_bytes("res://good.torrent"):
		return "the resource has other bytes than the file"
	# What the inspector shows, in a row of its own each.
	EditorInterface.inspect_object(torrent)
	var shown := {}
	for property in torrent.get_property_list():
		if property.usage & PROPERTY_USAGE_EDITOR:
			shown[property.name] = property.usage & PROPERTY_USAGE_READ_ONLY != 0
	for name: String in ["name", "size", "files", "info_hash"]:
		if not shown.get(name, false):
			return "the inspector does not show '%s', or lets it be changed" % name
	if shown.has("data"):
		return "the inspector shows the bytes"
	return ""


func _use_dock() -> String:
	var dock := _find_dock()
	if dock == null:
		return "the editor has no dock of the addon"
	dock.get_node("%Source").text = ProjectSettings.globalize_path("res://payload.bin")
	dock.get_node("%Make").pressed.emit()
	while not dock.get_node("%Result").visible:
		await get_tree().process_frame
	if not dock.get_node("%Magnet").text.begins_with("magnet:?xt=urn:btih:"):
		return "there is no magnet link: '%s'" % dock.get_node("%Magnet").text
	dock.save("res://made.torrent")
	var made := func() -> bool: return ResourceLoader.exists("res://made.torrent")
	while not made.call():
		await get_tree().process_frame
	if load("res://made.torrent").name != "payload.bin":
		return "what the dock saved in the project is not imported as a torrent"
	dock.look_into("res://made.torrent")
	var rows: TreeItem = dock.get_node("%Facts").get_root()
	return "" if rows.get_child_count() > 5 else "the dock shows nothing of a torrent"


func _switch_off_and_on() -> String:
	var nodes := -1
	for round in 5:
		EditorInterface.set_plugin_enabled(PLUGIN, false)
		await _frames()
		if _find_dock() != null or (_dock_reference != null and _dock_reference.get_ref() != null):
			return "the dock is still there after the plugin was switched off"
		# The first time may free what the editor made on its own account.
		if round > 0 and nodes != _nodes():
			return "%d nodes, then %d, with the plugin switched off" % [nodes, _nodes()]
		nodes = _nodes()
		EditorInterface.set_plugin_enabled(PLUGIN, true)
		await _frames()
		if _find_dock() == null:
			return "the dock does not come back"
	return ""


func _find_dock() -> Control:
	var docks := EditorInterface.get_base_control().find_children("*", "TabContainer", true, false)
	for dock in docks:
		if dock.get_script() != null and dock.has_method(&"look_into"):
			_dock_reference = weakref(dock)
			return dock
	return null


func _nodes() -> int:
	return int(Performance.get_monitor(Performance.OBJECT_NODE_COUNT))


func _frames() -> void:
	for i in 10:
		await get_tree().process_frame


func _end(problem: String) -> void:
	print("PROBE OK" if problem == "" else "PROBE FAILED: " + problem)
	get_tree().quit(0 if problem == "" else 1)
