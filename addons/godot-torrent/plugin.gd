@tool
extends EditorPlugin
## The classes come from the GDExtension and need no plugin to be enabled. What
## this one adds: it says clearly when the library for this platform is missing.


func _enter_tree() -> void:
	if not ClassDB.class_exists(&"TorrentSession"):
		push_error(
			(
				"godot-torrent: no library for %s (%s) in res://addons/godot-torrent/bin/."
				% [OS.get_name(), Engine.get_architecture_name()]
			)
		)
