extends RefCounted
## Small things that every demo needs.

const KIB := 1024
const MIB := 1024 * KIB

## Nobody but this machine can be reached, at a port that the system chooses.
const LOOPBACK := {
	"listen_interfaces": "127.0.0.1:0",
	"status_update_interval": 100,
}


## Deletes a folder of a demo's own and all that is in it.
static func remove_tree(path: String) -> void:
	if not DirAccess.dir_exists_absolute(path):
		return
	for name in DirAccess.get_directories_at(path):
		remove_tree(path.path_join(name))
	for name in DirAccess.get_files_at(path):
		DirAccess.remove_absolute(path.path_join(name))
	DirAccess.remove_absolute(path)


## Writes a file and the folders that it lies in.
static func write_file(path: String, bytes: PackedByteArray) -> bool:
	DirAccess.make_dir_recursive_absolute(path.get_base_dir())
	var file := FileAccess.open(path, FileAccess.WRITE)
	return file != null and file.store_buffer(bytes)


## Writes a file that nothing else has the content of.
static func write_random_file(path: String, size: int) -> bool:
	DirAccess.make_dir_recursive_absolute(path.get_base_dir())
	var file := FileAccess.open(path, FileAccess.WRITE)
	if file == null:
		return false
	var crypto := Crypto.new()
	var left := size
	while left > 0:
		if not file.store_buffer(crypto.generate_random_bytes(mini(left, MIB))):
			return false
		left -= MIB
	return true


## The value of an argument such as --port=7000 after the -- of the command line.
static func argument(name: String, default := "") -> String:
	for text in OS.get_cmdline_user_args():
		if text.begins_with("--%s=" % name):
			return text.substr(name.length() + 3)
	return default


static func rate_text(bytes_per_second: int) -> String:
	return String.humanize_size(bytes_per_second) + "/s"


static func peers_text(number: int) -> String:
	return "1 peer" if number == 1 else "%d peers" % number


static func time_text(seconds: int) -> String:
	if seconds < 0:
		return "unknown"
	if seconds < 60:
		return "%d s" % seconds
	if seconds < 3600:
		return "%d min %02d s" % [seconds / 60, seconds % 60]
	return "%d h %02d min" % [seconds / 3600, seconds / 60 % 60]


## Ends sessions and waits until their files are closed and their ports are free.
static func stop(sessions: Array[TorrentSession]) -> void:
	for session in sessions:
		session.stop_session()
	for session in sessions:
		await session.wait_stopped()
