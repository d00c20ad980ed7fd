extends "res://demo/common/console_demo.gd"
## A tour through the library in six phases, between two sessions on this machine.
## Every number that is printed was asked from the library, and what can be known
## beforehand is checked: a wrong answer ends the demo with exit code 1.

const FOLDER := "user://demo_advanced"
const SHARED := FOLDER + "/shared"
const SAVED := FOLDER + "/saved"
const PIECE := 64 * Tools.KIB
## The files of the torrent. The first one ends with a piece.
const FILES := {"pack/big.bin": 96 * PIECE, "pack/maps/one.map": 300_000, "pack/read_me.txt": 77}

## Two that have everything are of no use to one another and would part at once: here they
## stay, to be looked at.
var _settings := Tools.LOOPBACK.merged({"close_redundant_connections": false})
var _seeder := TorrentSession.new()
var _leecher := TorrentSession.new()
var _data := PackedByteArray()
var _seed: TorrentHandle = null
var _handle: TorrentHandle = null
var _checks := 0


func _run() -> void:
	var phases: Dictionary[String, Callable] = {
		"Session": _session,
		"Configuration": _configuration,
		"Torrent operations": _operations,
		"Information": _information,
		"Monitoring": _monitoring,
		"Advanced features": _advanced,
	}
	var number := 0
	for title in phases:
		number += 1
		say_heading("Phase %d: %s" % [number, title])
		await phases[title].call()
		if _ended:
			return
	say("")
	say("OK: every phase ran, %d checks" % _checks)


func _clean_up() -> void:
	await Tools.stop([_seeder, _leecher])
	Tools.remove_tree(FOLDER)


## Prints what was found and fails unless it is right.
func expect(good: bool, line: String) -> bool:
	_checks += 1
	say("  " + line)
	return check(good, line)


# --- 1 ---


func _session() -> void:
	Tools.remove_tree(FOLDER)
	if not expect(not _leecher.is_running(), "running before the start: no"):
		return
	for session: TorrentSession in [_seeder, _leecher]:
		if not expect(session.start_session_with_settings(_settings), "a session starts"):
			return
		var ports := session.get_listening_ports()
		expect(ports.size() == 1 and ports[0] > 0, "it listens on port %s" % ports)
	_leecher.pause_session()
	expect(await until(_leecher.is_session_paused), "paused as a whole")
	_leecher.resume_session()
	var goes_on := func() -> bool: return not _leecher.is_session_paused()
	expect(await until(goes_on), "and resumed")


# --- 2 ---


func _configuration() -> void:
	var defaults := TorrentSession.get_default_settings()
	expect(defaults.size() > 0, "settings with a default: %d" % defaults.size())
	for preset: String in ["default", "high_throughput", "low_memory", "lan"]:
		var settings := TorrentSession.get_settings_preset(preset)
		var changed := 0
		for name: String in settings:
			if settings[name] != defaults[name]:
				changed += 1
		var expected := changed == 0 if preset == "default" else changed > 0
		expect(expected, "preset %s: %d settings differ from the defaults" % [preset, changed])
	_leecher.apply_settings({"user_agent": "godot-torrent demo", "connections_limit": 50})
	var agent: String = _leecher.get_settings().user_agent
	expect(agent == "godot-torrent demo", "user_agent is now '%s'" % agent)
	var limit := _leecher.get_max_connections()
	expect(limit == 50, "connections_limit is now %d" % limit)
	_leecher.set_max_uploads(6)
	expect(_leecher.get_max_uploads() == 6, "upload slots are now %d" % _leecher.get_max_uploads())
	var alerts := _leecher.get_alert_manager()
	alerts.set_alert_mask(AlertManager.CATEGORY_ALL)
	expect(
		_leecher.get_settings().alert_mask == alerts.get_alert_mask(),
		"alert mask is now 0x%x, in the settings too" % alerts.get_alert_mask()
	)


# --- 3 ---


