extends RefCounted
## Arguments for the random walk: some that a game would give, some that are wrong, some
## absurd. Whatever they are, nothing outside the test's folder and the loopback interface
## can be reached with them.

const LOOPBACK_LISTENING := "127.0.0.1:0"

const INTS: Array[int] = [
	0,
	1,
	2,
	3,
	4,
	5,
	7,
	8,
	9,
	50,
	255,
	256,
	16_384,
	32_768,
	65_535,
	65_536,
	1_000_000,
	(1 << 31) - 1,
	1 << 31,
	(1 << 32) - 1,
	1 << 32,
	1 << 53,
	(1 << 63) - 1,
	1 << 63,
	-1,
	-2,
	-(1 << 31),
]
const FLOATS: Array[float] = [0.0, -0.0, 0.5, -1.0, 1e300, -1e300, 1e-300, INF, -INF, NAN]
const TEXTS: Array[String] = [
	"",
	" ",
	"plain",
	"ünïcödé 漢字 🎮",
	"../../up",
	"/",
	"..",
	".",
	"a/../../b",
	"back\\slash\\..",
	"C:\\windows\\system32",
	"\\\\server\\share",
	"con",
	"a\nb\r\tc\u001b[31m",
	"\u0001\u0002\u007f",
	"\u202eright to left\ufeff",
	"%00%2e%2e%2f",
	"%s %d %n {} {0}",
	"'; --",
	"default",
	"high_throughput",
	"peer",
]
const URLS: Array[String] = [
	"http://127.0.0.1:1/announce",
	"udp://127.0.0.1:1/announce",
	"http://[::1]:1/a?b=c&d=%00",
	"http://127.0.0.1:99999/",
	"http://",
	"http://127.0.0.1:-1/",
	"ftp://127.0.0.1/",
	"file:///nothing",
	"//127.0.0.1",
	"nonsense",
	"",
]
const IPS: Array[String] = [
	"127.0.0.1", "127.0.0.1", "::1", "", "localhost", "1.2.3", "::gg", "\u0001"
]
const RANGES: Array[String] = [
	"203.0.113.7",
	"203.0.113.0/24",
	"203.0.113.9-203.0.113.1",
	"fd00::/8",
	"127.0.0.0/8",
	"0.0.0.0-255.255.255.255",
	"1/2/3",
	"",
	"-",
]
const ALERTS: Array[String] = [
	"torrent_finished", "state_changed", "piece_finished", "add_torrent", "stats", "no_such", ""
]
## Settings that would let others in, or have us look for them.
const UNSAFE: Array[String] = ["listen_", "outgoing_", "proxy", "dht", "lsd", "upnp", "natpmp"]


## Tells when it is freed.
class Witness:
	extends RefCounted
	var last_words := Callable()

	func _notification(what: int) -> void:
		if what == NOTIFICATION_PREDELETE and last_words.is_valid():
			last_words.call()


var random := RandomNumberGenerator.new()
## What is called when an object is freed that a callable held.
var last_words := Callable()
## Paths of all kinds, all of them in the folder of the test.
var paths: Array[String] = []
## What can be downloaded: torrents, broken ones among them.
var torrents: Array[PackedByteArray] = []
## What calls have returned.
var bytes: Array[PackedByteArray] = []
var texts: Array[String] = []
var objects := {}
## The ports that peers can be found at.
var ports: Array[int] = []

var _settings := TorrentSession.get_default_settings()
## What contains itself, and so would never be freed.
var _cycles := []


func chance(part: float) -> bool:
	return random.randf() < part


func any(values: Variant) -> Variant:
	return values[random.randi() % values.size()]


## Arguments for a call. Those that have defaults are left out at times.
func arguments(method: Dictionary) -> Array:
	var count: int = method.args.size()
	if chance(0.3):
		count -= random.randi() % (method.default_args.size() + 1)
	var values := []
	for argument: Dictionary in method.args.slice(0, count):
		values.append(argument_for(method.name, argument))
	return values


## What a call returned is an argument of later ones.
func remember(value: Variant) -> void:
	match typeof(value):
		TYPE_OBJECT:
			keep(value)
		TYPE_ARRAY:
			for item: Variant in value.slice(0, 3):
				remember(item)
		TYPE_PACKED_BYTE_ARRAY:
			if value.size() > 0:
				_put(bytes, value, 12)
		TYPE_STRING:
			if value.length() in range(1, 1000):
				_put(texts, value, 24)


func keep(object: Object) -> void:
	var known: Array = objects.get_or_add(object.get_class(), [])
	if not object in known:
		_put(known, object, 12)


## Lets go of all objects, and of what contains itself.
func forget() -> void:
	for name: String in objects:
		objects[name].clear()
	for cycle: Variant in _cycles:
		cycle.clear()
	_cycles.clear()


func _put(into: Array, value: Variant, limit: int) -> void:
	if into.size() < limit:
		into.append(value)
	else:
		into[random.randi() % limit] = value


func argument_for(method: String, argument: Dictionary) -> Variant:
	match argument.name:
		"settings":
			return settings()
		"params":
			return parameters()
		"path", "new_path", "save_path":
			return path()
		"url":
			return any(URLS)
		"trackers":
			return trackers()
		"ip", "interface_ip", "host":
			return any(IPS)
		"port":
			return any(ports) if chance(0.5) and not ports.is_empty() else integer()
		"ip_range":
			return any(RANGES)
		"torrent_data":
			return any(torrents) if chance(0.7) else data()
		"type_name":
			return any(ALERTS)
		"magnet_uri":
			return magnet()
		"index", "priority", "file_index", "file", "piece", "tier", "level", "category":
			if argument.type == TYPE_INT and chance(0.7):
				return random.randi_range(-1, 9)
		"enabled":
			# A log of everything would fill screens.
			if method == "enable_logging":
				return chance(0.05)
	return of_type(argument)


