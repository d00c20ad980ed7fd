@tool
extends EditorPlugin
## The classes come from the GDExtension and need no plugin to be enabled. What
## this one adds to the editor: .torrent files are imported, and a dock makes them
## and looks into them. Without a library for this platform it says so clearly.

var _importer: EditorImportPlugin = null
var _dock: Control = null


func _enter_tree() -> void:
	if not ClassDB.class_exists(&"TorrentSession"):
		push_error(
			(
				"godot-torrent: no library for %s (%s) in res://addons/godot-torrent/bin/."
				% [OS.get_name(), Engine.get_architecture_name()]
			)
		)
		return
	# Not preloaded: these name the library's classes and do not parse without it.
	var folder: String = get_script().resource_path.get_base_dir()
	_importer = load(folder.path_join("editor/torrent_import_plugin.gd")).new()
	add_import_plugin(_importer)
	_dock = load(folder.path_join("editor/torrent_dock.tscn")).instantiate()
	_dock.saved.connect(_on_saved)
	add_control_to_dock(DOCK_SLOT_RIGHT_BL, _dock)


func _exit_tree() -> void:
	if _importer != null:
		remove_import_plugin(_importer)
		_importer = null
	if _dock != null:
		remove_control_from_docks(_dock)
		_dock.queue_free()
		_dock = null


## A torrent that lands in the project is imported at once.
func _on_saved(path: String) -> void:
	if ProjectSettings.localize_path(path).begins_with("res://"):
		EditorInterface.get_resource_filesystem().scan()