func _operations() -> void:
	for name: String in FILES:
		if not check(Tools.write_random_file(SHARED.path_join(name), FILES[name]), "writes"):
			return
	var creator := TorrentCreator.new()
	creator.add_directory(SHARED + "/pack")
	creator.set_piece_size(PIECE)
	creator.set_comment("the tour")
	creator.generate()
	_data = await creator.wait_completed()
	if not expect(_data.size() > 0, "a torrent of %d bytes is made" % _data.size()):
		return

	_seed = _seeder.add_torrent_file(_data, SHARED)
	if not expect(await _is(_seed, "is_seeding"), "the first session seeds it"):
		return
	# The big file is not wanted at first, and nothing moves before the resume.
	_handle = (
		_leecher
		. add_torrent(
			{
				"torrent_data": _data,
				"save_path": SAVED,
				"paused": true,
				"file_priorities": [0, 4, 4],
			}
		)
	)
	if not expect(_handle != null and _handle.is_paused(), "the second one adds it, paused"):
		return
	expect(_leecher.find_torrent(_handle.get_info_hash()) == _handle, "and finds it by its hash")
	expect(_leecher.get_torrents() == [_handle], "as its only torrent")
	_handle.resume()
	_connect()
	expect(await _is(_handle, "is_finished"), "two of three files arrive after the resume")
	var progress := _handle.get_file_progress()
	expect(progress[0] < FILES["pack/big.bin"], "bytes of each file: %s" % [progress])

	_handle.set_file_priority(0, 4)
	_connect()
	expect(await _is(_handle, "is_seeding"), "the third one arrives when it is wanted after all")
	for name: String in FILES:
		var there := FileAccess.get_sha256(SHARED.path_join(name))
		var here := FileAccess.get_sha256(SAVED.path_join(name))
		expect(
			there == here and here != "", "%s: SHA-256 %s… on both sides" % [name, here.left(16)]
		)


## A peer that is gone is welcome again.
func _connect() -> void:
	if _ended:
		return
	check(_handle.connect_peer("127.0.0.1", _seeder.get_listening_ports()[0]), "connects")


func _is(handle: TorrentHandle, what: StringName) -> bool:
	return await until(func() -> bool: return handle.get_status().call(what))


# --- 4 ---


func _information() -> void:
	var info := _handle.get_torrent_info()
	var total := 0
	for name: String in FILES:
		total += FILES[name]
	expect(info.get_name() == "pack", "name: %s" % info.get_name())
	expect(info.get_total_size() == total, "size: %d bytes" % info.get_total_size())
	expect(info.get_comment() == "the tour", "comment: %s" % info.get_comment())
	var hash := info.get_info_hash()
	expect(hash == _seed.get_info_hash(), "info-hash: %s, as on the other side" % hash)
	var count := info.get_piece_count()
	expect(count == ceili(float(total) / PIECE), "pieces: %d of %d bytes" % [count, PIECE])
	for file in info.get_files():
		expect(FILES[file.path] == file.size, "%s: %d bytes" % [file.path, file.size])
	# A piece is what its hash says, also when it is computed here.
	var place: Dictionary = info.map_block(5, 0, PIECE)[0]
	var file := FileAccess.open(
		SAVED.path_join(info.get_file_path_at(place.file_index)), FileAccess.READ
	)
	file.seek(place.offset)
	var context := HashingContext.new()
	context.start(HashingContext.HASH_SHA1)
	context.update(file.get_buffer(PIECE))
	var computed := context.finish()
	expect(computed == info.get_piece_hash(5), "SHA-1 of piece 5: %s" % computed.hex_encode())
	var again := TorrentInfo.from_data(_handle.get_torrent_file_data())
	expect(again.get_info_hash() == hash, "the torrent file can be had back from the handle")
	var magnet := _handle.get_magnet_uri()
	expect(hash in magnet, magnet)


# --- 5 ---


