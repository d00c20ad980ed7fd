extends Node
## Finds test scripts, runs their tests one after another and keeps the score.
## A test reaches it as `gut`.

const ErrorTracker = preload("error_tracker.gd")
const JUnit = preload("junit.gd")
const Options = preload("options.gd")
const Parameters = preload("parameters.gd")
const Record = preload("record.gd")

const LOG_LEVEL_FAIL_ONLY := 0
const LOG_LEVEL_TEST_AND_FAILURES := 1
const LOG_LEVEL_ALL_ASSERTS := 2

## After a test that queued nodes to be freed.
const QUEUE_FREE_SECONDS := 0.1


## A test script, or an inner class of one, and the records of its tests.
class Suite:
	extends RefCounted
	var name := ""
	var test_script: GDScript = null
	var records: Array[Record] = []
	## Asserts in before_all and after_all belong to no test.
	var hooks := Record.new("before_all and after_all")


var error_tracker := ErrorTracker.new()
var parameters: Parameters = null
var log_level := LOG_LEVEL_TEST_AND_FAILURES

var _suites: Array[Suite] = []
var _current: Record = null
var _to_free: Array = []
var _to_queue_free: Array = []


func run(options: Options) -> void:
	log_level = options.log_level
	for path in _find_scripts(options):
		_collect(path)
	OS.add_logger(error_tracker)
	for suite in _suites:
		await _run_suite(suite, options)
	OS.remove_logger(error_tracker)
	_print_summary()
	if options.junit_xml_file != "":
		JUnit.write(options.junit_xml_file, _suites)


## False also when nothing ran.
func is_success() -> bool:
	return _count("pass") > 0 and _count("pass") == _count("") and _hook_fails() == 0


## Prints, when the log level asks for as much.
func p(text: Variant, level := LOG_LEVEL_FAIL_ONLY) -> void:
	if level <= log_level:
		print("    " if _current else "", text)


func get_current_test_object() -> Record:
	return _current


# --- what GutTest reports ---


func add_pass(text: String) -> void:
	if _current:
		_current.passes.append(text)
		p("passed: " + text, LOG_LEVEL_ALL_ASSERTS)


func add_fail(text: String) -> void:
	if _current == null:
		return
	var where := _line_in_test()
	if parameters:
		text = "parameters %s: %s" % [parameters.current, text]
	_current.fails.append("%s (%s)" % [text, where] if where else text)
	p("FAILED: %s" % _current.fails.back())


func add_pending(text: String) -> void:
	if _current:
		_current.pendings.append(text)
		p("pending: " + text)


func free_later(thing: Object) -> void:
	_to_free.append(thing)


func queue_free_later(thing: Object) -> void:
	_to_queue_free.append(thing)


# --- finding ---


func _find_scripts(options: Options) -> PackedStringArray:
	var paths := PackedStringArray(options.tests)
	for dir in options.dirs:
		paths.append_array(_scripts_in(dir, options))
	var chosen := PackedStringArray()
	for path in paths:
		var is_selected := options.selected == "" or options.selected in path.get_file()
		if is_selected and path not in chosen:
			chosen.append(path)
	return chosen


func _scripts_in(dir: String, options: Options) -> PackedStringArray:
	var found := PackedStringArray()
	for file in DirAccess.get_files_at(dir):
		if file.begins_with(options.prefix) and file.ends_with(options.suffix):
			found.append(dir.path_join(file))
	if options.include_subdirs:
		for sub in DirAccess.get_directories_at(dir):
			found.append_array(_scripts_in(dir.path_join(sub), options))
	found.sort()
	return found


func _collect(path: String) -> void:
	var script := load(path) as GDScript
	if script == null or not script.can_instantiate():
		var broken := Suite.new()
		broken.name = path
		broken.records.append(Record.new("load"))
		broken.records[0].fails.append("the script does not load")
		_suites.append(broken)
		p("FAILED: %s does not load" % path)
		return
	if not _extends_test(script):
		return
	_add_suite(path, script)
	var constants := script.get_script_constant_map()
	for inner: String in constants:
		var inner_script := constants[inner] as GDScript
		if inner.begins_with("Test") and inner_script and _extends_test(inner_script):
			_add_suite("%s.%s" % [path, inner], inner_script)


