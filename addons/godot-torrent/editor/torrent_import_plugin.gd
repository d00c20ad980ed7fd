@tool
extends EditorImportPlugin
## Makes a [TorrentFile] of each .torrent file in the project.

const TorrentFileScript := preload("../torrent_file.gd")


func _get_importer_name() -> String:
	return "godot_torrent.torrent_file"


func _get_visible_name() -> String:
	return "Torrent"


func _get_recognized_extensions() -> PackedStringArray:
	return ["torrent"]


func _get_resource_type() -> String:
	return "Resource"


func _get_save_extension() -> String:
	return "res"


func _get_priority() -> float:
	return 1.0


func _get_import_order() -> int:
	return IMPORT_ORDER_DEFAULT


func _get_preset_count() -> int:
	return 0


func _get_import_options(_path: String, _preset: int) -> Array[Dictionary]:
	return []


func _import(
	source_file: String,
	save_path: String,
	_options: Dictionary,
	_platform_variants: Array[String],
	_gen_files: Array[String]
) -> Error:
	# Reads no more than a torrent can have, and says what is wrong with it.
	var info := TorrentInfo.from_file(source_file)
	if info == null:
		return ERR_FILE_CORRUPT
	var torrent := TorrentFileScript.new()
	torrent.data = FileAccess.get_file_as_bytes(source_file)
	return ResourceSaver.save(torrent, "%s.%s" % [save_path, _get_save_extension()])
