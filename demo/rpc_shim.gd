extends Node
## Speaks the JSON-lines protocol of the headless shim, through the classes that a game
## uses: one request a line on standard input, one answer a line on standard output.
##
##     godot --headless --no-header --path godot-project res://demo/rpc_shim.tscn
##
## Tests that drive the engine from outside can be run against it, so they show that
## the classes do what the engine does. Everything else goes to standard error.

const Commands := preload("res://demo/rpc_commands.gd")

## Longest request in bytes.
const LONGEST_LINE := 64 * 1024 * 1024

var _commands := Commands.new()
var _reader := Thread.new()
var _mutex := Mutex.new()
var _answered := Semaphore.new()
## What the reader has read and nobody has taken: a line, or null at the end of input.
var _pending: Array = []
var _ended := false


func _ready() -> void:
	_commands.tree = get_tree()
	_commands.alert_announced.connect(_on_alert)
	_reader.start(_read_lines)
	while not _ended:
		await get_tree().process_frame
		_mutex.lock()
		var lines := _pending
		_pending = []
		_mutex.unlock()
		for line: Variant in lines:
			await _answer(line)
			_answered.post()
	_reader.wait_to_finish()
	get_tree().quit(0)


## In a thread, since reading waits. One line at a time: the next one is only read
## after the answer, so that the thread can end with the last one.
func _read_lines() -> void:
	while not _ended:
		var line: Variant = _read_line()
		_mutex.lock()
		_pending.append(line)
		_mutex.unlock()
		_answered.wait()


## A line without its end, or null at the end of input.
func _read_line() -> Variant:
	# The first byte alone tells an empty line from the end.
	var first := OS.read_buffer_from_stdin(1)
	if first.is_empty():
		return null
	if first[0] == 0x0a:
		return ""
	return first.get_string_from_ascii() + OS.read_string_from_stdin(LONGEST_LINE)


func _answer(line: Variant) -> void:
	if line == null:
		await _commands.shut_down()
		_ended = true
		return
	var json := JSON.new()
	var answer := {"id": null, "ok": false, "code": TorrentError.INVALID_PARAMETER}
	if json.parse(line) != OK:
		answer.error = "not JSON: %s" % json.get_error_message()
	elif not json.data is Dictionary:
		answer.error = "a request is an object with 'id', 'cmd' and 'params'"
	else:
		answer = await _run(json.data)
	_write(answer)


func _run(request: Dictionary) -> Dictionary:
	var answer := {"id": request.get("id"), "ok": false, "code": TorrentError.INVALID_PARAMETER}
	var command: Variant = request.get("cmd")
	var params: Variant = request.get("params")
	if not command is String:
		answer.error = "'cmd' must be a string"
	elif params != null and not params is Dictionary:
		answer.error = "'params' must be an object"
	else:
		var outcome: Dictionary = await _commands.run(command, params if params != null else {})
		answer = {"id": request.get("id"), "ok": not outcome.has("error")}
		answer.merge(outcome)
		_ended = _ended or (command == "shutdown" and answer.ok)
	return answer


func _on_alert(alert: Dictionary) -> void:
	var line := {"event": alert.type_name}
	line.merge(alert)
	_write(line)


func _write(message: Dictionary) -> void:
	printraw(JSON.stringify(_to_json(message), "", false, true) + "\n")


## Bytes in base64, and whole numbers without a fraction.
func _to_json(value: Variant) -> Variant:
	match typeof(value):
		TYPE_DICTIONARY:
			var result := {}
			for key: Variant in value:
				result[key] = _to_json(value[key])
			return result
		TYPE_ARRAY:
			return value.map(_to_json)
		TYPE_PACKED_BYTE_ARRAY:
			return Marshalls.raw_to_base64(value)
		TYPE_FLOAT:
			var is_whole: bool = value == floorf(value) and absf(value) < 9e15
			return int(value) if is_whole else value
	return value
