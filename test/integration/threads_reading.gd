extends SceneTree
## Eight threads call every method that reads, make objects of every class and drop last
## references, while the main thread transfers, adds, removes and polls. Run by
## test_threads.gd; the arguments are a folder with data.torrent and the files of it in
## seed.

const Common := preload("res://test/integration/threads_common.gd")

const THREADS := 8
const ROUNDS := 30

var _sessions: Array[TorrentSession] = []
var _handle: TorrentHandle = null
var _hash := ""
var _special := {}
var _lock := Mutex.new()
## What threads take the last references from.
var _gifts: Array = []
var _failures := PackedStringArray()
var _rounds := 0


func _initialize() -> void:
	var folder: String = OS.get_cmdline_user_args()[0]
	var data := FileAccess.get_file_as_bytes(folder + "/data.torrent")
	for place: String in ["/seed", "/save"]:
		var session := TorrentSession.new()
		session.start_session_with_settings(Common.SETTINGS.merged({"performance_monitors": true}))
		_handle = session.add_torrent_file(data, folder + place)
		_sessions.append(session)
	_hash = _handle.get_info_hash()
	_special = {"info_hash": _hash, "name": "lan", "path": folder + "/data.torrent", "data": data}
	PeerInfo.set_country_resolver(func(ip: String) -> String: return "the land of " + ip)
	_handle.connect_peer("127.0.0.1", _sessions[0].get_listening_ports()[0])
	var threads: Array[Thread] = []
	for number in THREADS:
		threads.append(Thread.new())
		threads[number].start(_read.bind(number))
	var task := WorkerThreadPool.add_group_task(_read, THREADS)
	var frames := 0
	while threads.any(func(it: Thread) -> bool: return it.is_alive()):
		frames += 1
		_give()
		_disturb(frames, data, folder)
		await process_frame
	for thread in threads:
		thread.wait_to_finish()
	WorkerThreadPool.wait_for_group_task_completion(task)
	_handle.set_download_limit(0)
	var is_finished: bool = await _handle.wait_finished(120.0)
	if not is_finished:
		_fail("the download has not finished: " + _handle.get_last_error().get_message())
	_gifts.clear()
	for failure in _failures:
		printerr("@fail " + failure)
	if _rounds != 2 * THREADS * ROUNDS:
		printerr("@fail %d rounds" % _rounds)
	print("the threads have read during %d frames" % frames)
	quit()


## Things whose last reference a thread is to drop.
func _give() -> void:
	var session := TorrentSession.new()
	session.get_alert_manager().subscribe(
		"torrent_finished", func(_it: Dictionary) -> void: quit(1)
	)
	session.get_logger().enable_logging(true)
	var creator := TorrentCreator.new()
	_lock.lock()
	if _gifts.size() < 20:
		_gifts.append_array([[session], [creator], [session.get_logger()], _handle.get_peer_info()])
	_lock.unlock()


## What a game does meanwhile.
func _disturb(frame: int, data: PackedByteArray, folder: String) -> void:
	_handle.set_download_limit(300_000 + frame)
	_sessions[1].apply_settings({"connections_limit": 50 + frame % 50})
	_lock.lock()
	var takes := _gifts.size() < 20
	_lock.unlock()
	if takes and frame % 10 == 0:
		# Started, and dropped by a thread.
		var session := TorrentSession.new()
		session.start_session_with_settings(Common.SETTINGS)
		session.add_torrent_file(data, folder + "/unused")
		_lock.lock()
		_gifts.append([session])
		_lock.unlock()


func _read(number: int) -> void:
	for round in ROUNDS:
		_take()
		var session := _sessions[(number + round) % 2]
		var handle := session.find_torrent(_hash)
		if handle != session.get_torrents()[0] or handle != session.find_torrent(_hash):
			_fail("one torrent has two objects")
		var objects: Array = [
			session,
			handle,
			session.get_alert_manager(),
			session.get_logger(),
			session.get_last_error(),
			handle.get_torrent_info(),
			handle.get_status()
		]
		objects.append_array(handle.get_peer_info())
		for name: String in Common.classes:
			str(ClassDB.instantiate(name))
		for object: Object in objects:
			_read_object(object)
		_lock.lock()
		_rounds += 1
		_lock.unlock()


func _read_object(object: Object) -> void:
	var name := object.get_class()
	str(object)
	for method: Dictionary in Common.methods(name):
		if (
			Common.reads(name, method.name)
			and not method.name.begins_with("wait_")
			and method.name != "set_country_resolver"
		):
			object.callv(method.name, Common.arguments(method, _special))


func _take() -> void:
	_lock.lock()
	var gift: Variant = _gifts.pop_front() if not _gifts.is_empty() else null
	_lock.unlock()
	gift = null


func _fail(what: String) -> void:
	_lock.lock()
	_failures.append(what)
	_lock.unlock()
