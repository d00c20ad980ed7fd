extends RefCounted
## The commands of the shim, each a method `cmd_<name>` that takes parameters and gives
## the fields of its answer; `error` and `code` among them mean that it failed.

## An alert of a type that the client has subscribed to.
signal alert_announced(alert: Dictionary)

const Params := preload("res://demo/rpc_params.gd")

## All alerts but those that come by the thousand while data moves: peer, statistics,
## finished pieces, sent and received blocks.
const ALERT_MASK := 0xffff_ffff & ~(1 << 1 | 1 << 11 | 1 << 22 | 1 << 23 | 1 << 24)

## Bytes of the largest torrent file.
const LARGEST_TORRENT := 10_000_000

const PROTOCOL := 1

var tree: SceneTree

var _session := TorrentSession.new()
var _download_dir := ""
## The alerts that were not taken yet.
var _alerts: Array[Dictionary] = []
## The torrent that the last command was about.
var _asked_id := ""
## The types that are announced: an Array of names, or null for all.
var _announced: Variant = []


func _init() -> void:
	_session.alert_posted.connect(_on_alert)


func run(command: String, given: Dictionary) -> Dictionary:
	var method := "cmd_" + command
	if not has_method(method):
		return _failure("Unknown command '%s'" % command)
	var params := Params.new(given)
	var outcome: Dictionary = await call(method, params)
	# The command has looked at its parameters before it did anything.
	return outcome if params.problem == "" else _failure(params.problem)


func shut_down() -> void:
	_session.stop_session()
	await _session.wait_stopped()


func _on_alert(alert: Dictionary) -> void:
	_alerts.append(alert)
	if _announced == null or alert.type_name in _announced:
		alert_announced.emit(alert)


# --- the session ---


func cmd_init(params: Params) -> Dictionary:
	var port := params.number("listen_port", 0)
	var download_dir := params.text("download_dir", "")
	var settings := {"alert_mask": ALERT_MASK, "listen_port": port}
	var given := params.object("settings")
	if not params.finish():
		return {}
	if not _session.is_running():
		# The interfaces go before the port, so one after the other.
		if not _session.apply_settings(settings) or not _session.apply_settings(given):
			return _last_failure()
	if not _session.start_session():
		return _last_failure()
	_download_dir = download_dir
	return {"listen_port": _listen_port()}


func cmd_shutdown(params: Params) -> Dictionary:
	if params.finish():
		await shut_down()
	return {}


func cmd_version(params: Params) -> Dictionary:
	params.finish()
	var version := ConfigFile.new()
	version.load("res://addons/godot-torrent/plugin.cfg")
	return {
		"name": "godot-torrent",
		"version": version.get_value("plugin", "version", ""),
		"protocol": PROTOCOL,
	}


func cmd_get_status(params: Params) -> Dictionary:
	if not _ready_for(params):
		return _not_running(params)
	var torrents := {}
	for handle in _session.get_torrents():
		torrents[handle.get_info_hash()] = _status(handle)
	var engine := {
		"running": _session.is_running(),
		"paused": _session.is_session_paused(),
		"listen_port": _listen_port(),
		"listening": Array(_session.get_listening_ports()),
		"num_torrents": torrents.size(),
	}
	return {"engine": engine, "torrents": torrents}


func cmd_get_engine_stats(params: Params) -> Dictionary:
	return {"stats": _session.get_session_stats()} if _ready_for(params) else _not_running(params)


func cmd_apply_settings(params: Params) -> Dictionary:
	var settings := params.object("settings")
	if not _ready_for(params):
		return _not_running(params)
	if not _session.apply_settings(settings):
		return _last_failure()
	return {"settings": _session.get_settings()}


func cmd_get_settings(params: Params) -> Dictionary:
	return {"settings": _session.get_settings()} if _ready_for(params) else _not_running(params)


# --- torrents ---


func cmd_add_torrent_file(params: Params) -> Dictionary:
	var path := params.text("path")
	var add := {"save_path": params.text("save_path", _download_dir)}
	add.flags = params.texts("flags")
	if params.flag("paused"):
		add.flags.append("paused")
	if params.flag("seed_mode"):
		add.flags.append("seed_mode")
	if params.has("file_priorities"):
		add.file_priorities = params.priorities("file_priorities")
	return _add(params, path, add)


func cmd_add_torrent_and_seed(params: Params) -> Dictionary:
	return _add(params, params.text("path"), {"save_path": params.text("data_dir")})


