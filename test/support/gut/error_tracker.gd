extends Logger
## Hears every error and warning of the engine, of scripts and of the library,
## from any thread, and keeps those of the test that is running.

var _mutex := Mutex.new()
var _errors: Array[GutTrackedError] = []
var _listening := false


func start_test() -> void:
	_mutex.lock()
	_errors.clear()
	_listening = true
	_mutex.unlock()


## Returns the errors that no assert expected, as text.
func end_test() -> String:
	_mutex.lock()
	_listening = false
	_mutex.unlock()
	var texts := PackedStringArray()
	for error in get_errors_for_test():
		if not error.handled and not error.is_push_warning():
			texts.append(error.to_s())
	return "; ".join(texts)


func get_errors_for_test() -> Array:
	_mutex.lock()
	var errors := _errors.duplicate()
	_mutex.unlock()
	return errors


func _log_error(
	function: String,
	file: String,
	line: int,
	code: String,
	rationale: String,
	_editor_notify: bool,
	error_type: int,
	_script_backtraces: Array[ScriptBacktrace]
) -> void:
	var error := GutTrackedError.new()
	error.function = function
	error.file = file
	error.line = line
	error.code = code
	error.rationale = rationale
	error.error_type = error_type
	_mutex.lock()
	if _listening:
		_errors.append(error)
	_mutex.unlock()
