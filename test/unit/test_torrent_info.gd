extends "res://test/integration/torrent_test.gd"
## TorrentInfo: what a torrent file says, and how bad ones are refused.


## A torrent of three files: 100 000, 7 and 50 000 bytes in pieces of 16 KiB.
func make_three() -> PackedByteArray:
	write_file(folder + "/pack/a.bin", content(100_000, 1))
	write_file(folder + "/pack/b/c.txt", content(7, 2))
	write_file(folder + "/pack/d.bin", content(50_000, 3))
	var creator := TorrentCreator.new()
	assert_true(creator.add_directory(folder + "/pack"))
	creator.set_piece_size(16 * KIB)
	creator.set_comment("for a test")
	creator.set_creator("the tests")
	creator.set_creation_date(1_700_000_000)
	creator.set_source("nowhere")
	creator.set_private(true)
	creator.add_tracker("http://127.0.0.1:1/announce")
	creator.add_tracker("http://127.0.0.1:2/announce", 1)
	return creator.generate_blocking()


func test_everything_can_be_read() -> void:
	var info := TorrentInfo.from_data(make_three())
	assert_true(info.is_valid())
	assert_eq(info.get_name(), "pack")
	assert_eq(info.get_total_size(), 150_007)
	assert_eq(info.get_comment(), "for a test")
	assert_eq(info.get_creator(), "the tests")
	assert_eq(info.get_creation_date(), 1_700_000_000)
	assert_eq(info.get_source(), "nowhere")
	assert_true(info.is_private())
	assert_eq(info.get_info_hash().length(), 40)
	assert_eq(info.get_piece_size(), 16 * KIB)
	assert_eq(info.get_piece_length(), 16 * KIB)
	assert_eq(info.get_piece_count(), 10)
	assert_eq(info.get_num_pieces(), 10)
	assert_eq(info.get_piece_size_at(0), 16 * KIB)
	assert_eq(info.get_piece_size_at(9), 150_007 - 9 * 16 * KIB)
	assert_eq_deep(
		info.get_trackers(),
		[
			{"url": "http://127.0.0.1:1/announce", "tier": 0},
			{"url": "http://127.0.0.1:2/announce", "tier": 1},
		]
	)
	assert_eq(info.get_web_seeds().size(), 0)
	assert_eq(info.get_nodes().size(), 0)
	assert_string_starts_with(info.get_magnet_uri(), "magnet:?xt=urn:btih:" + info.get_info_hash())


func test_its_files() -> void:
	var info := TorrentInfo.from_data(make_three())
	assert_eq(info.get_file_count(), 3)
	assert_eq(info.get_num_files(), 3)
	var files := info.get_files()
	assert_eq(
		files.map(func(file: Dictionary) -> String: return file.path),
		["pack/a.bin", "pack/b/c.txt", "pack/d.bin"]
	)
	assert_eq(files.map(func(file: Dictionary) -> int: return file.size), [100_000, 7, 50_000])
	assert_eq(files.map(func(file: Dictionary) -> int: return file.offset), [0, 100_000, 100_007])
	for index in 3:
		assert_eq_deep(info.get_file_at(index), files[index])
		assert_eq(info.get_file_path_at(index), files[index].path)
		assert_eq(info.get_file_size_at(index), files[index].size)
	assert_eq(files[1].name, "c.txt")
	assert_eq(files[1].index, 1)
	assert_false(files[1].pad)


func test_piece_hashes_are_those_of_the_content() -> void:
	var info := TorrentInfo.from_data(make_torrent(40_000, 16 * KIB))
	var bytes := content(40_000)
	for piece in 3:
		var hashing := HashingContext.new()
		hashing.start(HashingContext.HASH_SHA1)
		hashing.update(bytes.slice(piece * 16 * KIB, (piece + 1) * 16 * KIB))
		assert_eq(info.get_piece_hash(piece), hashing.finish(), "piece %d" % piece)


func test_bytes_of_a_piece_are_found_in_the_files() -> void:
	var info := TorrentInfo.from_data(make_three())
	# Piece 6 begins at 98 304 and reaches over all three files.
	assert_eq_deep(
		info.map_block(6, 0, 16 * KIB),
		[
			{"file_index": 0, "offset": 98_304, "size": 1_696},
			{"file_index": 1, "offset": 0, "size": 7},
			{"file_index": 2, "offset": 0, "size": 16 * KIB - 1_696 - 7},
		]
	)
	assert_eq_deep(info.map_block(6, 1_700, 2), [{"file_index": 1, "offset": 4, "size": 2}])
	assert_eq_deep(info.map_file(2, 10, 5), {"piece_index": 6, "start": 1_713, "length": 5})


