extends RefCounted
## Calls methods of all classes of the library at random, as the ClassDB lists them, on
## objects in random states, and keeps what should not have happened.

const Values = preload("res://test/integration/random_values.gd")

## The classes, and how often one of them gets a call.
const CLASSES := {
	"TorrentSession": 30,
	"TorrentHandle": 40,
	"AlertManager": 8,
	"TorrentCreator": 8,
	"TorrentInfo": 5,
	"TorrentStatus": 4,
	"PeerInfo": 2,
	"TorrentError": 2,
	"TorrentLogger": 3,
}
## Other games are kept out while these are set: a session listens on loopback only.
const SAFE := {"listen_interfaces": Values.LOOPBACK_LISTENING, "status_update_interval": 20}
## Where a session listens is changed only while it does not.
const EXPOSING: Array[String] = [
	"set_listen_port", "set_listen_port_range", "enable_ipv6", "bind_network_interface"
]
## How errors begin that are no call's.
const BACKGROUND: Array[String] = ["TorrentSession: ", "TorrentCreator.generate: "]
const SESSIONS := 4
## No call may keep a core busy for longer, wherever the system tells.
const WORK_USEC := 1_000_000
## But these, which say so.
const WORKING: Array[String] = ["TorrentCreator.generate_blocking"]
## Nothing that a game calls may hold it up for longer: in ticks of a thread of its own, so
## that time in which the machine does something else does not count. A slow disk does.
const PATIENCE := 20_000
const TICK_USEC := 1_000
## Returns when the disk says that it has everything, however long that takes.
const WAITING_FOR_THE_DISK: Array[String] = ["TorrentCreator.save_to_file"]
## Errors repeat what was wrong, but not at any length.
const LONGEST_ERROR := 2000


## Hears what Godot prints as an error.
class Listener:
	extends Logger
	## "Class.method" of the call that is made.
	var place := ""
	var documented := 0
	var unexpected: Array[String] = []
	var _mutex := Mutex.new()

	func _log_error(
		function: String,
		_file: String,
		_line: int,
		code: String,
		rationale: String,
		_editor_notify: bool,
		_error_type: int,
		_script_backtraces: Array[ScriptBacktrace]
	) -> void:
		_mutex.lock()
		var of_call := place != "" and code.begins_with(place + ": ")
		var of_background := BACKGROUND.any(code.begins_with)
		if (
			function == "push_error"
			and (of_call or of_background)
			and code.length() < LONGEST_ERROR
		):
			documented += 1
		elif unexpected.size() < 20:
			unexpected.append("%s: %s %s (%s)" % [place, code.left(500), rationale, function])
		_mutex.unlock()


## Counts the milliseconds in which threads of this program get their turn.
class Clock:
	extends RefCounted
	var ticks := 0
	var _thread := Thread.new()
	var _ends := false

	func _init() -> void:
		_thread.start(_count)

	func end() -> void:
		_ends = true
		_thread.wait_to_finish()

	func _count() -> void:
		while not _ends:
			OS.delay_usec(TICK_USEC)
			ticks += 1


var values := Values.new()
var clock := Clock.new()
var listener := Listener.new()
## What should not have happened.
var complaints: Array[String] = []
## How often each method was called.
var calls := {}
var call_count := 0
## How often each signal was heard.
var signals := {}
var longest_usec := 0
var longest_call := ""

var _methods := {}
## Where each class's turn of all its methods has come to.
var _turns := {}
var _depth := 0
## Whether a call is made, and nothing of the walk's own is being changed.
var _calling := false
var _ended := false
var _trace := OS.get_environment("TORRENT_WALK_TRACE") != ""
var _main_thread := OS.get_thread_caller_id()


func _init(walk_seed: int) -> void:
	values.random.seed = walk_seed
	values.last_words = _on_last_words
	for name: String in CLASSES:
		_methods[name] = ClassDB.class_get_method_list(name, true).filter(
			func(method: Dictionary) -> bool: return not method.name.begins_with("_")
		)


