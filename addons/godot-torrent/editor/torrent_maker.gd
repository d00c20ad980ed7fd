@tool
extends RefCounted
## Makes one torrent at a time for the dock, without knowing the dock: options in,
## signals out.

## Part of the data that is hashed, from 0.0 to 1.0.
signal progressed(fraction: float)
## The torrent is there.
signal made(data: PackedByteArray, info_hash: String, magnet: String)
## There will be no torrent, for this reason.
signal failed(reason: String)

## What can be chosen for a piece; 0 lets the size of the data decide.
const PIECE_SIZES: Array[int] = [
	0, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216
]

var _creator: TorrentCreator = null
var _data := PackedByteArray()


## What [method start] takes, with the values that nothing was said about.
static func default_options() -> Dictionary:
	return {
		"name": "",
		"piece_size": 0,
		"comment": "",
		"private": false,
		"include_hidden": false,
		"trackers": "",
		"web_seeds": "",
	}


## Reads a text with a URL in each line; an empty line begins the next tier.
static func read_tiers(text: String) -> Array[Dictionary]:
	var trackers: Array[Dictionary] = []
	var tier := 0
	var is_tier_used := false
	for line in text.split("\n"):
		var url := line.strip_edges()
		if url != "":
			trackers.append({"url": url, "tier": tier})
			is_tier_used = true
		elif is_tier_used:
			tier += 1
			is_tier_used = false
	return trackers


## Reads a text with a URL in each line.
static func read_urls(text: String) -> PackedStringArray:
	var urls := PackedStringArray()
	for line in text.split("\n"):
		if line.strip_edges() != "":
			urls.append(line.strip_edges())
	return urls


func is_busy() -> bool:
	return _creator != null


## Begins to make a torrent of a file or a folder, with the options of
## [method default_options]. False when that cannot be; [signal failed] says why.
func start(source: String, options: Dictionary) -> bool:
	if is_busy():
		return false
	_data = PackedByteArray()
	var creator := TorrentCreator.new()
	var problem := _prepare(creator, source.strip_edges(), options)
	if problem == "":
		creator.progress.connect(_on_progress)
		creator.completed.connect(_on_completed)
		creator.failed.connect(_on_failed)
		_creator = creator
		if creator.generate():
			return true
		_creator = null
		problem = "The torrent cannot be made; the output says why."
	failed.emit(problem)
	return false


## Gives up what was begun. No signal comes of it.
func cancel() -> void:
	if _creator != null:
		_creator.cancel()
		_creator = null


## Writes the torrent that was made last.
func save(path: String) -> Error:
	if _data.is_empty():
		return ERR_DOES_NOT_EXIST
	var file := FileAccess.open(path, FileAccess.WRITE)
	if file == null:
		return FileAccess.get_open_error()
	file.store_buffer(_data)
	file.close()
	return file.get_error()


## An empty text, or what is wrong with the options.
func _prepare(creator: TorrentCreator, source: String, options: Dictionary) -> String:
	if source == "":
		return "Choose a file or a folder."
	var added := false
	if DirAccess.dir_exists_absolute(source):
		added = creator.add_directory(source, options.include_hidden)
	elif FileAccess.file_exists(source):
		added = creator.add_file(source)
	else:
		return "There is no '%s'." % source
	if not added:
		return "'%s' cannot be put into a torrent." % source
	if options.name != "" and not creator.set_name(options.name):
		return "'%s' cannot be the name of a torrent." % options.name
	if not creator.set_piece_size(options.piece_size):
		return "%d bytes cannot be the size of a piece." % options.piece_size
	for tracker in read_tiers(options.trackers):
		if not creator.add_tracker(tracker.url, tracker.tier):
			return "'%s' is not the address of a tracker." % tracker.url
	for url in read_urls(options.web_seeds):
		if not creator.add_url_seed(url):
			return "'%s' is not the address of a web seed." % url
	creator.set_comment(options.comment)
	creator.set_private(options.private)
	creator.set_creator("Godot-Torrent")
	return ""


func _on_progress(hashed: int, total: int) -> void:
	progressed.emit(float(hashed) / total if total > 0 else 0.0)


func _on_completed(data: PackedByteArray) -> void:
	var creator := _creator
	_creator = null
	_data = data
	made.emit(data, creator.get_info_hash(), creator.get_magnet_uri())


func _on_failed(reason: String) -> void:
	_creator = null
	failed.emit(reason)
