extends GutTest
## What the tests of the library share: a folder for each test, sessions that are
## gone at its end, payloads and the torrents of them.

## Nobody but the test itself can be reached, at a port that the system chooses.
const LOOPBACK := {
	"listen_interfaces": "127.0.0.1:0",
	"status_update_interval": 20,
	# What the test plays itself, a peer or a tracker, answers when it has a frame, and on
	# a machine that does something else that may take a while.
	"peer_connect_timeout": 300,
	"handshake_timeout": 300,
	"request_timeout": 300,
	"piece_timeout": 300,
	"tracker_receive_timeout": 300,
	"tracker_completion_timeout": 300,
}

## Seconds that nothing here takes, unless it is broken.
const LIMIT := 300.0

const KIB := 1024
const MIB := 1024 * KIB

## The test's own folder.
var folder := ""

var _sessions: Array[TorrentSession] = []
var _running := 0


func before_each() -> void:
	folder = "user://test-%d-%d" % [OS.get_process_id(), Time.get_ticks_usec()]
	assert_eq(DirAccess.make_dir_recursive_absolute(folder), OK, "makes %s" % folder)


func after_each() -> void:
	for session in _sessions:
		session.stop_session()
	await wait_until(func() -> bool: return _running == 0, LIMIT)
	assert_eq(_running, 0, "every session has ended")
	_sessions.clear()
	remove_tree(folder)


# --- sessions ---


## A session that is not started and that ends with the test.
func new_session() -> TorrentSession:
	var session := TorrentSession.new()
	session.session_started.connect(_on_started)
	session.session_stopped.connect(_on_stopped)
	_sessions.append(session)
	return session


## A running session on loopback.
func start_session(settings := {}) -> TorrentSession:
	var session := new_session()
	var all: Dictionary = LOOPBACK.duplicate()
	all.merge(settings, true)
	assert_true(session.start_session_with_settings(all), "the session starts")
	return session


func port_of(session: TorrentSession) -> int:
	var ports := session.get_listening_ports()
	assert_eq(ports.size(), 1, "it listens on one port")
	return ports[0] if ports.size() == 1 else 0


func _on_started() -> void:
	_running += 1


func _on_stopped() -> void:
	_running -= 1


## The IPv4 ranges that a session's filter has, as its saved state tells.
func rules_of(session: TorrentSession) -> Array:
	var state := session.save_state()
	var key := "10:ip_filter4l".to_ascii_buffer().hex_encode()
	var at := state.hex_encode().find(key)
	assert_gt(at, -1, "the state has a filter")
	@warning_ignore("integer_division")
	var next := (at + key.length()) / 2
	var rules := []
	while at >= 0 and state[next] != "e".unicode_at(0):
		# "12:", the first and the last address, and the flags.
		var ends := state.slice(next + 3, next + 11)
		if state[next + 14] == 1:
			rules.append("%d.%d.%d.%d-%d.%d.%d.%d" % Array(ends))
		next += 15
	return rules


# --- payloads ---


## Bytes that look random and are the same each time.
func content(size: int, number := 1) -> PackedByteArray:
	var random := RandomNumberGenerator.new()
	random.seed = number
	var words := PackedInt32Array()
	words.resize(mini(size, 256 * KIB) / 4 + 1)
	for i in words.size():
		words[i] = random.randi()
	var block := words.to_byte_array()
	var bytes := PackedByteArray()
	# What repeats is told apart by its position.
	while bytes.size() < size:
		block.encode_u32(0, bytes.size())
		bytes.append_array(block)
	return bytes.slice(0, size)


func write_file(path: String, bytes: PackedByteArray) -> void:
	DirAccess.make_dir_recursive_absolute(path.get_base_dir())
	var file := FileAccess.open(path, FileAccess.WRITE)
	assert_not_null(file, "opens %s" % path)
	if file != null:
		file.store_buffer(bytes)
		file.close()


## Writes a file into the folder `seed` and returns the torrent of it.
func make_torrent(size: int, piece_size := 32 * KIB, name := "data.bin") -> PackedByteArray:
	write_file(folder + "/seed/" + name, content(size))
	return torrent_of(folder + "/seed/" + name, piece_size)