func _add_suite(suite_name: String, script: GDScript) -> void:
	var suite := Suite.new()
	suite.name = suite_name
	suite.test_script = script
	_suites.append(suite)


func _extends_test(script: Script) -> bool:
	var base := script.get_base_script()
	while base:
		if base == GutTest:
			return true
		base = base.get_base_script()
	return false


# --- running ---


func _run_suite(suite: Suite, options: Options) -> void:
	if suite.test_script == null:
		return
	var methods := _test_methods(suite.test_script, options)
	if methods.is_empty():
		return
	p("\n" + suite.name)
	var test: GutTest = suite.test_script.new()
	test.gut = self
	add_child(test)
	@warning_ignore("redundant_await")
	var skip: Variant = await test.should_skip_script()
	if skip:
		p("skipped: %s" % skip)
	else:
		_current = suite.hooks
		@warning_ignore("redundant_await")
		await test.before_all()
		for method: Dictionary in methods:
			await _run_test(suite, test, method)
		_current = suite.hooks
		@warning_ignore("redundant_await")
		await test.after_all()
		_current = null
	remove_child(test)
	test.queue_free()


func _test_methods(script: GDScript, options: Options) -> Array[Dictionary]:
	var found: Array[Dictionary] = []
	var names: Array[String] = []
	for method in script.get_script_method_list():
		var method_name: String = method.name
		# A method that overrides another is listed twice.
		if not method_name.begins_with("test_") or method_name in names:
			continue
		if options.unit_test_name == "" or options.unit_test_name in method_name:
			names.append(method_name)
			found.append(method)
	return found


func _run_test(suite: Suite, test: GutTest, method: Dictionary) -> void:
	_current = Record.new(method.name)
	suite.records.append(_current)
	p("* " + _current.name, LOG_LEVEL_TEST_AND_FAILURES)
	var started := Time.get_ticks_usec()
	var argument_count: int = method.args.size()
	if argument_count > 1:
		add_fail("a test takes one parameter at most")
	else:
		await _call_test(test, _current.name)
	if argument_count == 1:
		if parameters == null:
			add_fail("the parameter's default value is not use_parameters(...)")
		while parameters and not parameters.is_done():
			await _call_test(test, _current.name)
	parameters = null
	_current.seconds = (Time.get_ticks_usec() - started) / 1e6
	if _current.status() == "no asserts":
		p("no asserts in " + _current.name)
	_current = null


func _call_test(test: GutTest, method: String) -> void:
	@warning_ignore("redundant_await")
	await test.before_each()
	error_tracker.start_test()
	@warning_ignore("redundant_await")
	await test.call(method)
	var unexpected := error_tracker.end_test()
	if unexpected != "":
		add_fail("unexpected errors: " + unexpected)
	test.clear_signal_watcher()
	@warning_ignore("redundant_await")
	await test.after_each()
	await _free_things()


func _free_things() -> void:
	for thing: Variant in _to_free:
		if is_instance_valid(thing) and thing is not RefCounted:
			thing.free()
	_to_free.clear()
	if _to_queue_free.is_empty():
		return
	for thing: Variant in _to_queue_free:
		if is_instance_valid(thing):
			thing.queue_free()
	_to_queue_free.clear()
	await get_tree().create_timer(QUEUE_FREE_SECONDS).timeout


## Where in the test we are. The stack is empty in a release build.
func _line_in_test() -> String:
	for frame: Dictionary in get_stack():
		if _current and frame.function == _current.name:
			return "line %d" % frame.line
	return ""


# --- the score ---


## Tests with a status; all of them for an empty one.
func _count(status: String) -> int:
	var count := 0
	for suite in _suites:
		for record in suite.records:
			count += int(status == "" or record.status() == status)
	return count


func _hook_fails() -> int:
	var count := 0
	for suite in _suites:
		count += suite.hooks.fails.size()
	return count


func _print_summary() -> void:
	print("\n%d tests in %d suites" % [_count(""), _suites.size()])
	for status: String in ["pass", "fail", "pending", "no asserts"]:
		print("  %s: %d" % [status, _count(status)])
	for suite in _suites:
		for record: Record in suite.records + [suite.hooks]:
			for text in record.fails:
				print("%s: %s: %s" % [suite.name, record.name, text])
