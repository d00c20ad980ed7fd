@tool
extends Control
## The dock: a page that makes torrents and one that looks into them. What it does is
## in torrent_maker.gd and torrent_outline.gd; this connects them to the controls.

## A .torrent file was written here.
signal saved(path: String)

const Maker := preload("torrent_maker.gd")
const Outline := preload("torrent_outline.gd")

var _maker := Maker.new()
var _shown: TorrentInfo = null

@onready var _source: LineEdit = %Source
@onready var _name: LineEdit = %Name
@onready var _piece_size: OptionButton = %PieceSize
@onready var _comment: LineEdit = %Comment
@onready var _private: CheckBox = %Private
@onready var _hidden: CheckBox = %Hidden
@onready var _trackers: TextEdit = %Trackers
@onready var _web_seeds: TextEdit = %WebSeeds
@onready var _make: Button = %Make
@onready var _cancel: Button = %Cancel
@onready var _progress: ProgressBar = %Progress
@onready var _message: Label = %Message
@onready var _result: Control = %Result
@onready var _magnet: LineEdit = %Magnet
@onready var _facts: Tree = %Facts
@onready var _looked_at: Label = %LookedAt
@onready var _copy_shown: Button = %CopyShown
@onready var _choose_source_file: FileDialog = %ChooseSourceFile
@onready var _choose_source_folder: FileDialog = %ChooseSourceFolder
@onready var _choose_torrent: FileDialog = %ChooseTorrent
@onready var _choose_target: FileDialog = %ChooseTarget


func _ready() -> void:
	# The scene itself, open in the editor, is not the dock.
	if _is_being_edited():
		return
	for size in Maker.PIECE_SIZES:
		_piece_size.add_item("automatic" if size == 0 else String.humanize_size(size))
	_maker.progressed.connect(func(fraction: float) -> void: _progress.value = fraction)
	_maker.made.connect(_on_made)
	_maker.failed.connect(_on_failed)

	%SourceFile.pressed.connect(_choose_source_file.popup_centered_ratio.bind(0.6))
	%SourceFolder.pressed.connect(_choose_source_folder.popup_centered_ratio.bind(0.6))
	%Open.pressed.connect(_choose_torrent.popup_centered_ratio.bind(0.6))
	%Save.pressed.connect(_on_save_pressed)
	for chooser: Signal in [_choose_source_file.file_selected, _choose_source_folder.dir_selected]:
		chooser.connect(func(path: String) -> void: _source.text = path)
	_choose_torrent.file_selected.connect(look_into)
	_choose_target.file_selected.connect(save)

	_make.pressed.connect(make)
	_cancel.pressed.connect(cancel)
	%CopyMagnet.pressed.connect(func() -> void: DisplayServer.clipboard_set(_magnet.text))
	_copy_shown.pressed.connect(
		func() -> void: DisplayServer.clipboard_set(_shown.get_magnet_uri())
	)
	_facts.set_column_expand_ratio(1, 2)
	_show_busy(false)
	_result.hide()
	_copy_shown.disabled = true


func _exit_tree() -> void:
	_maker.cancel()


# --- making ---


## Begins to make the torrent that the page describes.
func make() -> void:
	_result.hide()
	_progress.value = 0.0
	if _maker.start(_source.text, _options()):
		_message.text = "Hashing…"
		_show_busy(true)


func cancel() -> void:
	if _maker.is_busy():
		_maker.cancel()
		_message.text = "Cancelled."
		_show_busy(false)


## Writes the torrent that was made.
func save(path: String) -> void:
	var error := _maker.save(path)
	if error == OK:
		_message.text = "Saved as %s" % path
		saved.emit(path)
	else:
		_message.text = "%s cannot be written: %s" % [path, error_string(error)]


func _options() -> Dictionary:
	var options := Maker.default_options()
	options.name = _name.text.strip_edges()
	options.piece_size = Maker.PIECE_SIZES[maxi(_piece_size.selected, 0)]
	options.comment = _comment.text
	options.private = _private.button_pressed
	options.include_hidden = _hidden.button_pressed
	options.trackers = _trackers.text
	options.web_seeds = _web_seeds.text
	return options


func _on_made(data: PackedByteArray, info_hash: String, magnet: String) -> void:
	_progress.value = 1.0
	_message.text = "Made: %d bytes, info-hash %s" % [data.size(), info_hash]
	_magnet.text = magnet
	_result.show()
	_show_busy(false)


func _on_failed(reason: String) -> void:
	_message.text = reason
	_show_busy(false)


func _on_save_pressed() -> void:
	var name := _name.text.strip_edges()
	if name == "":
		name = _source.text.strip_edges().trim_suffix("/").get_file()
	_choose_target.current_file = name + ".torrent"
	_choose_target.popup_centered_ratio(0.6)


func _show_busy(busy: bool) -> void:
	_make.disabled = busy
	_cancel.disabled = not busy
	_progress.visible = busy or _progress.value > 0.0


# --- looking ---


## Shows what a .torrent file says.
func look_into(path: String) -> void:
	_facts.clear()
	_shown = TorrentInfo.from_file(path)
	_copy_shown.disabled = _shown == null
	if _shown == null:
		_looked_at.text = "%s is no torrent." % path.get_file()
		return
	_looked_at.text = path.get_file()
	var root := _facts.create_item()
	for fact in Outline.facts(_shown):
		_add_row(root, fact[0], fact[1])
	_add_files(root, Outline.tree(_shown))


## Without recursion: how deep the folders go is the torrent's choice.
func _add_files(root: TreeItem, outline: Dictionary) -> void:
	var files := _add_row(root, "Contents", Outline.size_text(outline.size))
	var waiting: Array = [[files, outline]]
	while not waiting.is_empty():
		var next: Array = waiting.pop_back()
		for child: Dictionary in next[1].children:
			var row := _add_row(next[0], child.name, Outline.size_text(child.size))
			if not child.children.is_empty():
				waiting.append([row, child])
	if outline.left_out > 0:
		_add_row(files, "…", "%d more files" % outline.left_out)


func _add_row(parent: TreeItem, title: String, text: String) -> TreeItem:
	var row := _facts.create_item(parent)
	row.set_text(0, title)
	row.set_text(1, text)
	row.set_tooltip_text(1, text)
	return row


func _is_being_edited() -> bool:
	return Engine.is_editor_hint() and get_tree().edited_scene_root == self
