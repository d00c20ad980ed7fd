extends RefCounted
## How late a game hears of the end of a download: 50 MB in 385 pieces, at several rates of
## frames, with handlers of `piece_finished` that take their time. A thread looks when the
## engine has finished; the end, and the last progress, may come two frames after that or
## 0.1 s, whichever is later.

const PIECE := 128 * 1024
const PIECES := 385
const FRAME_RATES := [4, 10, 30, 60, 240]
const HANDLERS_USEC := [0, 50, 300]
const ROUNDS := 3
const FRAMES := 2
const USEC := 100_000
## No download takes that long.
const GIVE_UP_USEC := 60_000_000

var _tree: SceneTree
var _seeding: TorrentSession
var _session: TorrentSession
var _folder := ""
var _data: PackedByteArray


func _init(
	tree: SceneTree, seeding: TorrentSession, session: TorrentSession, folder: String
) -> void:
	_tree = tree
	_seeding = seeding
	_session = session
	_folder = folder + "/ends"


## A moment: when, and in which frame.
class Moment:
	var usec := 0
	var frame := 0

	func now() -> void:
		usec = Time.get_ticks_usec()
		frame = Engine.get_process_frames()


## Prints a line for each case. Returns how many downloads have a late `finished`.
func measure() -> int:
	await _seed()
	var too_late := 0
	print("the end of %d pieces of %d KiB is told, at worst:" % [PIECES, PIECE / 1024])
	for rate: int in FRAME_RATES:
		Engine.max_fps = rate
		for handler: int in HANDLERS_USEC:
			var worst := {"finished": [0, 0], "progress": [0, 0]}
			var holds := true
			for i in ROUNDS:
				var late := await _late(handler)
				for what: String in late:
					holds = holds and (late[what][0] <= FRAMES or late[what][1] <= USEC)
					worst[what] = [
						maxi(worst[what][0], late[what][0]), maxi(worst[what][1], late[what][1])
					]
			too_late += 0 if holds else 1
			var line := "  %3d frames/s, handlers of %3d us: " % [rate, handler]
			line += "finished after %d frames, %.1f ms" % _shown(worst.finished)
			line += "; last progress %d, %.1f ms" % _shown(worst.progress)
			print(line, "" if holds else "  TOO LATE")
	return too_late


func _shown(late: Array) -> Array:
	return [late[0], late[1] / 1000.0]


func _seed() -> void:
	DirAccess.make_dir_recursive_absolute(_folder + "/seed")
	var file := FileAccess.open(_folder + "/seed/ends.bin", FileAccess.WRITE)
	var block := PackedByteArray()
	block.resize(PIECE)
	for i in PIECES:
		block.encode_u32(0, i + 1)
		file.store_buffer(block)
	file.close()
	var creator := TorrentCreator.new()
	creator.add_file(_folder + "/seed/ends.bin")
	creator.set_piece_size(PIECE)
	_data = creator.generate_blocking()
	var shared := _seeding.add_torrent_file(_data, _folder + "/seed")
	while not shared.get_status().is_seeding():
		await _tree.process_frame


## By how many frames and microseconds `finished` comes after the end of one download.
func _late(handler_usec: int) -> Dictionary:
	var handle := _session.add_torrent_file(_data, _folder + "/save")
	var finished := Moment.new()
	var progressed := Moment.new()
	handle.finished.connect(finished.now)
	handle.progress_changed.connect(
		func(progress: float) -> void:
			if progress == 1.0:
				progressed.now()
	)
	handle.piece_finished.connect(
		func(_index: int) -> void:
			var begun := Time.get_ticks_usec()
			while Time.get_ticks_usec() - begun < handler_usec:
				pass
	)
	while handle.get_status().get_state() != TorrentStatus.STATE_DOWNLOADING:
		await _frame()
	var event := Moment.new()
	var thread := Thread.new()
	thread.start(_watch.bind(handle, event))
	handle.connect_peer("127.0.0.1", _seeding.get_listening_ports()[0])
	var begun := Time.get_ticks_usec()
	while finished.usec == 0 or progressed.usec == 0:
		await _frame()
		if Time.get_ticks_usec() - begun > GIVE_UP_USEC:
			finished.now()
			progressed.now()
	thread.wait_to_finish()
	var removed := [false]
	handle.removed.connect(func() -> void: removed[0] = true)
	_session.remove_torrent(handle, true)
	while not removed[0]:
		await _frame()
	return {"finished": _between(event, finished), "progress": _between(event, progressed)}


func _frame() -> void:
	_session.poll()
	await _tree.process_frame


## On a thread: notes when the engine has finished.
func _watch(handle: TorrentHandle, event: Moment) -> void:
	var begun := Time.get_ticks_usec()
	while not handle.get_status().is_finished():
		if Time.get_ticks_usec() - begun > GIVE_UP_USEC:
			break
		OS.delay_usec(200)
	event.now()


func _between(event: Moment, told: Moment) -> Array:
	return [maxi(told.frame - event.frame, 0), maxi(told.usec - event.usec, 0)]