func _add(params: Params, path: String, add: Dictionary) -> Dictionary:
	if not _ready_for(params):
		return _not_running(params)
	var file := _read_torrent(path)
	if file.has("error"):
		return file
	add.torrent_data = file.data
	var handle := _session.add_torrent(add)
	if handle != null:
		return {"torrent_id": handle.get_info_hash()}
	var failure := _last_failure()
	failure.error += " (%s)" % path
	return failure


func cmd_remove_torrent(params: Params) -> Dictionary:
	var delete_files := params.flag("delete_files")
	return _tell(
		params,
		func(handle: TorrentHandle) -> bool: return _session.remove_torrent(handle, delete_files)
	)


func cmd_list_torrents(params: Params) -> Dictionary:
	if not _ready_for(params):
		return _not_running(params)
	var ids := _session.get_torrents().map(
		func(handle: TorrentHandle) -> String: return handle.get_info_hash()
	)
	return {"torrents": ids}


func cmd_get_torrent_status(params: Params) -> Dictionary:
	return _ask(
		params, func(handle: TorrentHandle) -> Dictionary: return {"status": _status(handle)}
	)


func cmd_get_torrent_info(params: Params) -> Dictionary:
	if not params.has("path"):
		return _ask(
			params,
			func(handle: TorrentHandle) -> Dictionary:
				return {"info": _info(handle.get_torrent_info())}
		)
	var path := params.text("path")
	if not params.finish():
		return {}
	var parsed := _parse(_read_torrent(path))
	return parsed if parsed.has("error") else {"info": parsed}


func cmd_get_peers(params: Params) -> Dictionary:
	return _ask(
		params,
		func(handle: TorrentHandle) -> Dictionary:
			var peers := handle.get_peer_info().map(
				func(peer: PeerInfo) -> Dictionary: return peer.get_peer_dictionary()
			)
			return {"peers": peers}
	)


func cmd_get_trackers(params: Params) -> Dictionary:
	return _ask(
		params,
		func(handle: TorrentHandle) -> Dictionary: return {"trackers": handle.get_trackers()}
	)


func cmd_get_file_progress(params: Params) -> Dictionary:
	return _array(params, func(handle: TorrentHandle) -> Array: return handle.get_file_progress())


func cmd_get_piece_availability(params: Params) -> Dictionary:
	return _array(
		params, func(handle: TorrentHandle) -> Array: return handle.get_piece_availability()
	)


func cmd_get_file_priorities(params: Params) -> Dictionary:
	return _array(
		params, func(handle: TorrentHandle) -> Array: return Array(handle.get_file_priorities())
	)


func cmd_get_piece_priorities(params: Params) -> Dictionary:
	return _array(
		params, func(handle: TorrentHandle) -> Array: return Array(handle.get_piece_priorities())
	)


func cmd_pause_torrent(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.pause())


func cmd_resume_torrent(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.resume())


func cmd_force_recheck(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.force_recheck())


func cmd_force_reannounce(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.force_reannounce())


func cmd_flush_cache(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.flush_cache())


func cmd_clear_error(params: Params) -> Dictionary:
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.clear_error())


func cmd_set_torrent_options(params: Params) -> Dictionary:
	var steps: Array[Callable] = []
	for option: String in ["max_connections", "max_uploads"]:
		if params.has(option):
			var limit := params.number(option)
			steps.append(
				func(handle: TorrentHandle) -> bool: return handle.call("set_" + option, limit)
			)
	if params.has("sequential_download"):
		var sequential := params.flag("sequential_download")
		steps.append(
			func(handle: TorrentHandle) -> bool: return handle.set_sequential_download(sequential)
		)
	# Files first: pieces that are given too say it more precisely.
	if params.has("file_priorities"):
		var files := params.priorities("file_priorities")
		steps.append(func(handle: TorrentHandle) -> bool: return handle.prioritize_files(files))
	if params.has("piece_priorities"):
		var pieces := params.priorities("piece_priorities")
		steps.append(func(handle: TorrentHandle) -> bool: return handle.prioritize_pieces(pieces))
	return _tell(
		params,
		func(handle: TorrentHandle) -> bool:
			return steps.all(func(step: Callable) -> bool: return step.call(handle))
	)


func cmd_connect_peer(params: Params) -> Dictionary:
	var ip := params.text("ip")
	var port := params.number("port")
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.connect_peer(ip, port))


func cmd_add_tracker(params: Params) -> Dictionary:
	var url := params.text("url")
	var tier := params.number("tier", 0)
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.add_tracker(url, tier))


func cmd_remove_tracker(params: Params) -> Dictionary:
	var url := params.text("url")
	return _tell(params, func(handle: TorrentHandle) -> bool: return handle.remove_tracker(url))


