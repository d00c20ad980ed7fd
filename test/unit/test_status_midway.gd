extends "res://test/integration/torrent_test.gd"
## TorrentStatus, PeerInfo and the download queue while blocks are under way: from a peer
## that sends no byte more than the test wants.

const ScriptedPeer := preload("res://test/integration/scripted_peer.gd")

const BLOCK := 16 * KIB
const PIECE := 4 * BLOCK
## Three pieces, and one of a block and a short one.
const SIZE := 3 * PIECE + BLOCK + 3_616

var _peer: ScriptedPeer = null
var _data := PackedByteArray()
var _handle: TorrentHandle = null


## A download from the scripted peer that has asked for the whole last piece.
func _begin(settings := {}) -> void:
	_data = make_torrent(SIZE, PIECE)
	_peer = _scripted("127.0.0.1")
	_handle = start_session(settings).add_torrent_file(_data, folder + "/save")
	assert_true(_handle.set_piece_priority(3, 7))
	assert_true(_handle.connect_peer("127.0.0.1", _peer.get_meta("port")))
	var has_asked := func() -> bool: return _requests_of(3).size() == 2
	assert_true(await wait_until(has_asked, LIMIT), "it asks for the last piece")


func after_each() -> void:
	_peer = null
	_handle = null
	await super()


func _scripted(address: String) -> ScriptedPeer:
	var peer := ScriptedPeer.new()
	add_child_autofree(peer)
	peer.set_meta("port", peer.open(TorrentInfo.from_data(_data), address))
	return peer


func _requests_of(piece: int) -> Array[Vector3i]:
	return _peer.requests.filter(func(it: Vector3i) -> bool: return it.x == piece)


func _bytes_of(request: Vector3i) -> PackedByteArray:
	var begin := request.x * PIECE + request.y
	return content(SIZE).slice(begin, begin + request.z)


## The scripted peer as the session sees it.
func _seen() -> PeerInfo:
	var peers := _handle.get_peer_info()
	return peers[0] if peers.size() == 1 else PeerInfo.new()


## Waits until so many bytes of a block are shown, and holds everything shown of it
## against the request that it answers.
func _assert_under_way(request: Vector3i, bytes: int) -> void:
	var is_shown := func() -> bool:
		var status := _handle.get_status()
		return (
			status.get_downloading_progress() == bytes
			and status.get_downloading_block_index() == request.y / BLOCK
		)
	assert_true(await wait_until(is_shown, LIMIT), "%d bytes of %s" % [bytes, request])
	for shown: Variant in [_handle.get_status(), _seen()]:
		assert_eq(shown.get_downloading_piece_index(), request.x)
		assert_eq(shown.get_downloading_block_index(), request.y / BLOCK)
		assert_eq(shown.get_downloading_progress(), bytes)
		assert_eq(shown.get_downloading_total(), request.z)


func test_the_block_under_way() -> void:
	await _begin()
	var whole: Vector3i = _requests_of(3).filter(func(it: Vector3i) -> bool: return it.y == 0)[0]
	var short: Vector3i = _requests_of(3).filter(func(it: Vector3i) -> bool: return it.y > 0)[0]
	assert_eq([whole.z, short.z], [BLOCK, 3_616])
	assert_eq(_handle.get_status().get_downloading_piece_index(), -1, "nothing has come")
	var bytes := _bytes_of(whole)
	_peer.send_block(whole, bytes, 5_000)
	await _assert_under_way(whole, 5_000)
	_peer.send(bytes.slice(5_000, 9_001))
	await _assert_under_way(whole, 9_001)
	_peer.send(bytes.slice(9_001))
	_peer.send_block(short, _bytes_of(short), 100)
	await _assert_under_way(short, 100)
	_peer.send(_bytes_of(short).slice(100))
	var has_asked := func() -> bool: return _peer.requests.any(_is_of_another_piece)
	assert_true(await wait_until(has_asked, LIMIT), "it asks for another piece")
	var other := _requests_of(_peer.requests.filter(_is_of_another_piece)[0].x)[0]
	_peer.send_block(other, _bytes_of(other), 1)
	await _assert_under_way(other, 1)
	var is_whole := func() -> bool: return _handle.get_status().get_pieces_downloaded() == 1
	assert_true(await wait_until(is_whole, LIMIT), "the last piece is whole")


func _is_of_another_piece(request: Vector3i) -> bool:
	return request.x != 3


