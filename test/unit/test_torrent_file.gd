extends "res://test/integration/torrent_test.gd"
## TorrentFile: the resource that a .torrent file of the project becomes.


func make() -> TorrentFile:
	write_file(folder + "/pack/a.bin", content(100_000))
	write_file(folder + "/pack/b/c.txt", content(7))
	var creator := TorrentCreator.new()
	creator.add_directory(folder + "/pack")
	creator.set_piece_size(16 * KIB)
	creator.add_tracker("http://127.0.0.1:1/announce")
	creator.set_comment("a comment")
	creator.set_private(true)
	var torrent := TorrentFile.new()
	torrent.data = creator.generate_blocking()
	return torrent


func test_it_says_what_is_in_the_bytes() -> void:
	var torrent := make()
	var info := TorrentInfo.from_data(torrent.data)
	assert_eq(torrent.name, "pack")
	assert_eq(torrent.size, 100_007)
	assert_eq(torrent.info_hash, info.get_info_hash())
	assert_eq(torrent.files.size(), 2)
	assert_string_starts_with(torrent.files[0], "pack/a.bin (")
	assert_eq(torrent.piece_size, 16 * KIB)
	assert_eq(torrent.pieces, 7)
	assert_eq(Array(torrent.trackers), ["http://127.0.0.1:1/announce"])
	assert_true(torrent.private)
	assert_eq(torrent.comment, "a comment")
	assert_eq(torrent.get_info().get_info_hash(), torrent.info_hash)
	assert_string_contains(str(torrent), torrent.info_hash)


func test_without_bytes_it_is_empty() -> void:
	var torrent := TorrentFile.new()
	assert_eq(torrent.name, "")
	assert_eq(torrent.size, 0)
	assert_eq(torrent.files.size(), 0)
	assert_null(torrent.get_info())


func test_other_bytes_are_an_error_and_empty() -> void:
	var torrent := make()
	watch_signals(torrent)
	torrent.data = "no torrent".to_utf8_buffer()
	assert_signal_emitted(torrent.changed)
	# What is wrong with them is told once, when it is first asked for.
	assert_null(torrent.get_info())
	assert_push_error("TorrentInfo.from_data")
	assert_push_error_count(1)
	assert_eq(torrent.name, "")
	assert_eq(torrent.trackers.size(), 0)


func test_only_the_bytes_are_saved() -> void:
	var torrent := make()
	assert_eq(ResourceSaver.save(torrent, folder + "/saved.tres"), OK)
	var text := FileAccess.get_file_as_string(folder + "/saved.tres")
	assert_string_contains(text, "data = PackedByteArray")
	assert_false("info_hash" in text)
	var loaded: TorrentFile = load(folder + "/saved.tres")
	assert_eq(loaded.data, torrent.data)
	assert_eq(loaded.name, "pack")


func test_what_is_shown_cannot_be_changed() -> void:
	var usages := {}
	for property in make().get_property_list():
		usages[property.name] = property.usage
	assert_eq(usages.data & PROPERTY_USAGE_EDITOR, 0)
	assert_ne(usages.data & PROPERTY_USAGE_STORAGE, 0)
	for name in TorrentFile.SHOWN:
		assert_eq(usages[name], PROPERTY_USAGE_EDITOR | PROPERTY_USAGE_READ_ONLY, name)
