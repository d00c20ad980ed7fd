extends "asserts.gd"
## The asserts about signals that were emitted and errors that came up.
##
## A signal is named as itself (`object.changed`) or by object and name
## (`object, "changed"`); what follows it moves by one accordingly.

const SignalWatcher = preload("signal_watcher.gd")

var _watcher := SignalWatcher.new()


## Before asserting anything about an object's signals.
func watch_signals(object: Object) -> void:
	_watcher.watch(object)


func clear_signal_watcher() -> void:
	_watcher.clear()


func assert_signal_emitted(p1: Variant, p2: Variant = "", p3: Variant = "") -> void:
	var named := _name([p1, p2, p3])
	var emissions: Variant = _emissions(named)
	if emissions != null:
		_check(not emissions.is_empty(), _say_signal(named, "should be emitted", named.rest[0]))


func assert_signal_not_emitted(p1: Variant, p2: Variant = "", p3: Variant = "") -> void:
	var named := _name([p1, p2, p3])
	var emissions: Variant = _emissions(named)
	if emissions != null:
		_check(emissions.is_empty(), _say_signal(named, "should not be emitted", named.rest[0]))


func assert_signal_emit_count(p1: Variant, p2: Variant, p3: Variant = 0, p4: Variant = "") -> void:
	var named := _name([p1, p2, p3, p4])
	var emissions: Variant = _emissions(named)
	if emissions != null:
		var expected: int = named.rest[0]
		var what := "should be emitted %d times, not %d" % [expected, emissions.size()]
		_check(emissions.size() == expected, _say_signal(named, what, named.rest[1]))


## ..., expected arguments[, which emission (the last one)].
func assert_signal_emitted_with_parameters(
	p1: Variant, p2: Variant, p3: Variant = -1, p4: Variant = -1
) -> void:
	var named := _name([p1, p2, p3, p4])
	var emissions: Variant = _emissions(named)
	if emissions == null:
		return
	var expected: Variant = named.rest[0]
	var got: Variant = _pick(emissions, named.rest[1])
	var good := expected is Array and got != null and _equal_deep(got, expected)
	_check(good, _say_signal(named, "should come with %s, not %s" % [expected, got], ""))


## -1 for a signal that is not watched.
func get_signal_emit_count(p1: Variant, p2: Variant = null) -> int:
	var named := _name([p1, p2])
	var emissions: Variant = _watcher.emissions_of(named.object, named.signal_name)
	return -1 if emissions == null else emissions.size()


## The arguments of one emission (the last one), or null.
func get_signal_parameters(p1: Variant, p2: Variant = -1, p3: Variant = -1) -> Variant:
	var named := _name([p1, p2, p3])
	var emissions: Variant = _watcher.emissions_of(named.object, named.signal_name)
	return null if emissions == null else _pick(emissions, named.rest[0])


func assert_connected(p1: Variant, p2: Variant, p3: Variant = null, p4: Variant = null) -> void:
	_check(_is_connected(p1, p2, p3, p4), _say(p1, "should be connected to", [p2, p3, p4], ""))


func assert_not_connected(p1: Variant, p2: Variant, p3: Variant = null, p4: Variant = null) -> void:
	var connected := _is_connected(p1, p2, p3, p4)
	_check(not connected, _say(p1, "should not be connected to", [p2, p3, p4], ""))


# --- errors ---


## Those of this test so far. Set `handled` on one to expect it.
func get_errors() -> Array:
	return gut.error_tracker.get_errors_for_test()


func assert_push_error(text: Variant, msg := "") -> void:
	_expect_error(text, "is_push_error", msg)


func assert_push_error_count(count: int, msg := "") -> void:
	_expect_errors(count, "is_push_error", msg)


func assert_push_warning(text: Variant, msg := "") -> void:
	_expect_error(text, "is_push_warning", msg)


func assert_push_warning_count(count: int, msg := "") -> void:
	_expect_errors(count, "is_push_warning", msg)


func assert_engine_error(text: Variant, msg := "") -> void:
	_expect_error(text, "is_engine_error", msg)


func assert_engine_error_count(count: int, msg := "") -> void:
	_expect_errors(count, "is_engine_error", msg)


# --- helpers ---


## Brings both ways to name a signal into one form.
func _name(arguments: Array) -> Dictionary:
	if arguments[0] is Signal:
		var sig: Signal = arguments[0]
		return {
			object = sig.get_object(),
			signal_name = sig.get_name(),
			rest = arguments.slice(1) + [""]
		}
	return {
		object = arguments[0], signal_name = str(arguments[1]), rest = arguments.slice(2) + [""]
	}


## Fails the test and returns null where nothing can be said about the signal.
func _emissions(named: Dictionary) -> Variant:
	if not _watcher.is_watching(named.object):
		_check(false, _say_signal(named, "is not watched; call watch_signals first", ""))
		return null
	var emissions: Variant = _watcher.emissions_of(named.object, named.signal_name)
	if emissions == null:
		_check(false, _say_signal(named, "does not exist", ""))
	return emissions


func _pick(emissions: Array, index: Variant) -> Variant:
	var which: int = emissions.size() - 1 if index is not int or index == -1 else index
	return emissions[which] if which >= 0 and which < emissions.size() else null


func _say_signal(named: Dictionary, what: String, text: Variant) -> String:
	var sentence := "the signal %s of %s %s" % [named.signal_name, named.object, what]
	var emitted := _watcher.emitted_names(named.object)
	if not emitted.is_empty():
		sentence += " (emitted: %s)" % ", ".join(emitted)
	return sentence if str(text) == "" else "%s: %s" % [text, sentence]


func _is_connected(p1: Variant, p2: Variant, p3: Variant, p4: Variant) -> bool:
	var sig: Signal = p1 if p1 is Signal else Signal(p1, str(p3))
	if p2 is Callable:
		return sig.is_connected(p2)
	if p4 != null:
		return sig.is_connected(Callable(p2, str(p4)))
	for connection in sig.get_connections():
		if connection.callable.get_object() == p2:
			return true
	return false


## One error with this text, that no assert has claimed before.
func _expect_error(text: Variant, kind: StringName, msg: String) -> void:
	var expected := "an error (%s) with the text '%s'" % [kind, text]
	if text is not String:
		_check(false, "the text of an error should be a String, not %s" % _show(text))
		return
	for error: GutTrackedError in get_errors():
		if not error.handled and error.call(kind) and error.contains_text(text):
			error.handled = true
			_check(true, expected)
			return
	var what := "%s was expected, there are %s" % [expected, _show_errors()]
	_check(false, what if msg == "" else "%s: %s" % [msg, what])


func _expect_errors(count: int, kind: StringName, msg: String) -> void:
	var found: Array = get_errors().filter(
		func(error: GutTrackedError) -> bool: return error.call(kind)
	)
	for error: GutTrackedError in found.slice(0, count):
		error.handled = true
	var what := "%d errors (%s) were expected, there are %s" % [count, kind, _show_errors()]
	_check(found.size() == count, what if msg == "" else "%s: %s" % [msg, what])


func _show_errors() -> String:
	var texts := PackedStringArray()
	for error: GutTrackedError in get_errors():
		texts.append(error.to_s())
	return "none" if texts.is_empty() else "; ".join(texts)
