extends "res://test/integration/torrent_test.gd"
## What comes once is told at once, however many pieces wait and however slow the game's
## handlers are. Polls are counted, not time.

const PIECES := 512
## What the handler of a piece takes.
const HANDLERS_USEC := [0, 50, 300]

var _handler_usec := 300
var _heard: Array[String] = []
var _told := PackedInt32Array()
var _together := PackedInt32Array()
var _progress := 0.0
## How many pieces had been told of one by one before the end.
var _told_at_end := 0


func before_each() -> void:
	super()
	_forget()


func _forget() -> void:
	_heard.clear()
	_told.clear()
	_together.clear()
	_progress = 0.0


## A complete download of which the game has not heard anything: it was busy all the time.
func _unheard_download() -> Array:
	var seeder := start_session()
	var data := make_torrent(PIECES * 16 * KIB, 16 * KIB)
	await seed_torrent(seeder, data)
	var session := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	var handle := session.add_torrent_file(data, folder + "/save%d" % _handler_usec)
	assert_true(await handle.wait_checked())
	_listen(handle)
	assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)))
	_stay_busy_until(func() -> bool: return handle.get_status().is_finished())
	# What the torrent answers after that has all events of the download before it.
	assert_true(handle.save_resume_data())
	_stay_busy_until(func() -> bool: return not handle.get_resume_data().is_empty())
	assert_eq(_heard.size(), 0)
	return [session, handle]


## Ends no frame meanwhile.
func _stay_busy_until(condition: Callable) -> void:
	var deadline := Time.get_ticks_msec() + int(LIMIT * 1000)
	while not condition.call() and Time.get_ticks_msec() < deadline:
		OS.delay_usec(200)
	assert_true(condition.call(), "in time")


func _listen(handle: TorrentHandle) -> void:
	handle.piece_finished.connect(_on_piece)
	handle.pieces_finished.connect(
		func(indices: PackedInt32Array) -> void:
			_heard.append("pieces")
			_together.append_array(indices)
	)
	handle.state_changed.connect(
		func(state: int, _previous: int) -> void: _heard.append("state %d" % state)
	)
	handle.progress_changed.connect(
		func(progress: float) -> void:
			_heard.append("progress")
			_progress = progress
	)
	handle.finished.connect(_on_finished)


func _on_finished() -> void:
	_heard.append("finished")
	_told_at_end = _told.size()


func _on_piece(index: int) -> void:
	_told.append(index)
	var begun := Time.get_ticks_usec()
	while Time.get_ticks_usec() - begun < _handler_usec:
		pass


func test_the_end_is_told_within_two_polls() -> void:
	for usec: int in HANDLERS_USEC:
		_forget()
		_handler_usec = usec
		await _assert_told_in_time()


func _assert_told_in_time() -> void:
	var both: Array = await _unheard_download()
	var session: TorrentSession = both[0]
	var polls := 0
	var limit := 1000
	while polls < 2 and limit > 0 and "finished" not in _heard:
		OS.delay_usec(1_000_000 / 240)
		var before := _heard.size() + _told.size()
		session.poll()
		# A poll takes nothing while a thread of the engine posts something.
		polls += 1 if _heard.size() + _told.size() > before else 0
		limit -= 1
	assert_has(_heard, "finished")
	assert_eq(_progress, 1.0, "the last progress too")
	assert_lt(_heard.find("progress"), _heard.find("finished"))
	if _handler_usec == HANDLERS_USEC.max():
		assert_lt(_told_at_end, PIECES, "before pieces of which there are many")
	# All pieces are told of together before what follows from them.
	var map := Array(_together)
	map.sort()
	assert_eq(map, range(PIECES))
	assert_lt(_heard.find("pieces"), _heard.find("finished"))
	var finishes := "state %d" % TorrentStatus.STATE_FINISHED
	assert_lt(_heard.find(finishes), _heard.find("finished"), str(_heard))
	# And of each one once, in order.
	limit = 100_000
	while _told.size() < PIECES and limit > 0:
		session.poll()
		limit -= 1
	for i in 10:
		session.poll()
	assert_eq(_told, _together)
	assert_eq(_heard.count("finished"), 1)
	assert_eq(_heard.count("pieces"), 1, "once a poll at most")


func test_pieces_of_a_torrent_that_was_removed_are_forgotten() -> void:
	var both: Array = await _unheard_download()
	var session: TorrentSession = both[0]
	var handle: TorrentHandle = both[1]
	handle.removed.connect(func() -> void: _heard.append("removed"))
	session.poll()
	assert_true(session.remove_torrent(handle))
	var told := _told.size()
	assert_lt(told, PIECES)
	var is_removed := func() -> bool:
		session.poll()
		return "removed" in _heard
	_stay_busy_until(is_removed)
	for i in 10:
		session.poll()
	assert_eq(_told.size(), told, "nobody wants to hear of its pieces any more")