func _monitoring() -> void:
	_connect()
	if not await until(func() -> bool: return _seed.get_peer_info().size() > 0):
		return
	var status := _handle.get_status()
	expect(status.is_seeding(), "state: %s" % status.get_state_string())
	expect(status.get_progress() == 1.0, "progress: %d %%" % (status.get_progress() * 100.0))
	expect(
		status.get_total_payload_download() >= status.get_total_size(),
		(
			"received: %d bytes of data, %d with the protocol"
			% [status.get_total_payload_download(), status.get_total_download()]
		)
	)
	expect(
		status.get_total_failed_bytes() == 0, "damaged bytes: %d" % status.get_total_failed_bytes()
	)
	for peer in _seed.get_peer_info():
		expect(
			peer.get_ip() == "127.0.0.1",
			(
				"the first session's peer: %s:%d, %s, %s, %d bytes sent"
				% [
					peer.get_ip(),
					peer.get_port(),
					peer.get_client(),
					peer.get_connection_type(),
					peer.get_total_upload(),
				]
			)
		)
	var have := _handle.get_pieces().count(1)
	expect(have == status.get_num_pieces(), "pieces there: %d" % have)
	var alerts := _leecher.get_alert_manager()
	# They come a few each frame, in order, and there is one for each block.
	while alerts.get_alerts_by_name("torrent_finished").is_empty():
		await get_tree().process_frame
	var kinds := {}
	for alert in alerts.pop_alerts():
		kinds[alert.type_name] = kinds.get(alert.type_name, 0) + 1
	expect(kinds.has("torrent_finished"), "alerts so far, by kind:")
	for kind: String in kinds:
		say("    %s: %d" % [kind, kinds[kind]])
	expect(alerts.get_alerts().is_empty(), "alerts left after taking them: none")
	var stats := _leecher.get_session_stats()
	expect(
		stats["net.recv_payload_bytes"] >= FILES["pack/big.bin"],
		(
			"session counters: %d, net.recv_payload_bytes = %d"
			% [stats.size(), stats["net.recv_payload_bytes"]]
		)
	)


# --- 6 ---


func _advanced() -> void:
	await _read_a_piece()
	if not _ended:
		await _mend_damage()
	if not _ended:
		await _hear_of_one_kind()
	if not _ended:
		await _remove()


func _read_a_piece() -> void:
	_handle.read_piece(7)
	var read: Array = await _handle.piece_read
	var data: PackedByteArray = read[1]
	var context := HashingContext.new()
	context.start(HashingContext.HASH_SHA1)
	context.update(data)
	var is_right := context.finish() == _handle.get_torrent_info().get_piece_hash(read[0])
	expect(is_right, "piece %d is read: %d bytes, hash right" % [read[0], data.size()])


func _mend_damage() -> void:
	# Alone, so that the damage stays for a moment.
	_seed.pause()
	if not await until(func() -> bool: return _handle.get_status().get_num_connections() == 0):
		return
	var path := SAVED + "/pack/big.bin"
	var file := FileAccess.open(path, FileAccess.READ_WRITE)
	file.seek(10 * PIECE + 5)
	file.store_buffer("damage".to_utf8_buffer())
	file.close()
	_handle.force_recheck()
	await _handle.wait_checked()
	var missing := _handle.get_pieces().count(0)
	if not expect(missing == 1, "after damage to a file, a recheck finds %d bad piece" % missing):
		return
	# Who is paused opens to nobody.
	_seed.resume()
	if not await until(func() -> bool: return not _seed.get_status().is_paused()):
		return
	_handle.set_sequential_download(true)
	expect(_handle.is_sequential_download(), "pieces are fetched in order from now on")
	_connect()
	if await _is(_handle, "is_seeding"):
		var same := FileAccess.get_sha256(path) == FileAccess.get_sha256(SHARED + "/pack/big.bin")
		expect(same, "it is fetched again, and the file is whole")


func _hear_of_one_kind() -> void:
	var heard := []
	var listener := func(alert: Dictionary) -> void: heard.append(alert.type_name)
	var alerts := _leecher.get_alert_manager()
	expect(alerts.subscribe("torrent_paused", listener), "a subscription to one kind of alert")
	_handle.pause()
	await until(func() -> bool: return not heard.is_empty())
	expect(heard == ["torrent_paused"], "it heard %s" % [heard])
	expect(alerts.unsubscribe("torrent_paused", listener), "and ends")


func _remove() -> void:
	var hash := _handle.get_info_hash()
	_leecher.remove_torrent(_handle, true)
	await _handle.wait_removed()
	expect(_leecher.get_torrents().is_empty(), "removed with its files")
	expect(not FileAccess.file_exists(SAVED + "/pack/big.bin"), "which are gone")
	expect(not _handle.is_valid(), "the handle knows that it is over")
	expect(_leecher.find_torrent(hash) == null, "and nobody finds it any more")
