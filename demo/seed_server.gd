extends "res://demo/common/window_demo.gd"
## A box that seeds: makes a torrent of everything in a folder, seeds it, and says every
## second how it goes.
##
##     ./build.sh demo seed_server -- --folder=/srv/files --port=6881
##
## --folder=F    what is seeded: each file and folder in it is a torrent of its own
## --torrents=F  where the .torrent files go (user://seed_server/torrents)
## --port=N      where it listens; any free port where none is given
## --address=A   the address it listens on (0.0.0.0)
##
## With a window, closing it stops the server in order. Without one, a line "stop" on
## standard input does, or its end. Godot does not tell a game of Ctrl+C: that ends the
## program at once, which does no harm here, since seeding writes nothing.

const FOLDER := "user://seed_server/files"
const TORRENTS := "user://seed_server/torrents"
const TITLES: Array[String] = ["Name", "Size", "State", "Peers", "Up", "Sent"]

## Seconds between two status lines.
const INTERVAL := 1.0

var _session: TorrentSession = null
var _reader := Thread.new()
var _stop_asked := false
var _is_example := false


func _ready() -> void:
	for column in TITLES.size():
		%Torrents.set_column_title(column, TITLES[column])
		%Torrents.set_column_title_alignment(column, HORIZONTAL_ALIGNMENT_LEFT)
		%Torrents.set_column_expand_ratio(column, 4 if column == 0 else 1)
	var address := Tools.argument("address", "0.0.0.0")
	var settings := {"listen_interfaces": "%s:%s" % [address, Tools.argument("port", "0")]}
	_session = new_session(settings)
	if _session == null:
		return
	_session.torrent_error.connect(
		func(handle: TorrentHandle, message: String) -> void:
			_warn("%s: %s" % [handle.get_name(), message])
	)
	if not await _seed_folder():
		return
	var timer := Timer.new()
	timer.timeout.connect(_show_status)
	add_child(timer)
	timer.start(INTERVAL)
	_show_status()
	_listen_to_input()


func _process(_delta: float) -> void:
	if _stop_asked:
		_stop_asked = false
		_reader.wait_to_finish()
		close()


## False when there is nothing to seed.
func _seed_folder() -> bool:
	var folder := Tools.argument("folder")
	if folder == "":
		folder = FOLDER
		_is_example = true
		Tools.write_random_file(folder + "/example_map.bin", 24 * Tools.MIB)
		Tools.write_random_file(folder + "/example_pack/one.bin", 3 * Tools.MIB)
		Tools.write_random_file(folder + "/example_pack/two.bin", 5 * Tools.MIB)
	if not DirAccess.dir_exists_absolute(folder):
		fail("there is no folder %s" % folder)
		return false
	var entries := DirAccess.get_directories_at(folder) + DirAccess.get_files_at(folder)
	if entries.is_empty():
		fail("the folder %s is empty" % folder)
		return false
	for entry in entries:
		await _seed(folder, entry)
	return true


func _seed(folder: String, entry: String) -> void:
	var creator := TorrentCreator.new()
	var path := folder.path_join(entry)
	var is_folder := DirAccess.dir_exists_absolute(path)
	if not (creator.add_directory(path) if is_folder else creator.add_file(path)):
		_warn("%s cannot be shared" % path)
		return
	creator.generate()
	var data: PackedByteArray = await creator.wait_completed()
	if data.is_empty() or _session.add_torrent_file(data, folder) == null:
		_warn("%s cannot be shared" % path)
		return
	var torrents := Tools.argument("torrents", TORRENTS)
	var target := torrents.path_join(entry + ".torrent")
	if Tools.write_file(target, data):
		print("%s: %s" % [entry, ProjectSettings.globalize_path(target)])
	else:
		_warn("%s cannot be written" % target)


func _show_status() -> void:
	if _closing:
		return
	var rows: TreeItem = _new_rows()
	var seeding := 0
	var peers := 0
	var rate := 0
	var sent := 0
	for handle in _session.get_torrents():
		var status := handle.get_status()
		seeding += int(status.is_seeding())
		peers += status.get_num_peers()
		rate += status.get_upload_payload_rate()
		sent += status.get_total_payload_upload()
		var row: TreeItem = %Torrents.create_item(rows)
		var texts := [
			handle.get_name(),
			String.humanize_size(status.get_total_size()),
			status.get_state_string(),
			str(status.get_num_peers()),
			Tools.rate_text(status.get_upload_payload_rate()),
			String.humanize_size(status.get_total_payload_upload()),
		]
		for column in texts.size():
			row.set_text(column, texts[column])
	var ports := _session.get_listening_ports()
	%Address.text = "listening on port %s" % (str(ports[0]) if ports.size() > 0 else "none")
	%Line.text = (
		"seeding %d of %d torrents, %s, up %s, %s sent"
		% [
			seeding,
			_session.get_torrents().size(),
			Tools.peers_text(peers),
			Tools.rate_text(rate),
			String.humanize_size(sent),
		]
	)
	if DisplayServer.get_name() == "headless":
		print("%s, %s" % [%Address.text, %Line.text])


func _new_rows() -> TreeItem:
	%Torrents.clear()
	return %Torrents.create_item()


## Without a window, and where there is an input that can say something.
func _listen_to_input() -> void:
	var type := OS.get_stdin_type()
	if (
		DisplayServer.get_name() == "headless"
		and type in [OS.STD_HANDLE_CONSOLE, OS.STD_HANDLE_PIPE]
	):
		_reader.start(_read_input)


func _read_input() -> void:
	var line := OS.read_string_from_stdin(1024)
	# An empty text is the end of the input; an empty line has its line feed.
	while line != "" and line.strip_edges() != "stop":
		line = OS.read_string_from_stdin(1024)
	_stop_asked = true


func _warn(reason: String) -> void:
	printerr(reason)
	_show_problem(reason)


func _show_problem(reason: String) -> void:
	%Problem.text = reason
	%Problem.show()


func _clean_up() -> void:
	if _is_example:
		Tools.remove_tree(FOLDER.get_base_dir())
	print("stopped")
