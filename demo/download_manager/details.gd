extends PanelContainer
## What there is to see and set of one torrent: its pieces, files and peers.

const Tools := preload("res://demo/common/tools.gd")

## The priorities that can be chosen for a file.
const PRIORITIES := {"skip": 0, "low": 1, "normal": 4, "high": 7}
const PEER_TITLES: Array[String] = ["Address", "Client", "Has", "Down", "Up"]
## Rows that a person looks through.
const MOST_FILES := 200

var _handle: TorrentHandle = null
var _file_bars: Array[ProgressBar] = []


func _ready() -> void:
	for column in PEER_TITLES.size():
		%Peers.set_column_title(column, PEER_TITLES[column])
		%Peers.set_column_title_alignment(column, HORIZONTAL_ALIGNMENT_LEFT)
		%Peers.set_column_expand_ratio(column, 3 if column < 2 else 2)
	show_torrent(null)


## Shows this torrent, or nothing.
func show_torrent(handle: TorrentHandle) -> void:
	_handle = handle
	for row in %Files.get_children():
		row.queue_free()
	_file_bars.clear()
	%Heading.text = "Nothing chosen" if handle == null else handle.get_name()
	# Null where the files are not known yet.
	var info := handle.get_torrent_info() if handle != null else null
	if info != null:
		for file: Dictionary in info.get_files().slice(0, MOST_FILES):
			_add_file(file)
	refresh()


func refresh() -> void:
	%PieceMap.show_torrent(_handle)
	%Peers.clear()
	if _handle == null or not _handle.is_valid():
		%Facts.text = ""
		%Legend.text = ""
		return
	var status := _handle.get_status()
	%Facts.text = "%s  ·  %s" % [_handle.get_info_hash(), status.get_save_path()]
	%Legend.text = (
		"%d of %d pieces there, %d on their way"
		% [
			status.get_pieces_downloaded(),
			status.get_num_pieces(),
			_handle.get_download_queue().size(),
		]
	)
	var done := _handle.get_file_progress()
	for index in mini(_file_bars.size(), done.size()):
		_file_bars[index].value = done[index]
	_show_peers()


func _add_file(file: Dictionary) -> void:
	var row := HBoxContainer.new()
	var label := Label.new()
	label.text = file.path
	label.tooltip_text = file.path
	label.clip_text = true
	label.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	label.size_flags_horizontal = SIZE_EXPAND_FILL
	label.mouse_filter = MOUSE_FILTER_PASS
	var bar := ProgressBar.new()
	bar.custom_minimum_size = Vector2(110, 16)
	bar.size_flags_vertical = SIZE_SHRINK_CENTER
	# An empty file is there from the beginning.
	bar.max_value = maxi(file.size, 1)
	var priority := OptionButton.new()
	for title: String in PRIORITIES:
		priority.add_item(title)
	priority.select(_nearest(_handle.get_file_priority(file.index)))
	priority.item_selected.connect(
		func(item: int) -> void: _handle.set_file_priority(file.index, PRIORITIES.values()[item])
	)
	for part: Control in [label, bar, priority]:
		row.add_child(part)
	%Files.add_child(row)
	_file_bars.append(bar)


## The choice that is nearest to a priority from 0 to 7.
func _nearest(priority: int) -> int:
	var values := PRIORITIES.values()
	var best := 0
	for item in values.size():
		if absi(values[item] - priority) < absi(values[best] - priority):
			best = item
	return best


func _show_peers() -> void:
	var root: TreeItem = %Peers.create_item()
	for peer in _handle.get_peer_info():
		var row: TreeItem = %Peers.create_item(root)
		row.set_text(0, "%s:%d" % [peer.get_ip(), peer.get_port()])
		row.set_text(1, peer.get_client())
		row.set_text(2, "%d %%" % (peer.get_progress() * 100.0))
		row.set_text(3, Tools.rate_text(peer.get_payload_download_rate()))
		row.set_text(4, Tools.rate_text(peer.get_payload_upload_rate()))