## Every method that could be called, as "Class.method".
func all_methods() -> Array[String]:
	var all: Array[String] = []
	for name: String in _methods:
		for method: Dictionary in _methods[name]:
			all.append("%s.%s" % [name, method.name])
	return all


## One call, or a change of what there is to be called.
func step() -> void:
	var outer := _calling
	_calling = false
	_step()
	_calling = outer


func _step() -> void:
	if values.chance(0.01):
		_forget_something()
	var name := _any_class()
	var object := _any_object(name)
	if values.chance(0.02):
		assert(str(object).begins_with(name))
	_call(name, object, _any_method(name))


## Lets go of everything. What still runs ends by itself: signals that come meanwhile
## lead to nothing new.
func end() -> void:
	_ended = true
	clock.end()
	values.forget()


func sessions() -> Array:
	return values.objects.get("TorrentSession", [])


func _any_class() -> String:
	var left := values.random.randi() % 102
	for name: String in CLASSES:
		left -= CLASSES[name]
		if left < 0:
			return name
	return "TorrentHandle"


## Any method, and now and then the one whose turn it is: none is left out by chance.
func _any_method(name: String) -> Dictionary:
	if values.chance(0.7):
		return values.any(_methods[name])
	var turn: int = _turns.get(name, 0)
	_turns[name] = (turn + 1) % _methods[name].size()
	return _methods[name][turn]


func _any_object(name: String) -> Object:
	var known: Array = values.objects.get_or_add(name, [])
	if name == "TorrentSession" and known.size() < SESSIONS:
		return _new_session()
	# Sources of a creator only become more, and hashing them takes longer.
	if name == "TorrentCreator" and values.chance(0.05):
		known.clear()
	if known.is_empty() or values.chance(0.01) and name != "TorrentSession":
		var object: Object = ClassDB.instantiate(name)
		_follow(object)
		values.keep(object)
		return object
	var found: Object = values.any(known)
	if found is TorrentHandle and not found.is_valid() and values.chance(0.8):
		known.erase(found)
		found = _new_torrent()
	return found


## A torrent whose peers, if there are any, are other sessions of the walk.
func _new_torrent() -> TorrentHandle:
	var session: TorrentSession = _any_object("TorrentSession")
	if not session.is_running():
		_just(session, "apply_settings", [SAFE])
		_just(session, "start_session")
	var arguments := [values.any([values.torrents[0], values.torrents[-1]]), values.path()]
	var handle: TorrentHandle = _just(session, "add_torrent_file", arguments)
	if handle == null:
		return TorrentHandle.new()
	_follow(handle)
	values.keep(handle)
	_know_ports(session)
	for port in values.ports:
		_just(handle, "connect_peer", ["127.0.0.1", port])
	return handle


## A call that is made to get somewhere; it may fail.
func _just(object: Object, method: String, arguments := []) -> Variant:
	var outer := listener.place
	listener.place = "%s.%s" % [object.get_class(), method]
	var result: Variant = object.callv(method, arguments)
	listener.place = outer
	return result


func _know_ports(session: TorrentSession) -> void:
	for port in session.get_listening_ports():
		if not port in values.ports:
			values.ports.append(port)
	values.ports = values.ports.slice(-8)


func _new_session() -> TorrentSession:
	var session := TorrentSession.new()
	_just(session, "apply_settings", [SAFE])
	if values.chance(0.7):
		_just(session, "start_session")
	_follow(session)
	values.keep(session)
	return session


func _forget_something() -> void:
	var name := _any_class()
	var known: Array = values.objects.get(name, [])
	if not known.is_empty():
		known.remove_at(values.random.randi() % known.size())


