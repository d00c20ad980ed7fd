extends Node
## The asserts about values.

const NUMBERS: Array[int] = [TYPE_INT, TYPE_FLOAT]
const STRINGS: Array[int] = [TYPE_STRING, TYPE_STRING_NAME]
const SHOWN_CHARACTERS := 300

## The runner. Untyped, because it names this script too.
var gut: Variant = null

var _fail_count := 0
var _pass_count := 0
var _pending_count := 0


func pass_test(text: String) -> void:
	_check(true, text)


func fail_test(text: String) -> void:
	_check(false, text)


func pending(text := "") -> void:
	_pending_count += 1
	gut.add_pending(text)


func is_passing() -> bool:
	return gut.get_current_test_object().is_passing()


func is_failing() -> bool:
	return gut.get_current_test_object().is_failing()


func get_fail_count() -> int:
	return _fail_count


func get_pass_count() -> int:
	return _pass_count


func get_pending_count() -> int:
	return _pending_count


func get_assert_count() -> int:
	return _fail_count + _pass_count


# --- equality ---


func assert_eq(got: Variant, expected: Variant, text := "") -> void:
	if _comparable(got, expected, text):
		_check(got == expected, _say(got, "should equal", expected, text))


func assert_ne(got: Variant, not_expected: Variant, text := "") -> void:
	if _comparable(got, not_expected, text):
		_check(got != not_expected, _say(got, "should differ from", not_expected, text))


func assert_same(got: Variant, expected: Variant, text := "") -> void:
	_check(is_same(got, expected), _say(got, "should be the same as", expected, text))


func assert_not_same(got: Variant, expected: Variant, text := "") -> void:
	_check(not is_same(got, expected), _say(got, "should not be the same as", expected, text))


func assert_eq_deep(got: Variant, expected: Variant) -> void:
	_check(_equal_deep(got, expected), _say(got, "should equal", expected, ""))


func assert_ne_deep(got: Variant, not_expected: Variant) -> void:
	_check(not _equal_deep(got, not_expected), _say(got, "should differ from", not_expected, ""))


func assert_almost_eq(got: Variant, expected: Variant, margin: Variant, text := "") -> void:
	if _comparable(got, expected, text) and _comparable(got, margin, text):
		var what := "should be within %s of" % margin
		_check(_is_near(got, expected, margin), _say(got, what, expected, text))


func assert_almost_ne(got: Variant, not_expected: Variant, margin: Variant, text := "") -> void:
	if _comparable(got, not_expected, text) and _comparable(got, margin, text):
		var what := "should not be within %s of" % margin
		_check(not _is_near(got, not_expected, margin), _say(got, what, not_expected, text))


func assert_null(got: Variant, text := "") -> void:
	_check(got == null, _say(got, "should be", null, text))


func assert_not_null(got: Variant, text := "") -> void:
	_check(got != null, _say(got, "should not be", null, text))


## Only the value true will do; an object or a number is not enough.
func assert_true(got: Variant, text := "") -> void:
	_check(is_same(got, true), _say(got, "should be", true, text))


func assert_false(got: Variant, text := "") -> void:
	_check(is_same(got, false), _say(got, "should be", false, text))


# --- order ---


func assert_gt(got: Variant, expected: Variant, text := "") -> void:
	if _comparable(got, expected, text):
		_check(got > expected, _say(got, "should be greater than", expected, text))


func assert_gte(got: Variant, expected: Variant, text := "") -> void:
	if _comparable(got, expected, text):
		_check(got >= expected, _say(got, "should be at least", expected, text))


func assert_lt(got: Variant, expected: Variant, text := "") -> void:
	if _comparable(got, expected, text):
		_check(got < expected, _say(got, "should be less than", expected, text))


func assert_lte(got: Variant, expected: Variant, text := "") -> void:
	if _comparable(got, expected, text):
		_check(got <= expected, _say(got, "should be at most", expected, text))


func assert_between(got: Variant, low: Variant, high: Variant, text := "") -> void:
	if _comparable(got, low, text) and _comparable(got, high, text):
		_check(low <= got and got <= high, _say(got, "should be in", [low, high], text))


func assert_not_between(got: Variant, low: Variant, high: Variant, text := "") -> void:
	if _comparable(got, low, text) and _comparable(got, high, text):
		var outside: bool = low <= high and (got <= low or got >= high)
		_check(outside, _say(got, "should be outside of", [low, high], text))


# --- content ---


func assert_has(container: Variant, element: Variant, text := "") -> void:
	_check(container.has(element), _say(container, "should contain", element, text))


func assert_does_not_have(container: Variant, element: Variant, text := "") -> void:
	_check(not container.has(element), _say(container, "should not contain", element, text))


func assert_string_contains(got: Variant, search: Variant, match_case := true) -> void:
	if _are_texts(got, search):
		var found: bool = search in got if match_case else search.to_lower() in got.to_lower()
		_check(found, _say(got, "should contain", search, ""))