func cmd_read_piece(params: Params) -> Dictionary:
	var piece := params.number("piece")
	var handle := _handle(params)
	if handle == null:
		return _no_torrent(params)
	if not handle.read_piece(piece):
		return _last_failure()
	while true:
		var read: Array = await handle.piece_read
		if read[0] == piece:
			if read[1].is_empty():
				return _failure("piece %d cannot be read" % piece)
			return {"data": read[1]}
	return {}


# --- torrent files ---


func cmd_create_torrent(params: Params) -> Dictionary:
	var path := params.text("path")
	var out := params.text("out", "")
	var creator := TorrentCreator.new()
	var piece_size := params.number("piece_size", 0)
	var version := params.text("version", "v1")
	var trackers := params.tiers("trackers")
	creator.set_comment(params.text("comment", ""))
	creator.set_creator(params.text("creator", ""))
	creator.set_private(params.flag("private"))
	creator.set_source(params.text("source", ""))
	var url_seeds := params.texts("url_seeds")
	var http_seeds := params.texts("http_seeds")
	for collection: String in params.texts("collections"):
		creator.add_collection(collection)
	var include_hidden := params.flag("include_hidden")
	if not params.finish():
		return {}
	if version != "v1":
		return _failure("version '%s' is not supported" % version)
	if not creator.set_piece_size(piece_size):
		return _failure("%d is not a piece size" % piece_size)
	for url: String in url_seeds:
		if not creator.add_url_seed(url):
			return _failure("'%s' is not a web seed" % url, TorrentError.INVALID_URL)
	for url: String in http_seeds:
		if not creator.add_http_seed(url):
			return _failure("'%s' is not a web seed" % url, TorrentError.INVALID_URL)
	for tier in trackers.size():
		for url: String in trackers[tier] if trackers[tier] is Array else [trackers[tier]]:
			if not creator.add_tracker(url, tier):
				return _failure("'%s' is not a tracker" % url, TorrentError.INVALID_URL)
	var is_folder := DirAccess.dir_exists_absolute(path)
	var added := (
		creator.add_directory(path, include_hidden) if is_folder else creator.add_file(path)
	)
	if not added:
		return _failure("%s cannot be read" % path, TorrentError.PATH_NOT_FOUND)
	return await _generate(creator, out)


func _generate(creator: TorrentCreator, out: String) -> Dictionary:
	creator.generate()
	var torrent: PackedByteArray = await creator.wait_completed()
	if torrent.is_empty():
		return _failure(creator.get_last_error().get_message())
	if out != "" and not creator.save_to_file(out):
		return _failure("%s cannot be written" % out, TorrentError.INVALID_PATH)
	return {
		"torrent": torrent,
		"info_hash": creator.get_info_hash(),
		"info_hash_v2": "",
	}


func cmd_parse_torrent(params: Params) -> Dictionary:
	var is_path := params.has("path")
	var path := params.text("path", "")
	var data := params.bytes("data")
	if not params.finish():
		return {}
	return _parse(_read_torrent(path) if is_path else {"data": data})


func _parse(file: Dictionary) -> Dictionary:
	if file.has("error"):
		return file
	var info := TorrentInfo.from_data(file.data)
	if info == null:
		var place: String = file.get("path", "the data")
		return _failure("%s is no torrent" % place, TorrentError.INVALID_TORRENT_FILE)
	return _info(info)


func _read_torrent(path: String) -> Dictionary:
	var file := FileAccess.open(path, FileAccess.READ)
	if file == null or DirAccess.dir_exists_absolute(path):
		return _failure("%s cannot be read" % path, TorrentError.PATH_NOT_FOUND)
	if file.get_length() > LARGEST_TORRENT:
		return _failure("%s is too large" % path, TorrentError.INVALID_TORRENT_FILE)
	return {"data": file.get_buffer(file.get_length()), "path": path}


# --- alerts ---


func cmd_get_alerts(params: Params) -> Dictionary:
	var most := params.number("max", 1 << 32, 0)
	if not _ready_for(params):
		return _not_running(params)
	var taken := _alerts.slice(0, mini(most, _alerts.size()))
	_alerts = _alerts.slice(taken.size())
	return {"alerts": taken}


func cmd_wait_for_alert(params: Params) -> Dictionary:
	var type_name := params.text("type_name")
	var id := params.text("torrent_id", "").to_lower()
	var limit := params.number("timeout_ms", null, 0)
	if not _ready_for(params):
		return _not_running(params)
	if not _is_alert(type_name):
		return _failure("unknown alert type '%s'" % type_name)
	var deadline := Time.get_ticks_msec() + limit
	while true:
		for i in _alerts.size():
			var alert := _alerts[i]
			if alert.type_name == type_name and (id == "" or alert.get("info_hash") == id):
				_alerts.remove_at(i)
				return {"alert": alert}
		if Time.get_ticks_msec() >= deadline:
			break
		await tree.process_frame
	var message := "TIMEOUT: no %s alert within %d ms" % [type_name, limit]
	return _failure(message, TorrentError.TIMEOUT)


