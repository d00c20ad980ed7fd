@tool
class_name TorrentFile
extends Resource
## A .torrent file of the project, as the editor imports it.
##
## It keeps the file's bytes, so that a game can carry a torrent in its .pck:
##
## [codeblock]
## var torrent: TorrentFile = load("res://mods/big_mod.torrent")
## session.add_torrent_file(torrent.data, "user://mods")
## [/codeblock]
##
## The other properties say what is in those bytes, in the inspector too. They
## cannot be changed.

const SHOWN: Array[String] = [
	"name", "size", "info_hash", "files", "piece_size", "pieces", "trackers", "private", "comment"
]

## The bytes of the .torrent file. With other bytes than a torrent's, all that the
## other properties say is empty.
@export_storage var data: PackedByteArray:
	set(value):
		data = value
		_info = null if value.is_empty() else TorrentInfo.from_data(value)
		notify_property_list_changed()
		emit_changed()

## The name that the torrent gives its file or folder.
@export var name: String:
	get:
		return _info.get_name() if _info != null else ""

## Bytes of all files together.
@export var size: int:
	get:
		return _info.get_total_size() if _info != null else 0

## What the torrent is known by, in hexadecimal digits.
@export var info_hash: String:
	get:
		return _info.get_info_hash() if _info != null else ""

## The path and size of each file, for people to read. See [method get_info] for
## the numbers.
@export var files: PackedStringArray:
	get:
		return _list(_files())

## Bytes in a piece.
@export var piece_size: int:
	get:
		return _info.get_piece_size() if _info != null else 0

## Number of pieces.
@export var pieces: int:
	get:
		return _info.get_piece_count() if _info != null else 0

## The addresses of its trackers.
@export var trackers: PackedStringArray:
	get:
		return _list(_trackers())

## Whether peers may come from the trackers alone.
@export var private: bool:
	get:
		return _info.is_private() if _info != null else false

## What its maker wrote about it.
@export_multiline var comment: String:
	get:
		return _info.get_comment() if _info != null else ""

var _info: TorrentInfo = null


## Everything that the file says, or null when it is no torrent.
func get_info() -> TorrentInfo:
	return _info


func _validate_property(property: Dictionary) -> void:
	if property.name in SHOWN:
		# To be read in the inspector, and to be written nowhere.
		property.usage = PROPERTY_USAGE_EDITOR | PROPERTY_USAGE_READ_ONLY


func _to_string() -> String:
	return "<TorrentFile %s, %d bytes, %s>" % [name, size, info_hash]


func _files() -> Array:
	if _info == null:
		return []
	return _info.get_files().map(
		func(file: Dictionary) -> String:
			return "%s (%s)" % [file.path, String.humanize_size(file.size)]
	)


func _trackers() -> Array:
	if _info == null:
		return []
	return _info.get_trackers().map(func(tracker: Dictionary) -> String: return tracker.url)


func _list(texts: Array) -> PackedStringArray:
	return PackedStringArray(texts)