func test_what_does_not_exist_is_an_error() -> void:
	var info := TorrentInfo.from_data(make_three())
	for index: int in [-1, 3, 1 << 40]:
		assert_eq_deep(info.get_file_at(index), {})
		assert_push_error("TorrentInfo.get_file_at")
		assert_eq(info.get_file_path_at(index), "")
		assert_push_error("TorrentInfo.get_file_path_at")
		assert_eq(info.get_file_size_at(index), 0)
		assert_push_error("TorrentInfo.get_file_size_at")
		assert_eq_deep(info.map_file(index, 0, 1), {})
		assert_push_error("TorrentInfo.map_file")
	for index: int in [-1, 10, 1 << 40]:
		assert_eq(info.get_piece_size_at(index), 0)
		assert_push_error("TorrentInfo.get_piece_size_at")
		assert_eq(info.get_piece_hash(index).size(), 0)
		assert_push_error("TorrentInfo.get_piece_hash")
		assert_eq_deep(info.map_block(index, 0, 1), [])
		assert_push_error("TorrentInfo.map_block")


func test_bytes_outside_are_an_error() -> void:
	var info := TorrentInfo.from_data(make_three())
	for run: Array in [[-1, 1], [0, -1], [16 * KIB, 1], [0, 16 * KIB + 1], [1 << 62, 1 << 62]]:
		assert_eq_deep(info.map_block(0, run[0], run[1]), [])
		assert_push_error("TorrentInfo.map_block")
	for run: Array in [[-1, 1], [0, 8], [7, 1], [1 << 62, 1 << 62]]:
		assert_eq_deep(info.map_file(1, run[0], run[1]), {})
		assert_push_error("TorrentInfo.map_file")


func test_a_file_can_be_read_by_its_path() -> void:
	var data := make_torrent(1000)
	write_file(folder + "/x.torrent", data)
	var info := TorrentInfo.from_file(folder + "/x.torrent")
	assert_not_null(info)
	assert_eq(info.get_info_hash(), TorrentInfo.from_data(data).get_info_hash())
	assert_eq(info.to_data(), data)
	var absolute := ProjectSettings.globalize_path(folder + "/x.torrent")
	assert_not_null(TorrentInfo.from_file(absolute))


func test_what_is_no_torrent_is_refused() -> void:
	var good := make_torrent(1000)
	var bad: Array[PackedByteArray] = [
		PackedByteArray(),
		"nonsense".to_utf8_buffer(),
		"de".to_utf8_buffer(),
		"i5e".to_utf8_buffer(),
		good.slice(0, good.size() - 5),
		good.slice(1),
		"l".repeat(100_000).to_utf8_buffer(),
		"d4:infod6:lengthi-5e4:name1:a12:piece lengthi16384e6:pieces0:ee".to_utf8_buffer(),
		"d4:infod6:lengthi5e4:name1:a12:piece lengthi0e6:pieces0:ee".to_utf8_buffer(),
		"d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces3:abcee".to_utf8_buffer(),
	]
	for data in bad:
		assert_null(TorrentInfo.from_data(data))
		assert_push_error("TorrentInfo.from_data")


func test_a_path_that_cannot_be_read_is_named() -> void:
	write_file(folder + "/bad.torrent", "nonsense".to_utf8_buffer())
	for path: String in [folder + "/missing.torrent", folder + "/bad.torrent", ""]:
		assert_null(TorrentInfo.from_file(path))
		assert_push_error("TorrentInfo.from_file")
	assert_push_error_count(3)
	assert_true(
		get_errors().any(func(error: Variant) -> bool: return error.contains_text("bad.torrent"))
	)


func test_a_folder_or_a_huge_file_is_no_torrent() -> void:
	assert_null(TorrentInfo.from_file(folder))
	assert_push_error("TorrentInfo.from_file")
	# A hole of 8 GiB, of which nothing must be read into memory.
	var file := FileAccess.open(folder + "/huge.torrent", FileAccess.WRITE)
	file.seek((1 << 33) - 1)
	file.store_8(0)
	file.close()
	assert_null(TorrentInfo.from_file(folder + "/huge.torrent"))
	assert_push_error("huge.torrent")


func test_a_new_one_is_empty() -> void:
	var info := TorrentInfo.new()
	assert_false(info.is_valid())
	assert_eq(info.get_name(), "")
	assert_eq(info.get_total_size(), 0)
	assert_eq(info.get_file_count(), 0)
	assert_eq(info.get_files().size(), 0)
	assert_eq(info.get_trackers().size(), 0)
	assert_eq(info.to_data().size(), 0)
	assert_eq_deep(info.get_file_at(0), {})
	assert_push_error("TorrentInfo.get_file_at")
