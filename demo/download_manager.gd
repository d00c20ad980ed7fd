extends "res://demo/common/window_demo.gd"
## A small download manager: torrents with progress, rates and peers, priorities for
## their files and a map of their pieces. Files are added by the button, by dropping
## them on the window, or as arguments; magnet links by the field, or as arguments:
##
##     ./build.sh demo --window download_manager -- /path/to/a.torrent 'magnet:?xt=…'

const Row := preload("res://demo/download_manager/row.gd")
const RowScene := preload("res://demo/download_manager/row.tscn")
const Example := preload("res://demo/download_manager/example.gd")

const FOLDER := "user://downloads"
## How a magnet link begins.
const MAGNET := "magnet:"

## Port 0: any free one.
const SETTINGS := {"listen_interfaces": "0.0.0.0:0,[::]:0", "status_update_interval": 200}

## What downloads; null where it could not start.
var session: TorrentSession = null

var _rows: Dictionary[TorrentHandle, Row] = {}
var _chosen: TorrentHandle = null

@onready var _list: VBoxContainer = %List
@onready var _details := %Details
@onready var _example: Button = %Example


func _ready() -> void:
	session = new_session(SETTINGS)
	if session == null:
		return
	session.torrent_added.connect(_on_torrent_added)
	session.torrents_updated.connect(_on_torrents_updated)
	session.metadata_received.connect(_on_metadata_received)
	session.torrent_error.connect(
		func(handle: TorrentHandle, message: String) -> void:
			fail("%s: %s" % [handle.get_name(), message])
	)
	%Add.pressed.connect(%Choose.popup_centered_ratio.bind(0.6))
	%Choose.file_selected.connect(add_file)
	%Magnet.text_changed.connect(_on_magnet_changed)
	%Magnet.text_submitted.connect(func(_link: String) -> void: _on_magnet_entered())
	%AddMagnet.pressed.connect(_on_magnet_entered)
	_example.pressed.connect(try_example)
	get_window().files_dropped.connect(_on_files_dropped)
	for argument in OS.get_cmdline_user_args():
		if argument.begins_with(MAGNET):
			add_magnet(argument)
		elif argument.ends_with(".torrent"):
			add_file(argument)
	_show_traffic()


## Downloads what a .torrent file describes.
func add_file(path: String) -> void:
	var data := FileAccess.get_file_as_bytes(path)
	if session.add_torrent_file(data, FOLDER) == null:
		fail("%s: %s" % [path.get_file(), session.get_last_error().get_message()])


## Downloads what a magnet link names, once a peer has told what that is. Whether the
## link is one.
func add_magnet(link: String) -> bool:
	%Problem.hide()
	if session.add_magnet_uri(link, FOLDER) != null:
		return true
	fail(session.get_last_error().get_message())
	return false


## Downloads something that is made for it; see example.gd.
func try_example() -> void:
	_example.disabled = true
	_example.text = "Preparing…"
	var seeder := new_session(Example.settings())
	if seeder == null:
		return
	var data := await Example.prepare(seeder)
	_example.text = "Try an example"
	if data.is_empty():
		fail("the example cannot be prepared in %s" % Example.FOLDER)
		return
	var handle := session.add_torrent_file(data, FOLDER)
	if handle != null:
		handle.connect_peer("127.0.0.1", seeder.get_listening_ports()[0])


## Shows one torrent at the right.
func choose(handle: TorrentHandle) -> void:
	_chosen = handle
	for other in _rows:
		_rows[other].set_chosen(other == handle)
	_details.show_torrent(handle)


## Takes a torrent out of the list. Its files stay.
func remove(handle: TorrentHandle) -> void:
	if not session.remove_torrent(handle):
		return
	_rows[handle].queue_free()
	_rows.erase(handle)
	if _chosen == handle:
		choose(null if _rows.is_empty() else _rows.keys()[0])
	%Hint.visible = _rows.is_empty()


func _on_torrent_added(handle: TorrentHandle) -> void:
	var row: Row = RowScene.instantiate()
	row.handle = handle
	row.chosen.connect(choose)
	row.removal_asked.connect(remove)
	_rows[handle] = row
	_list.add_child(row)
	%Hint.hide()
	if _chosen == null:
		choose(handle)


## The name and the files of a magnet link are known now.
func _on_metadata_received(info_hash: String) -> void:
	var handle := session.find_torrent(info_hash)
	if _rows.has(handle):
		_rows[handle].refresh()
	if _chosen == handle:
		_details.show_torrent(handle)


func _on_torrents_updated(handles: Array) -> void:
	for handle: TorrentHandle in handles:
		if _rows.has(handle):
			_rows[handle].refresh()
	if _chosen in handles:
		_details.refresh()
	_show_traffic()


func _on_magnet_changed(link: String) -> void:
	%AddMagnet.disabled = not link.strip_edges().begins_with(MAGNET)


func _on_magnet_entered() -> void:
	if %AddMagnet.disabled or not add_magnet(%Magnet.text.strip_edges()):
		return
	%Magnet.clear()
	%AddMagnet.disabled = true


func _on_files_dropped(paths: PackedStringArray) -> void:
	for path in paths:
		add_file(path)


func _show_traffic() -> void:
	var down := 0
	var up := 0
	for handle in _rows:
		down += handle.get_status().get_download_rate()
		up += handle.get_status().get_upload_rate()
	var ports := session.get_listening_ports()
	var port := str(ports[0]) if ports.size() > 0 else "none"
	%Traffic.text = (
		"port %s  ·  down %s  ·  up %s" % [port, Tools.rate_text(down), Tools.rate_text(up)]
	)


func _show_problem(reason: String) -> void:
	%Problem.text = reason
	%Problem.show()


func _clean_up() -> void:
	Example.clean_up()
	# What the example downloaded; anything else is the user's.
	Tools.remove_tree(FOLDER.path_join("example_pack"))