func _call(name: String, object: Object, method: Dictionary) -> void:
	var place := "%s.%s" % [name, method.name]
	var session := object as TorrentSession
	if session != null and not _prepare(session, method.name):
		return
	var arguments: Array = values.arguments(method)
	if _trace:
		print("%d %s(%s)" % [call_count, place, ", ".join(arguments.map(_describe))])
	var outer := listener.place
	listener.place = place
	var nested := call_count
	var begun := Time.get_ticks_usec()
	var first_tick := clock.ticks
	var worked_before := _worked_usec()
	_calling = true
	var result: Variant
	if method.flags & METHOD_FLAG_STATIC:
		result = ClassDB.class_call_static.callv([name, method.name] + arguments)
	else:
		result = object.callv(method.name, arguments)
	_calling = false
	var taken := Time.get_ticks_usec() - begun
	var ticks := clock.ticks - first_tick
	listener.place = outer
	# What handlers call takes its own time.
	if call_count == nested and taken > longest_usec:
		longest_usec = taken
		longest_call = "%s(%s)" % [place, ", ".join(arguments.map(_describe))]
	if call_count == nested:
		_check_time(place, ticks, _worked_usec() - worked_before)
	call_count += 1
	calls[place] = calls.get(place, 0) + 1
	_check_type(place, method.return, result)
	if session != null:
		_make_safe(session, method.name)
	_follow_all(result)
	values.remember(result)


## An argument in few words; containers may contain themselves.
func _describe(value: Variant) -> String:
	if value is Array or value is Dictionary or value is PackedByteArray:
		return "%s of %d" % [type_string(typeof(value)), value.size()]
	return str(value).left(60)


## Whether the call can be made without anybody else noticing.
func _prepare(session: TorrentSession, method: String) -> bool:
	if method.begins_with("start_session") and not session.is_running():
		_just(session, "apply_settings", [SAFE])
	return not method in EXPOSING or not session.is_running()


func _make_safe(session: TorrentSession, method: String) -> void:
	if method in EXPOSING:
		_just(session, "apply_settings", [SAFE])
	elif method.begins_with("start_session"):
		_know_ports(session)


func _check_time(place: String, ticks: int, worked: int) -> void:
	var is_busy := worked > WORK_USEC and not place in WORKING
	if is_busy or ticks > PATIENCE and not place in WAITING_FOR_THE_DISK:
		_complain("%s took %d ticks and %d ms of work" % [place, ticks, worked / 1000])


## For how long this thread has had a core; 0 where the system does not tell.
func _worked_usec() -> int:
	var file := FileAccess.open("/proc/thread-self/schedstat", FileAccess.READ)
	return file.get_line().get_slice(" ", 0).to_int() / 1000 if file != null else 0


func _check_type(place: String, expected: Dictionary, result: Variant) -> void:
	if result == null and (expected.class_name != &"" or expected.type == TYPE_NIL):
		return
	if typeof(result) != expected.type:
		_complain("%s returned %s" % [place, type_string(typeof(result))])


func _follow_all(result: Variant) -> void:
	if result is Object:
		_follow(result)
	elif result is Array:
		for item: Variant in result:
			if item is Object:
				_follow(item)


## Listens to every signal; who hears one may call anything.
func _follow(object: Object) -> void:
	if object.has_meta("followed"):
		return
	object.set_meta("followed", true)
	for info in ClassDB.class_get_signal_list(object.get_class(), true):
		object.connect(info.name, _on_signal.bind(values.witness(), info.name))


func _on_signal(...arguments: Array) -> void:
	var name: String = arguments[-1]
	signals[name] = signals.get(name, 0) + 1
	if OS.get_thread_caller_id() != _main_thread:
		_complain("a signal came in another thread")
	_call_within()


## Who holds a callable is in the middle of something when it lets go of it.
func _on_last_words() -> void:
	if _calling:
		_call_within()


func _call_within() -> void:
	if not _ended and _depth < 3 and values.chance(0.1):
		_depth += 1
		step()
		_depth -= 1


func _complain(text: String) -> void:
	if complaints.size() < 20:
		complaints.append(text)
