extends "res://test/integration/torrent_test.gd"
## Encrypted connections: what a game sets, and what it sees of them.


func encryption_of(handle: TorrentHandle) -> Array:
	return handle.get_peer_info().map(
		func(peer: PeerInfo) -> Array: return [peer.is_encrypted(), peer.get_encryption()]
	)


func test_the_policy_counts_both_ways() -> void:
	var session := TorrentSession.new()
	for policy: int in [0, 1, 2]:
		assert_true(session.set_encryption_policy(policy))
		assert_eq(session.get_settings().in_enc_policy, 2 - policy)
		assert_eq(session.get_settings().out_enc_policy, 2 - policy)
	for policy: int in [-1, 3]:
		assert_false(session.set_encryption_policy(policy))
		assert_push_error("TorrentSession.set_encryption_policy")
		assert_string_contains(session.get_last_error().get_message(), str(policy))
	assert_eq(session.get_settings().in_enc_policy, 0, "nothing was changed")
	assert_false(session.get_settings().prefer_rc4)
	assert_true(session.set_prefer_encrypted(true))
	assert_true(session.get_settings().prefer_rc4)


func test_a_transfer_is_encrypted(
	parameters: Variant = use_parameters(
		[[0, false, ""], [2, false, "plaintext"], [2, true, "rc4"]]
	)
) -> void:
	var seeder := start_session()
	var leecher := start_session()
	for session: TorrentSession in [seeder, leecher]:
		assert_true(session.set_encryption_policy(parameters[0]))
		assert_true(session.set_prefer_encrypted(parameters[1]))
	var data := await half_of_a_seed(seeder)
	var handle := download(leecher, data, seeder)
	await wait_for_half(handle)
	var expected := [[parameters[0] == 2, parameters[2]]]
	assert_eq(encryption_of(handle), expected)
	assert_eq(encryption_of(seeder.get_torrents()[0]), expected)


func test_who_does_not_encrypt_is_not_connected() -> void:
	var seeder := start_session()
	assert_true(seeder.set_encryption_policy(2))
	var leecher := start_session({"alert_mask": AlertManager.CATEGORY_ALL})
	assert_true(leecher.set_encryption_policy(0))
	var data := await half_of_a_seed(seeder)
	var handle := download(leecher, data, seeder)
	await alert_of(leecher, "peer_disconnected")
	assert_true(handle.get_peer_info().is_empty())