func test_what_was_asked_for_is_in_the_queues() -> void:
	await _begin({"max_out_request_queue": 2})
	var is_shown := func() -> bool: return _seen().get_download_queue_length() == 2
	assert_true(await wait_until(is_shown, LIMIT), "two requests are out")
	assert_eq(_peer.requests.size(), 2, str(_peer.requests))
	# What is going to be asked for next may be there already.
	var is_last := func(it: Dictionary) -> bool: return it.piece_index == 3
	var queue := _handle.get_download_queue().filter(is_last)
	assert_eq(queue.size(), 1)
	var piece: Dictionary = queue[0]
	assert_eq([piece.blocks_in_piece, piece.requested, piece.finished], [2, 2, 0])
	for index in 2:
		var block: Dictionary = piece.blocks[index]
		assert_eq(block.peer, "127.0.0.1:%d" % _peer.get_meta("port"))
		assert_eq([block.block_size, block.num_peers], [[BLOCK, 1], [3_616, 1]][index])
	var first := _requests_of(3)[0]
	_peer.send_block(first, _bytes_of(first))
	var is_one_here := func() -> bool:
		var pieces := _handle.get_download_queue()
		return pieces.any(func(it: Dictionary) -> bool: return it.finished == 1)
	assert_true(await wait_until(is_one_here, LIMIT), "one block is here")


func test_a_seed_among_the_peers() -> void:
	var before := int(Time.get_unix_time_from_system())
	await _begin()
	var is_shown := func() -> bool: return _handle.get_status().get_num_seeds() == 1
	assert_true(await wait_until(is_shown, LIMIT))
	var status := _handle.get_status()
	assert_eq(status.get_num_peers(), 1)
	assert_eq(status.get_list_seeds(), 1)
	var now := int(Time.get_unix_time_from_system())
	assert_between(status.get_last_seen_complete(), before, now)
	assert_true(_seen().is_seed())
	assert_eq(_seen().get_progress(), 1.0)
	assert_eq(status.get_distributed_copies(), 1.0)


func test_bytes_that_came_twice() -> void:
	await _begin()
	var request := _requests_of(3)[0]
	_peer.send_block(request, _bytes_of(request))
	_peer.send_block(request, _bytes_of(request))
	var is_counted := func() -> bool:
		return _handle.get_status().get_total_redundant_bytes() == request.z
	assert_true(await wait_until(is_counted, LIMIT))


func test_a_peer_that_owes_us_blocks() -> void:
	await _begin()
	assert_false(_seen().is_snubbed())
	assert_true(_sessions[-1].apply_settings({"request_timeout": 2}))
	assert_true(await wait_until(func() -> bool: return _seen().is_snubbed(), LIMIT))
	assert_lt(_seen().get_download_queue_length(), _peer.requests.size(), "others may have it")


func test_a_peer_that_was_not_there_at_first() -> void:
	_data = make_torrent(SIZE, PIECE)
	_peer = _scripted("127.0.0.1")
	_peer.refusals = 1
	_handle = start_session({"min_reconnect_time": 1}).add_torrent_file(_data, folder + "/save")
	assert_true(_handle.connect_peer("127.0.0.1", _peer.get_meta("port")))
	var is_there := func() -> bool: return not _peer.requests.is_empty()
	assert_true(await wait_until(is_there, LIMIT), "it is tried again")
	assert_eq(_peer.refusals, 0)
	var is_shown := func() -> bool: return _seen().get_failcount() == 1
	assert_true(await wait_until(is_shown, LIMIT), "it failed once")


func test_two_liars() -> void:
	_data = make_torrent(PIECE, PIECE)
	var settings := {"max_out_request_queue": 2}
	_handle = start_session(settings).add_torrent_file(_data, folder + "/save")
	var liars: Array[ScriptedPeer] = [_scripted("127.0.0.1"), _scripted("127.0.0.2")]
	for number in 2:
		var port: int = liars[number].get_meta("port")
		assert_true(_handle.connect_peer("127.0.0.%d" % (number + 1), port))
	# Half of the piece from each, so that nobody knows who it was.
	var are_asked := func() -> bool:
		return liars.all(func(it: ScriptedPeer) -> bool: return it.requests.size() == 2)
	assert_true(await wait_until(are_asked, LIMIT), "each is asked for a half")
	var lie := PackedByteArray()
	lie.resize(BLOCK)
	for liar in liars:
		for request: Vector3i in liar.requests.duplicate():
			liar.send_block(request, lie)
	var are_suspected := func() -> bool:
		var peers := _handle.get_peer_info()
		return peers.size() == 2 and peers.all(func(it: PeerInfo) -> bool: return it.is_on_parole())
	assert_true(await wait_until(are_suspected, LIMIT), "both are suspected")
	for peer in _handle.get_peer_info():
		assert_eq(peer.get_num_hashfails(), 1)
	var is_counted := func() -> bool: return _handle.get_status().get_total_failed_bytes() == PIECE
	assert_true(await wait_until(is_counted, LIMIT), "one piece was no good")