func torrent_of(path: String, piece_size := 32 * KIB) -> PackedByteArray:
	var creator := TorrentCreator.new()
	var added := (
		creator.add_directory(path)
		if DirAccess.dir_exists_absolute(path)
		else creator.add_file(path)
	)
	assert_true(added, "adds %s" % path)
	creator.set_piece_size(piece_size)
	var data := creator.generate_blocking()
	assert_gt(data.size(), 0, "makes a torrent of %s" % path)
	return data


func sha256(path: String) -> String:
	return FileAccess.get_sha256(path)


# --- torrents ---


## A torrent that is seeded from the folder `seed`.
func seed_torrent(session: TorrentSession, data: PackedByteArray) -> TorrentHandle:
	var handle := session.add_torrent_file(data, folder + "/seed")
	assert_not_null(handle, "adds what is to be seeded")
	if handle != null:
		await wait_until(func() -> bool: return handle.get_status().is_seeding(), LIMIT)
		assert_true(handle.get_status().is_seeding(), "seeds")
	return handle


## A torrent that is downloaded into the folder `save` from `seeder`.
func download(
	session: TorrentSession, data: PackedByteArray, seeder: TorrentSession
) -> TorrentHandle:
	var handle := session.add_torrent_file(data, folder + "/save")
	assert_not_null(handle, "adds what is to be downloaded")
	if handle != null:
		assert_true(handle.connect_peer("127.0.0.1", port_of(seeder)), "connects")
	return handle


func finished(handle: TorrentHandle) -> bool:
	await wait_until(func() -> bool: return handle.get_status().is_finished(), LIMIT)
	var status := handle.get_status()
	assert_true(
		status.is_finished(), "finished: %s %s" % [status.get_state_string(), status.get_error()]
	)
	return status.is_finished()


## The torrent of a session that seeds only the first half of its 64 pieces: a download
## from it comes to a halt in the middle, with its peer connected.
func half_of_a_seed(session: TorrentSession) -> PackedByteArray:
	var data := make_torrent(MIB, 16 * KIB)
	var file := FileAccess.open(folder + "/seed/data.bin", FileAccess.READ_WRITE)
	file.seek(MIB / 2)
	file.store_buffer(content(MIB / 2, 99))
	file.close()
	var handle := session.add_torrent_file(data, folder + "/seed")
	var is_checked := func() -> bool: return handle.get_pieces().count(1) == 32
	assert_true(await wait_until(is_checked, LIMIT), "the seed has a half")
	return data


func wait_for_half(handle: TorrentHandle) -> void:
	var is_half := func() -> bool: return handle.get_status().get_pieces_downloaded() == 32
	assert_true(await wait_until(is_half, LIMIT), "a half arrives")


# --- the rest ---


## The first alert of a name, once there is one.
func alert_of(session: TorrentSession, name: String) -> Dictionary:
	var manager := session.get_alert_manager()
	var is_there := func() -> bool: return manager.get_alerts_by_name(name).size() > 0
	assert_true(await wait_until(is_there, LIMIT), "an alert %s" % name)
	var alerts := manager.get_alerts_by_name(name)
	return alerts[0] if alerts.size() > 0 else {}


## Threads of this process; -1 where that cannot be known.
func threads() -> int:
	return (
		DirAccess.get_directories_at("/proc/self/task").size() if OS.get_name() == "Linux" else -1
	)


## The number of threads once those of the library have ended: it keeps none without a
## session, a creator at work or a log file.
func threads_at_rest() -> int:
	var is_ours := func(name: String) -> bool: return name.begins_with("torrent-")
	var is_at_rest := func() -> bool: return not thread_names().any(is_ours)
	assert_true(await wait_until(is_at_rest, LIMIT), "threads at rest: %s" % [thread_names()])
	return threads()


## Their names.
func thread_names() -> Array[String]:
	var names: Array[String] = []
	if OS.get_name() == "Linux":
		for id in DirAccess.get_directories_at("/proc/self/task"):
			var file := FileAccess.open("/proc/self/task/%s/comm" % id, FileAccess.READ)
			if file != null:
				names.append(file.get_line())
	names.sort()
	return names


func remove_tree(path: String) -> void:
	if not DirAccess.dir_exists_absolute(path):
		return
	for name in DirAccess.get_directories_at(path):
		remove_tree(path.path_join(name))
	for name in DirAccess.get_files_at(path):
		DirAccess.remove_absolute(path.path_join(name))
	DirAccess.remove_absolute(path)
