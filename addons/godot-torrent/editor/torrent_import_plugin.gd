@tool
extends EditorImportPlugin
## Makes a resource of each .torrent file in the project: a TorrentFile, or what that is
## made of where the game has a class of its own by that name.

const TorrentResource := preload("../torrent_resource.gd")
const NAMED := "torrent_file.gd"


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
	var torrent: TorrentResource = _script().new()
	torrent.data = FileAccess.get_file_as_bytes(source_file)
	return ResourceSaver.save(torrent, "%s.%s" % [save_path, _get_save_extension()])


## The script with the name, unless another script has that: ours cannot be loaded then.
func _script() -> Script:
	var named: String = get_script().resource_path.get_base_dir().get_base_dir().path_join(NAMED)
	for known in ProjectSettings.get_global_class_list():
		if known["class"] == "TorrentFile" and known.path != named:
			return TorrentResource
	return load(named)
