extends "res://test/integration/torrent_test.gd"
## PeerInfo: both ends of one connection that has come to a halt in the middle, and an
## object that stands for nobody.

var _seeder: TorrentSession = null
## The seed as the downloader sees it, and the other way round.
var _seed: PeerInfo = null
var _leech: PeerInfo = null


func before_each() -> void:
	super()
	_seeder = start_session()
	var data := await half_of_a_seed(_seeder)
	var handle := download(start_session(), data, _seeder)
	await wait_for_half(handle)
	var seed_handle := _seeder.get_torrents()[0]
	# Until the last messages are through, and each knows what the other has.
	var is_quiet := func() -> bool:
		_seed = handle.get_peer_info()[0] if handle.get_peer_info().size() == 1 else null
		var peers := seed_handle.get_peer_info()
		_leech = peers[0] if peers.size() == 1 else null
		return (
			_seed != null
			and _leech != null
			and _leech.get_pieces_downloaded() == 32
			and _seed.get_download_queue_length() == 0
			and not _seed.is_interesting()
			and not _leech.is_remote_interested()
			and _seed.is_remote_choked() == _leech.is_choked()
		)
	assert_true(await wait_until(is_quiet, LIMIT), "half of it is there")


func after_each() -> void:
	_seeder = null
	_seed = null
	_leech = null
	await super()


func test_who_it_is() -> void:
	assert_eq(_seed.get_ip(), "127.0.0.1")
	assert_eq(_seed.get_port(), port_of(_seeder))
	assert_eq(_leech.get_ip(), "127.0.0.1")
	assert_ne(_leech.get_port(), _seed.get_port())
	assert_string_starts_with(_seed.get_client(), "godot-torrent")
	assert_eq(_seed.get_client(), _leech.get_client())
	assert_eq(_seed.get_peer_id().length(), 40)
	assert_true(_seed.get_peer_id().is_valid_hex_number())
	assert_ne(_seed.get_peer_id(), _leech.get_peer_id())
	assert_eq(_seed.get_country(), "", "nobody has said how to know")


func test_how_it_is_connected() -> void:
	assert_eq(_seed.get_connection_type(), "tcp")
	assert_string_contains(_seed.get_source(), "manual")
	assert_string_contains(_leech.get_source(), "incoming")
	assert_false(_seed.is_incoming())
	assert_true(_leech.is_incoming())
	assert_true(_seed.is_local())
	assert_eq(_leech.get_rtt(), 0, "it called us")
	assert_between(_seed.get_rtt(), 0, 30_000)
	assert_eq(_seed.get_failcount(), 0)


func test_what_it_has() -> void:
	assert_false(_seed.is_seed())
	assert_almost_eq(_seed.get_progress(), 0.5, 0.001)
	assert_eq(_seed.get_pieces_downloaded(), 32)
	assert_eq(_seed.get_pieces().size(), 64)
	assert_eq(_seed.get_pieces().slice(0, 32).count(1), 32)
	assert_eq(_seed.get_pieces().count(1), 32)
	assert_almost_eq(_leech.get_progress(), 0.5, 0.001)


func test_what_went_through() -> void:
	assert_eq(_seed.get_total_download(), MIB / 2)
	assert_eq(_seed.get_total_upload(), 0)
	assert_eq(_leech.get_total_upload(), MIB / 2)
	assert_eq(_leech.get_total_download(), 0)
	assert_between(_seed.get_last_request(), 0, int(LIMIT))
	assert_eq(_leech.get_last_request(), -1, "nothing was asked of it")
	assert_between(_seed.get_last_active(), 0, int(LIMIT))
	assert_gte(_seed.get_download_rate(), _seed.get_payload_download_rate())
	assert_gte(_leech.get_upload_rate(), _leech.get_payload_upload_rate())
	assert_eq(_seed.get_payload_upload_rate(), 0)
	assert_eq(_leech.get_payload_download_rate(), 0)


func test_what_is_on_its_way() -> void:
	assert_eq(_seed.get_download_queue_length(), 0)
	assert_eq(_leech.get_upload_queue_length(), 0)
	assert_gt(_seed.get_target_download_queue_length(), 0)
	assert_eq(_seed.get_downloading_piece_index(), -1)
	assert_eq(_seed.get_downloading_block_index(), -1)
	assert_eq(_seed.get_downloading_progress(), 0)
	assert_eq(_seed.get_downloading_total(), 0)


func test_who_wants_what() -> void:
	assert_false(_seed.is_interesting(), "all that it has is here")
	assert_false(_leech.is_remote_interested())
	assert_false(_seed.is_remote_interested(), "we have nothing that it lacks")
	assert_false(_leech.is_interesting())
	assert_eq(_seed.is_remote_choked(), _leech.is_choked(), "both ends say the same")
	assert_false(_seed.is_snubbed())
	assert_false(_seed.is_optimistic_unchoke())
	assert_false(_seed.is_on_parole())
	assert_eq(_seed.get_num_hashfails(), 0)


func test_the_dictionary_says_what_the_getters_say() -> void:
	var dictionary := _seed.get_peer_dictionary()
	assert_gt(dictionary.size(), 30)
	for name: String in dictionary:
		var getter := name if _seed.has_method(name) else "get_" + name
		assert_true(_seed.has_method(getter), getter)
		if name == "pieces":
			assert_eq(Array(_seed.get_pieces()).count(1), 32)
		elif _seed.has_method(getter):
			assert_eq(_seed.call(getter), dictionary[name], getter)


func test_the_country_is_what_the_resolver_says() -> void:
	PeerInfo.set_country_resolver(func(ip: String) -> String: return ip.left(3))
	assert_eq(_seed.get_country(), "127")
	PeerInfo.set_country_resolver(func(_ip: String) -> int: return 5)
	assert_eq(_seed.get_country(), "", "a number is no country")
	PeerInfo.set_country_resolver(Callable())
	assert_eq(_seed.get_country(), "")


func test_nobody() -> void:
	var peer := PeerInfo.new()
	assert_eq(peer.get_ip(), "")
	assert_eq(peer.get_port(), 0)
	assert_eq(peer.get_pieces().size(), 0)
	assert_eq(peer.get_progress(), 0.0)
	assert_false(peer.is_seed())
	assert_eq(peer.get_peer_dictionary().size(), _seed.get_peer_dictionary().size())
