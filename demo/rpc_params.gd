extends RefCounted
## The parameters of one request, taken by name and type. What is wrong with them is
## in `problem`; what is left at the end is an error too.

var problem := ""

var _left: Dictionary


func _init(params: Dictionary) -> void:
	for name: String in params:
		if params[name] != null:
			_left[name] = params[name]


## True when everything was there, right, and nothing else was given.
func finish() -> bool:
	if problem == "" and not _left.is_empty():
		problem = "unknown parameter '%s'" % _left.keys()[0]
	return problem == ""


func has(name: String) -> bool:
	return _left.has(name)


func text(name: String, default: Variant = null) -> String:
	return _take(name, default if default != null else "", default == null, "a string", _is_text)


func flag(name: String, default := false) -> bool:
	return _take(
		name, default, false, "true or false", func(value: Variant) -> bool: return value is bool
	)


func number(name: String, default: Variant = null, least := -(1 << 53)) -> int:
	var fits := func(value: Variant) -> bool: return _is_whole(value) and value >= least
	var expected := "a whole number"
	if least == 0:
		expected += " from 0"
	return int(_take(name, default if default != null else 0, default == null, expected, fits))


func object(name: String) -> Dictionary:
	return _take(
		name, {}, false, "an object", func(value: Variant) -> bool: return value is Dictionary
	)


func texts(name: String) -> Array:
	var are_texts := func(value: Variant) -> bool: return value is Array and value.all(_is_text)
	return _take(name, [], false, "an array of strings", are_texts)


## URLs, or arrays of URLs.
func tiers(name: String) -> Array:
	var is_tier := func(value: Variant) -> bool:
		return _is_text(value) or (value is Array and value.all(_is_text))
	var are_tiers := func(value: Variant) -> bool: return value is Array and value.all(is_tier)
	return _take(name, [], false, "an array of URLs or of arrays of URLs", are_tiers)


func priorities(name: String) -> PackedByteArray:
	var is_priority := func(value: Variant) -> bool:
		return _is_whole(value) and value >= 0 and value <= 7
	var are_all := func(value: Variant) -> bool: return value is Array and value.all(is_priority)
	return PackedByteArray(_take(name, [], false, "an array of numbers from 0 to 7", are_all))


func bytes(name: String) -> PackedByteArray:
	var is_base64 := RegEx.create_from_string(
		"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==|[A-Za-z0-9+/]=))?$"
	)
	var fits := func(value: Variant) -> bool:
		return value is String and is_base64.search(value) != null
	var encoded: String = _take(name, "", false, "bytes in base64", fits)
	return Marshalls.base64_to_raw(encoded) if encoded != "" else PackedByteArray()


## An array of texts, or "*", which gives null.
func texts_or_all(name: String) -> Variant:
	if _left.get(name) is String and _left[name] == "*":
		_left.erase(name)
		return null
	if not _left.has(name):
		_complain("missing parameter '%s'" % name)
	return texts(name)


func _take(
	name: String, default: Variant, required: bool, expected: String, fits: Callable
) -> Variant:
	if not _left.has(name):
		if required:
			_complain("missing parameter '%s'" % name)
		return default
	var value: Variant = _left[name]
	_left.erase(name)
	if fits.call(value):
		return value
	_complain("parameter '%s' must be %s" % [name, expected])
	return default


func _complain(what: String) -> void:
	if problem == "":
		problem = what


func _is_text(value: Variant) -> bool:
	return value is String


func _is_whole(value: Variant) -> bool:
	return value is int or (value is float and value == floorf(value) and absf(value) < 9e15)
