extends SceneTree
## A game that ends while things of the library are held in every way that a game can. Run
## by test_lifecycle.gd; the arguments are a folder with data.torrent and seed, and the
## names of ways, or none for all. It starts its session before there is a main loop.

const SETTINGS := {"listen_interfaces": "127.0.0.1:0", "performance_monitors": true}
const LIMIT := 120.0


## An autoload, as a game has them.
class Holder:
	extends Node
	var held: Array = []

	func _exit_tree() -> void:
		print("the holder leaves, %d held" % held.size())


static var held_by_class: Array = []

var _session := TorrentSession.new()
var _is_started := false
var _thread: Thread = null
var _gate := Semaphore.new()
var _ways := {
	"static": func(all: Array) -> void: held_by_class = all,
	"engine": func(all: Array) -> void: Engine.set_meta("held", all),
	"main_loop": func(all: Array) -> void: set_meta("held", all),
	"root": func(all: Array) -> void: root.set_meta("held", all),
	"setting": func(all: Array) -> void: ProjectSettings.set_setting("held", all),
	"singleton": _register,
	"lambda": _connect_lambda,
	"own_signal": _connect_own,
	"monitor": _add_monitor,
	"timer": _start_timer,
	"cycle": _make_cycle,
	"leaked_node": _leak_node,
	"autoload": _add_holder,
	"resource": _keep_resource,
	"thread": _hold_in_thread,
	"class_db": func(all: Array) -> void: OS.set_meta("held", all),
}


func _init() -> void:
	_session.session_started.connect(func() -> void: _is_started = true)
	if Engine.get_main_loop() != null:
		printerr("@fail there is a main loop already")
	_session.start_session_with_settings(SETTINGS)


func _initialize() -> void:
	create_timer(LIMIT).timeout.connect(quit.bind(1))
	while not _is_started:
		await process_frame
	print("the session is polled")
	var arguments := OS.get_cmdline_user_args()
	var ways := Array(arguments.slice(1)) if arguments.size() > 1 else _ways.keys()
	for way: String in ways:
		_ways[way].call(await _make_all(arguments[0]))
	print("held in %d ways" % ways.size())
	quit()


## One object of each class, at work.
func _make_all(folder: String) -> Array:
	var session := TorrentSession.new()
	session.start_session_with_settings(SETTINGS)
	session.get_logger().set_log_file(folder + "/log")
	session.get_logger().enable_logging(true)
	var data := FileAccess.get_file_as_bytes(folder + "/data.torrent")
	var handle := session.add_torrent_file(data, folder + "/seed")
	handle.finished.connect(func() -> void: print(data.size()))
	session.get_alert_manager().subscribe(
		"torrent_finished", func(_it: Dictionary) -> void: print(data.size())
	)
	var creator := TorrentCreator.new()
	creator.add_directory(folder + "/seed")
	creator.generate()
	await process_frame
	return [
		session,
		handle,
		handle.get_status(),
		handle.get_torrent_info(),
		creator,
		session.get_alert_manager(),
		session.get_logger(),
		session.get_last_error(),
		PeerInfo.new(),
		session.get_settings(),
		session.get_session_stats()
	]


func _register(all: Array) -> void:
	Engine.register_singleton("HeldSession", all[0])
	Engine.set_meta("singleton", all[0])


func _connect_lambda(all: Array) -> void:
	ProjectSettings.settings_changed.connect(func() -> void: print(all))


func _connect_own(all: Array) -> void:
	all[0].session_stopped.connect(func() -> void: print(all))


func _add_monitor(all: Array) -> void:
	Performance.add_custom_monitor("held", func() -> int: return all.size())


func _start_timer(all: Array) -> void:
	create_timer(1e6).timeout.connect(func() -> void: print(all))


func _make_cycle(all: Array) -> void:
	all.append(all)


func _leak_node(all: Array) -> void:
	Node.new().set_meta("held", all)


func _add_holder(all: Array) -> void:
	var holder := Holder.new()
	holder.held = all
	root.add_child(holder)


func _keep_resource(all: Array) -> void:
	var resource := Resource.new()
	resource.set_meta("held", all)
	resource.take_over_path("res://held.res")
	Engine.set_meta("resource", resource)


func _hold_in_thread(all: Array) -> void:
	_thread = Thread.new()
	_thread.start(_wait.bind(all))
	Engine.set_meta("thread", [_thread, _gate])


func _wait(all: Array) -> void:
	_gate.wait()
	print(all)
