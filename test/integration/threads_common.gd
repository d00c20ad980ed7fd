extends RefCounted
## Which methods any thread may call, and what the scripts about threads share.

const SETTINGS := {"listen_interfaces": "127.0.0.1:0", "allow_multiple_connections_per_ip": true}

## Classes all of whose methods any thread may call.
const FREE: Array[String] = ["TorrentInfo", "TorrentStatus", "PeerInfo", "TorrentError"]
## What any thread may call although its name does not begin like that.
const READS: Array[String] = [
	"have_piece", "find_torrent", "need_save_resume_data", "clear_last_error"
]

## The library's classes.
static var classes: Array = _classes()


## Those that the library has registered, known by what a session refers to.
static func _classes() -> Array:
	var found := Array(ClassDB.get_class_list()).filter(
		func(name: String) -> bool:
			return (
				ClassDB.class_get_api_type(name) == ClassDB.API_EXTENSION
				and ClassDB.can_instantiate(name)
			)
	)
	return found


## The methods of a class itself.
static func methods(name: String) -> Array[Dictionary]:
	return ClassDB.class_get_method_list(name, true)


static func reads(name: String, method: String) -> bool:
	return (
		name in FREE
		or method in READS
		or method.begins_with("get_")
		or method.begins_with("is_")
		# What it returns answers on the main thread.
		or method.begins_with("wait_")
	)


## Arguments that a method takes.
static func arguments(method: Dictionary, special := {}) -> Array:
	return method.args.map(
		func(argument: Dictionary) -> Variant:
			if special.has(argument.name):
				return special[argument.name]
			if argument.type == TYPE_OBJECT:
				return null
			return type_convert(null, argument.type)
	)


## Whether a value is the one of a call that failed.
static func is_failure(value: Variant) -> bool:
	return (
		value == null
		or typeof(value) == TYPE_INT and value == -1
		or value == type_convert(null, typeof(value))
	)