func assert_string_starts_with(got: Variant, search: Variant, match_case := true) -> void:
	if _are_texts(got, search):
		var start: String = got.left(search.length())
		var found: bool = start == search if match_case else start.nocasecmp_to(search) == 0
		_check(found, _say(got, "should start with", search, ""))


func assert_string_ends_with(got: Variant, search: Variant, match_case := true) -> void:
	if _are_texts(got, search):
		var end: String = got.right(search.length())
		var found: bool = end == search if match_case else end.nocasecmp_to(search) == 0
		_check(found, _say(got, "should end with", search, ""))


# --- files ---


func assert_file_exists(path: String) -> void:
	_check(FileAccess.file_exists(path), "%s should exist" % path)


func assert_file_does_not_exist(path: String) -> void:
	_check(not FileAccess.file_exists(path), "%s should not exist" % path)


func assert_file_empty(path: String) -> void:
	_check(_file_length(path) == 0, "%s should be an empty file" % path)


func assert_file_not_empty(path: String) -> void:
	_check(_file_length(path) > 0, "%s should be a file with content" % path)


# --- types and objects ---


func assert_is(object: Variant, type: Variant, text := "") -> void:
	var is_it: bool = object is Object and type is Object and is_instance_of(object, type)
	_check(is_it, _say(object, "should be a", type, text))


func assert_typeof(got: Variant, type: int, text := "") -> void:
	_check(typeof(got) == type, _say(got, "should be of type", type_string(type), text))


func assert_not_typeof(got: Variant, type: int, text := "") -> void:
	_check(typeof(got) != type, _say(got, "should not be of type", type_string(type), text))


func assert_has_method(object: Object, method: String, text := "") -> void:
	_check(object.has_method(method), _say(object, "should have the method", method, text))


func assert_has_signal(object: Object, signal_name: String, text := "") -> void:
	var has: bool = object.has_signal(signal_name)
	_check(has, _say(object, "should have the signal", signal_name, text))


func assert_freed(object: Variant, title := "something") -> void:
	_check(not is_instance_valid(object), "%s should be freed" % title)


func assert_not_freed(object: Variant, title := "something") -> void:
	_check(is_instance_valid(object), "%s should not be freed" % title)


# --- helpers ---


func _check(good: bool, text: String) -> void:
	if good:
		_pass_count += 1
		gut.add_pass(text)
	else:
		_fail_count += 1
		gut.add_fail(text)


## Values of different types are a mistake in the test or a bug, never equal.
## Null compares with everything, and numbers and strings among themselves.
func _comparable(got: Variant, expected: Variant, text: String) -> bool:
	var types := [typeof(got), typeof(expected)]
	if types[0] == types[1] or TYPE_NIL in types:
		return true
	for family: Array[int] in [NUMBERS, STRINGS]:
		if types[0] in family and types[1] in family:
			return true
	var names := "%s with %s" % [type_string(types[0]), type_string(types[1])]
	_check(false, _say(got, "cannot be compared (%s) with" % names, expected, text))
	return false


func _equal_deep(a: Variant, b: Variant) -> bool:
	if a is Array and b is Array:
		return a.size() == b.size() and range(a.size()).all(_equal_at.bind(a, b))
	if a is Dictionary and b is Dictionary:
		return a.size() == b.size() and a.keys().all(_equal_at.bind(a, b))
	var numbers := typeof(a) in NUMBERS and typeof(b) in NUMBERS
	var strings := typeof(a) in STRINGS and typeof(b) in STRINGS
	return (numbers or strings or typeof(a) == typeof(b)) and a == b


func _equal_at(key: Variant, a: Variant, b: Variant) -> bool:
	return (b is Array or b.has(key)) and _equal_deep(a[key], b[key])


func _is_near(got: Variant, expected: Variant, margin: Variant) -> bool:
	if got is Vector2 or got is Vector3 or got is Vector4:
		return got.clamp(expected - margin, expected + margin) == got
	return got >= expected - margin and got <= expected + margin


func _are_texts(got: Variant, search: Variant) -> bool:
	var are: bool = got is String and search is String and got != "" and search != ""
	if not are:
		_check(false, _say(got, "and this should be texts that are not empty:", search, ""))
	return are


## -1 where there is no file.
func _file_length(path: String) -> int:
	var file := FileAccess.open(path, FileAccess.READ)
	return file.get_length() if file else -1


func _say(got: Variant, what: String, expected: Variant, text: String) -> String:
	var sentence := "%s %s %s" % [_show(got), what, _show(expected)]
	return sentence if text == "" else "%s: %s" % [text, sentence]


func _show(value: Variant) -> String:
	var shown := '"%s"' % value if typeof(value) in STRINGS else str(value)
	if shown.length() > SHOWN_CHARACTERS:
		return shown.left(SHOWN_CHARACTERS) + "…"
	return shown