func of_type(argument: Dictionary) -> Variant:
	match argument.type:
		TYPE_BOOL:
			return chance(0.5)
		TYPE_INT:
			return integer()
		TYPE_FLOAT:
			return any([0.0, 0.001, 1.0, -1.0, 1e300, INF, -INF, NAN])
		TYPE_STRING:
			return text()
		TYPE_PACKED_BYTE_ARRAY:
			return data()
		TYPE_ARRAY:
			return array()
		TYPE_DICTIONARY:
			return dictionary()
		TYPE_CALLABLE:
			return callable()
		TYPE_OBJECT:
			var known: Array = objects.get(str(argument.class_name), [])
			if chance(0.1):
				return null
			return any(known) if known else ClassDB.instantiate(argument.class_name)
	return value()


func integer() -> int:
	return any(INTS) if chance(0.8) else random.randi() << random.randi_range(0, 32)


func text() -> String:
	if chance(0.3) and not texts.is_empty():
		return any(texts)
	if chance(0.01):
		return any(["x", "/", "é", "\n"]).repeat(100 * 1024)
	return any(TEXTS)


func path() -> String:
	if chance(0.03):
		return ""
	return any(paths)


func data() -> PackedByteArray:
	var found := PackedByteArray()
	if chance(0.2):
		for i in random.randi_range(0, 200):
			found.append(random.randi() % 256)
	elif chance(0.02):
		found = any(["d", "l", "i", "0:", "9"]).repeat(100 * 1024).to_utf8_buffer()
	elif not bytes.is_empty():
		found = any(bytes)
		# What is changed within could be an address.
		if chance(0.2):
			found = found.slice(0, random.randi_range(0, found.size()))
	return found


func magnet() -> String:
	var hash := "%08x" % random.randi()
	return any(
		[
			"magnet:?xt=urn:btih:" + hash.repeat(5),
			(
				"magnet:?xt=urn:btih:"
				+ "ab".repeat(20)
				+ "&dn=../../evil&tr="
				+ any(URLS).uri_encode()
			),
			"magnet:?xt=urn:btih:" + hash,
			"magnet:?xt=urn:btih:%s&x.pe=127.0.0.1:1" % hash.repeat(5),
			"magnet:?",
			text(),
		]
	)


func value() -> Variant:
	match random.randi() % 9:
		0:
			return null
		1:
			return chance(0.5)
		2:
			return integer()
		3:
			return any(FLOATS)
		4:
			return array()
		5:
			return dictionary()
		6:
			return data()
		7:
			return Vector3(1, NAN, INF)
	return text()


func array() -> Array:
	match random.randi() % 6:
		0:
			return []
		1:
			var numbers: Array[int] = [1, 2, 3]
			return numbers
		2:
			var itself := []
			itself.append(itself)
			itself.append(itself)
			_cycles.append(itself)
			return itself
		3:
			return [null, 5, 1.5, "text", [], {}, RefCounted.new()]
		4:
			return [[["deep"]], [text()]]
	return [text(), integer(), any(FLOATS)]


func dictionary() -> Dictionary:
	match random.randi() % 5:
		0:
			return {}
		1:
			var itself := {"plain": 1}
			itself["self"] = itself
			_cycles.append(itself)
			return itself
		2:
			return {5: "five", NAN: INF, null: null}
		3:
			var typed: Dictionary[String, int] = {"connections_limit": 5}
			return typed
	return {text(): text(), "url": any(URLS), "tier": integer()}


func trackers() -> Array:
	var found := array()
	if chance(0.7):
		found = [any(URLS), [any(URLS)], {"url": any(URLS), "tier": random.randi_range(-1, 3)}]
	return found


func settings() -> Dictionary:
	var found := dictionary() if chance(0.2) else {}
	if found.is_typed():
		return found
	for i in random.randi_range(0, 4):
		var name: String = any(_settings.keys())
		if UNSAFE.any(func(part: String) -> bool: return part in name):
			continue
		var usual: Variant = _settings[name]
		if chance(0.2):
			found[name] = value()
		elif usual is int:
			found[name] = integer() if chance(0.3) else random.randi_range(0, 100)
		else:
			found[name] = usual
	# The mask of everything, or nothing would be heard.
	if chance(0.5):
		found["alert_mask"] = AlertManager.CATEGORY_ALL
	found["listen_interfaces"] = LOOPBACK_LISTENING
	return found


func parameters() -> Dictionary:
	if chance(0.1):
		return dictionary()
	var found := {"torrent_data": any(torrents), "save_path": path()}
	var more := {
		"file_priorities": [any([0, 4, 7, 8, -1, 1.0, NAN])],
		"trackers": [any(URLS)],
		"flags": [any(["paused", "sequential_download", "upload_mode", "no_such"])],
		"paused": chance(0.5),
		"sequential_download": value(),
		"torrent_data": data(),
		"save_path": any([5, null, ""]),
		"magnet_uri": magnet(),
		"resume_data": data(),
		text(): value(),
	}
	for name: String in more:
		if chance(0.1):
			found[name] = more[name]
	return found


## What is freed with the last callable that holds it.
func witness() -> Witness:
	var found := Witness.new()
	found.last_words = last_words
	return found


func callable() -> Callable:
	match random.randi() % 4:
		0:
			return Callable()
		1:
			var node := Node.new()
			var gone := Callable(node, "queue_free")
			node.free()
			return gone
		2:
			var held := witness()
			return func(..._arguments: Array) -> String: return held.get_class()
	return func(..._arguments: Array) -> String: return "heard"
