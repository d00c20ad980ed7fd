extends SceneTree
## What the library costs a game's main thread: an idle poll, every getter, the
## share of each frame while one of 100 torrents is received at full rate, and
## the call that stops all that; and how late `finished` comes after a download. Run by
## `./build.sh bench frames`; prints microseconds, then each limit and whether it
## holds. Ends with an error code when one does not. With the argument `ends` the
## last of these alone: its limit is for the debug library too.

const DownloadEnds := preload("res://download_ends.gd")
const MIB := 1024 * 1024
const SIZE := 2048 * MIB
const PIECE := 256 * 1024
const TORRENTS := 100
const FPS := 120
const ENDS := "ends of downloads told too late"
## What each may take, in microseconds but for the last one. Frames without the time in which
## the system had given the core to another process.
const LIMITS := {
	"idle poll": 2.0,
	"frame, 99th percentile": 200.0,
	"frame, longest": 1000.0,
	"getter, longest": 5.0,
	"stop_session": 1000.0,
	# Of those that `download_ends.gd` measures, each of which has a limit of its own.
	ENDS: 1.0,
}
## They ask the system, make an object for each torrent, or write a torrent file, and so no game
## calls them each frame: measured, but no limit is for them. Nor is it for those that put all
## there is to know into a Dictionary.
const NO_LIMIT := [
	"get_network_interfaces", "get_network_status", "get_torrents", "get_torrent_file_data"
]
const BATCHES := 5
const ROUNDS := 400

var folder := ""
var seeding := TorrentSession.new()
var session := TorrentSession.new()
var handle: TorrentHandle
## One of those it is received from.
var peer: PeerInfo
var signals := 0
## What was measured, by the names in LIMITS.
var measured := {}


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
	_poll_by_hand()
	var ends := DownloadEnds.new(self, seeding, session, folder)
	if "ends" in OS.get_cmdline_user_args():
		measured[ENDS] = float(await ends.measure())
		session.stop_session()
	else:
		_measure_idle()
		await _prepare()
		await _measure_frames()
		_measure_getters()
		measured[ENDS] = float(await ends.measure())
		await _measure_stop()
	seeding.stop_session()
	OS.execute("rm", ["-r", folder])
	quit(0 if _limits_hold() else 1)


## Nothing of the library's is polled with the frames any more.
func _poll_by_hand() -> void:
	for connection in process_frame.get_connections():
		if str(connection.callable) == "torrents":
			process_frame.disconnect(connection.callable)


func _measure_idle() -> void:
	session.poll()
	var rounds := 100_000
	var begun := Time.get_ticks_usec()
	for i in rounds:
		session.poll()
	var took := Time.get_ticks_usec() - begun
	measured["idle poll"] = float(took) / rounds
	print("idle poll: %.3f us" % measured["idle poll"])


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
		if peer == null and not handle.get_peer_info().is_empty():
			peer = handle.get_peer_info()[0]
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
	measured["frame, 99th percentile"] = with_core[with_core.size() * 99 / 100]
	measured["frame, longest"] = with_core[-1]


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
	if peer == null:
		printerr("no peer was seen")
		return
	var creator := TorrentCreator.new()
	creator.add_file(folder + "/seed/data.bin")
	var objects := {
		"TorrentSession": session,
		"TorrentHandle": handle,
		"TorrentInfo": handle.get_torrent_info(),
		"TorrentStatus": handle.get_status(),
		"PeerInfo": peer,
		"AlertManager": session.get_alert_manager(),
		"TorrentCreator": creator,
		"TorrentError": session.get_last_error(),
		"TorrentLogger": session.get_logger(),
	}
	var limited := []
	var others := []
	for name: String in objects:
		for method in ClassDB.class_get_method_list(name, true):
			if _is_getter(method):
				var cost := _cost_of(objects[name], method.name)
				var found := limited if _is_limited(method.name) else others
				found.append([cost, name, method.name])
	print("%d getters of %d classes; the longest take:" % [limited.size(), objects.size()])
	_print_longest(limited, 8)
	measured["getter, longest"] = limited[0][0]
	print("%d that are not for each frame, with %d torrents:" % [others.size(), TORRENTS])
	_print_longest(others, others.size())


func _print_longest(found: Array, count: int) -> void:
	found.sort()
	found.reverse()
	for entry: Array in found.slice(0, count):
		print("  %.3f us  %s.%s" % entry)


func _is_getter(method: Dictionary) -> bool:
	var name: String = method.name
	return (
		method.args.is_empty()
		and not (method.flags & METHOD_FLAG_STATIC)
		and (name.begins_with("get_") or name.begins_with("is_") or name.begins_with("has_"))
	)


func _is_limited(getter: String) -> bool:
	return not getter in NO_LIMIT and not getter.ends_with("_dictionary")


## Of some batches the one in the middle, so that it does not count when the system takes the
## core away.
func _cost_of(object: Object, method: String) -> float:
	object.call(method)
	var costs := PackedFloat64Array()
	for batch in BATCHES:
		var begun := Time.get_ticks_usec()
		for i in ROUNDS:
			object.call(method)
		costs.append(float(Time.get_ticks_usec() - begun) / ROUNDS)
	costs.sort()
	return costs[BATCHES / 2]


func _measure_stop() -> void:
	var stopped := [false]
	session.session_stopped.connect(func() -> void: stopped[0] = true)
	var waited_before := _waited_for_core()
	var before := Time.get_ticks_usec()
	session.stop_session()
	var took := Time.get_ticks_usec() - before
	measured["stop_session"] = maxi(took - (_waited_for_core() - waited_before), 0)
	while not stopped[0]:
		session.poll()
		await process_frame
	var seconds := (Time.get_ticks_usec() - before) / 1e6
	print("stop_session: %d us; all has ended after %.2f s" % [took, seconds])


func _limits_hold() -> bool:
	var all_hold := true
	print("limits:")
	for name: String in LIMITS:
		if name not in measured and "ends" in OS.get_cmdline_user_args():
			continue
		# What was not measured does not hold.
		var value: float = measured.get(name, INF)
		var holds: bool = value < LIMITS[name]
		all_hold = all_hold and holds
		var verdict := "holds" if holds else "DOES NOT HOLD"
		print("  %s: %.3f, less than %d: %s" % [name, value, LIMITS[name], verdict])
	return all_hold
