extends RefCounted
## Something to download where there is nobody else: a second session on this machine
## that seeds a folder of random data. The transfer is a real one, over loopback.

const Tools := preload("res://demo/common/tools.gd")

const FOLDER := "user://download_manager_example"
## Slow enough that there is something to watch.
const RATE := 32 * Tools.MIB
## The files and their sizes.
const FILES := {
	"example_pack/world.bin": 160 * Tools.MIB,
	"example_pack/music/theme.bin": 24 * Tools.MIB,
	"example_pack/music/credits.bin": 8 * Tools.MIB,
	"example_pack/read_me.txt": 4 * Tools.KIB,
}


## The settings of the session that seeds.
static func settings() -> Dictionary:
	return Tools.LOOPBACK.merged({"upload_rate_limit": RATE})


## Makes the data and its torrent, and seeds it. The bytes of the torrent; empty where
## that failed.
static func prepare(session: TorrentSession) -> PackedByteArray:
	Tools.remove_tree(FOLDER)
	for name: String in FILES:
		if not Tools.write_random_file(FOLDER.path_join(name), FILES[name]):
			return PackedByteArray()
	var creator := TorrentCreator.new()
	creator.add_directory(FOLDER + "/example_pack")
	creator.set_piece_size(256 * Tools.KIB)
	creator.generate()
	var data: PackedByteArray = await creator.wait_completed()
	var handle := session.add_torrent_file(data, FOLDER)
	if handle == null:
		return PackedByteArray()
	var seeds: bool = await handle.wait_finished()
	return data if seeds else PackedByteArray()


static func clean_up() -> void:
	Tools.remove_tree(FOLDER)
