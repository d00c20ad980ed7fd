@tool
extends Resource
## What [TorrentFile] is made of. Without the name, which a game may have given to a
## script of its own: .torrent files are imported as resources all the same.

const SHOWN: Array[String] = [
	"name", "size", "info_hash", "files", "piece_size", "pieces", "trackers", "private", "comment"
]

## The bytes of the .torrent file. With other bytes than a torrent's, all that the
## other properties say is empty.
@export_storage var data: PackedByteArray:
	set(value):
		_lock.lock()
		data = value
		_info = null
		_is_read = value.is_empty()
		_lock.unlock()
		notify_property_list_changed()
		emit_changed()

## The name that the torrent gives its file or folder.
@export var name: String:
	get:
		return _tell(&"get_name", "")

## Bytes of all files together.
@export var size: int:
	get:
		return _tell(&"get_total_size", 0)

## What the torrent is known by, in hexadecimal digits.
@export var info_hash: String:
	get:
		return _tell(&"get_info_hash", "")

## The path and size of each file, for people to read. See [method get_info] for
## the numbers.
@export var files: PackedStringArray:
	get:
		return _list(_files())

## Bytes in a piece.
@export var piece_size: int:
	get:
		return _tell(&"get_piece_size", 0)

## Number of pieces.
@export var pieces: int:
	get:
		return _tell(&"get_piece_count", 0)

## The addresses of its trackers.
@export var trackers: PackedStringArray:
	get:
		return _list(_trackers())

## Whether peers may come from the trackers alone.
@export var private: bool:
	get:
		return _tell(&"is_private", false)

## What its maker wrote about it.
@export_multiline var comment: String:
	get:
		return _tell(&"get_comment", "")

var _info: TorrentInfo = null
var _is_read := true
## Threads may share a resource.
var _lock := Mutex.new()


## Everything that the file says, or null when it is no torrent.
func get_info() -> TorrentInfo:
	_lock.lock()
	if not _is_read:
		_info = TorrentInfo.from_data(data)
		_is_read = true
	var info := _info
	_lock.unlock()
	return info


func _validate_property(property: Dictionary) -> void:
	if property.name in SHOWN:
		# To be read in the inspector, and to be written nowhere.
		property.usage = PROPERTY_USAGE_EDITOR | PROPERTY_USAGE_READ_ONLY


func _to_string() -> String:
	return "<TorrentFile %s, %d bytes, %s>" % [name, size, info_hash]


## What a method of the torrent returns; `empty` when there is none.
func _tell(method: StringName, empty: Variant) -> Variant:
	var info := get_info()
	return info.call(method) if info != null else empty


func _files() -> Array:
	return _tell(&"get_files", []).map(
		func(file: Dictionary) -> String:
			return "%s (%s)" % [file.path, String.humanize_size(file.size)]
	)


func _trackers() -> Array:
	return _tell(&"get_trackers", []).map(func(tracker: Dictionary) -> String: return tracker.url)


func _list(texts: Array) -> PackedStringArray:
	return PackedStringArray(texts)