func cmd_subscribe(params: Params) -> Dictionary:
	var names: Variant = params.texts_or_all("type_names")
	if not _ready_for(params):
		return _not_running(params)
	for name: String in names if names != null else []:
		if not _is_alert(name):
			return _failure("unknown alert type '%s'" % name)
	_announced = names
	return {}


## Whether there are alerts of this type: only those can be subscribed to.
func _is_alert(type_name: String) -> bool:
	return AlertManager.new().subscribe(type_name, _on_alert)


# --- what they have in common ---


func _failure(message: String, code: int = TorrentError.INVALID_PARAMETER) -> Dictionary:
	return {"error": message, "code": code}


func _last_failure() -> Dictionary:
	var error := _session.get_last_error()
	var message := error.get_message()
	if error.get_context() != "":
		message += " (%s)" % error.get_context()
	return _failure(message, error.get_code())


## Ends the reading of parameters; whether the command can go on.
func _ready_for(params: Params) -> bool:
	return params.finish() and _session.is_running()


func _not_running(params: Params) -> Dictionary:
	if params.problem != "":
		return {}
	var message := "the session is not running: 'init' starts it"
	return _failure(message, TorrentError.SESSION_NOT_RUNNING)


## The torrent that the parameters name, or null.
func _handle(params: Params) -> TorrentHandle:
	_asked_id = params.text("torrent_id").to_lower()
	if not _ready_for(params):
		return null
	for handle in _session.get_torrents():
		if handle.get_info_hash() == _asked_id:
			return handle
	return null


func _no_torrent(params: Params) -> Dictionary:
	if params.problem != "" or not _session.is_running():
		return _not_running(params)
	var message := "unknown torrent_id '%s'" % _asked_id
	return _failure(message, TorrentError.TORRENT_NOT_FOUND)


func _tell(params: Params, command: Callable) -> Dictionary:
	var handle := _handle(params)
	if handle == null:
		return _no_torrent(params)
	return {} if command.call(handle) else _last_failure()


func _ask(params: Params, question: Callable) -> Dictionary:
	var handle := _handle(params)
	return _no_torrent(params) if handle == null else question.call(handle)


func _array(params: Params, question: Callable) -> Dictionary:
	return _ask(
		params, func(handle: TorrentHandle) -> Dictionary: return {"array": question.call(handle)}
	)


func _listen_port() -> int:
	var ports := _session.get_listening_ports()
	return ports[0] if ports.size() > 0 else 0


func _status(handle: TorrentHandle) -> Dictionary:
	var snapshot := handle.get_status()
	var status := snapshot.get_status_dictionary()
	status.state_string = snapshot.get_state_string()
	status.pieces = _bitmap(handle.get_pieces())
	return status


## One bit for each piece, the most significant one first.
func _bitmap(pieces: PackedByteArray) -> PackedByteArray:
	var bits := PackedByteArray()
	bits.resize((pieces.size() + 7) / 8)
	for i in pieces.size():
		if pieces[i]:
			bits[i / 8] |= 0x80 >> (i % 8)
	return bits


func _info(info: TorrentInfo) -> Dictionary:
	return {
		"name": info.get_name(),
		"info_hash": info.get_info_hash(),
		"total_size": info.get_total_size(),
		"num_files": info.get_num_files(),
		"file_count": info.get_file_count(),
		"num_pieces": info.get_num_pieces(),
		"piece_count": info.get_piece_count(),
		"piece_length": info.get_piece_length(),
		"piece_size": info.get_piece_size(),
		"is_private": info.is_private(),
		"source": info.get_source(),
		"comment": info.get_comment(),
		"creator": info.get_creator(),
		"creation_date": info.get_creation_date(),
		"files": info.get_files(),
		"trackers": info.get_trackers(),
		"web_seeds": _web_seeds(info, "url_seed"),
		"http_seeds": _web_seeds(info, "http_seed"),
		"nodes": info.get_nodes(),
		"magnet_uri": info.get_magnet_uri(),
	}


func _web_seeds(info: TorrentInfo, type: String) -> Array:
	var seeds := info.get_web_seeds().filter(
		func(seed: Dictionary) -> bool: return seed.type == type
	)
	return seeds.map(func(seed: Dictionary) -> String: return seed.url)
