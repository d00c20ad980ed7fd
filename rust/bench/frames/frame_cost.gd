extends SceneTree
## What the library costs a game's main thread: an idle poll, every getter, and
## the share of each frame while one of 100 torrents is received at full rate.
## Run by `./build.sh bench frames`; prints microseconds.

const MIB := 1024 * 1024
const SIZE := 2048 * MIB
const PIECE := 256 * 1024
const TORRENTS := 100
const FPS := 120
const CLASSES := ["TorrentSession", "TorrentHandle", "TorrentInfo", "TorrentStatus", "PeerInfo"]
## Getters that ask the system, make an object for each torrent, or write a torrent file.
const NOT_GETTERS := [
	"get_network_interfaces", "get_network_status", "get_torrents", "get_torrent_file_data"
]

var folder := ""
var seeding := TorrentSession.new()
var session := TorrentSession.new()
var handle: TorrentHandle
var signals := 0


func _initialize() -> void:
	_run.call_deferred()


func _run() -> void:
	Engine.max_fps = FPS
	folder = OS.get_user_data_dir() + "/frames-%d" % OS.get_process_id()
	var settings := {"listen_interfaces": "127.0.0.1:0", "alert_mask": 1}
	if not (
		seeding.start_session_with_settings(settings)
		and session.start_session_with_settings(settings)
	):
		printerr("a session does not start")
		quit(1)
		return
	# The frames are counted here.
	process_frame.disconnect(Callable(session, "poll"))
	_measure_idle()
	await _prepare()
	await _measure_frames()
	_measure_getters()
	seeding.stop_session()
	session.stop_session()
	OS.execute("rm", ["-r", folder])
	quit()


func _measure_idle() -> void:
	session.poll()
	var rounds := 100_000
	var begun := Time.get_ticks_usec()
	for i in rounds:
		session.poll()
	var took := Time.get_ticks_usec() - begun
	print("idle poll: %.3f us" % (float(took) / rounds))


## One torrent that is shared, and the others, for which there is nobody.
func _prepare() -> void:
	DirAccess.make_dir_recursive_absolute(folder + "/seed")
	var file := FileAccess.open(folder + "/seed/data.bin", FileAccess.WRITE)
	var block := PackedByteArray()
	block.resize(MIB)
	for i in SIZE / MIB:
		block.encode_u32(0, i + 1)
		file.store_buffer(block)
	file.close()
	var data := _torrent(folder + "/seed/data.bin")
	var shared := seeding.add_torrent_file(data, folder + "/seed")
	while not shared.get_status().is_seeding():
		await process_frame
	for i in TORRENTS - 1:
		var path := folder + "/other/%d.bin" % i
		DirAccess.make_dir_recursive_absolute(folder + "/other")
		var other := FileAccess.open(path, FileAccess.WRITE)
		other.store_string("number %d" % i)
		other.close()
		_listen(session.add_torrent_file(_torrent(path), folder + "/save/%d" % i))
	handle = session.add_torrent_file(data, folder + "/save")
	_listen(handle)
	session.torrents_updated.connect(func(_handles: Array) -> void: signals += 1)
	while handle.get_status().get_state() != TorrentStatus.STATE_DOWNLOADING:
		session.poll()
		await process_frame


func _torrent(path: String) -> PackedByteArray:
	var creator := TorrentCreator.new()
	creator.add_file(path)
	creator.set_piece_size(PIECE)
	return creator.generate_blocking()


func _listen(torrent: TorrentHandle) -> void:
	torrent.progress_changed.connect(func(_progress: float) -> void: signals += 1)
	torrent.piece_finished.connect(func(_index: int) -> void: signals += 1)
	torrent.state_changed.connect(func(_state: int, _previous: int) -> void: signals += 1)


func _measure_frames() -> void:
	var done := [false]
	handle.finished.connect(func() -> void: done[0] = true)
	handle.connect_peer("127.0.0.1", seeding.get_listening_ports()[0])
	signals = 0
	var by_clock := PackedInt64Array()
	var with_core := PackedInt64Array()
	var begun := Time.get_ticks_usec()
	while not done[0]:
		var waited_before := _waited_for_core()
		var before := Time.get_ticks_usec()
		session.poll()
		var took := Time.get_ticks_usec() - before
		by_clock.append(took)
		with_core.append(maxi(took - (_waited_for_core() - waited_before), 0))
		await process_frame
	var seconds := (Time.get_ticks_usec() - begun) / 1e6
	print(
		(
			"%d torrents, %.0f MiB/s, %d frames, %d signals; per frame:"
			% [TORRENTS, SIZE / MIB / seconds, by_clock.size(), signals]
		)
	)
	_print_spread("by the clock", by_clock)
	_print_spread("without waiting for a core", with_core)


func _print_spread(title: String, samples: PackedInt64Array) -> void:
	samples.sort()
	print(
		(
			"  %s: median %d us, 99th percentile %d us, longest %d us"
			% [
				title,
				samples[samples.size() / 2],
				samples[samples.size() * 99 / 100],
				samples[-1],
			]
		)
	)


## Microseconds for which this thread could have run and the system gave the core to another.
## Linux alone tells; elsewhere 0.
func _waited_for_core() -> int:
	var file := FileAccess.open("/proc/thread-self/schedstat", FileAccess.READ)
	return int(file.get_line().get_slice(" ", 1)) / 1000 if file else 0


func _measure_getters() -> void:
	var objects := {
		"TorrentSession": session,
		"TorrentHandle": handle,
		"TorrentInfo": handle.get_torrent_info(),
		"TorrentStatus": handle.get_status(),
	}
	var peers := handle.get_peer_info()
	if not peers.is_empty():
		objects["PeerInfo"] = peers[0]
	var found := []
	for name: String in objects:
		for method in ClassDB.class_get_method_list(name, true):
			if _is_getter(method):
				found.append([_cost_of(objects[name], method.name), name, method.name])
	found.sort()
	found.reverse()
	print("%d getters; the longest take:" % found.size())
	for entry: Array in found.slice(0, 8):
		print("  %.3f us  %s.%s" % entry)


func _is_getter(method: Dictionary) -> bool:
	var name: String = method.name
	return (
		method.args.is_empty()
		and not (method.flags & METHOD_FLAG_STATIC)
		and not name in NOT_GETTERS
		and not name.ends_with("_dictionary")
		and (name.begins_with("get_") or name.begins_with("is_") or name.begins_with("has_"))
	)


func _cost_of(object: Object, method: String) -> float:
	var rounds := 2_000
	object.call(method)
	var begun := Time.get_ticks_usec()
	for i in rounds:
		object.call(method)
	return float(Time.get_ticks_usec() - begun) / rounds
