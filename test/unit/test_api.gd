extends GutTest
## The classes against the written API: every member there, spelt so, with these
## arguments and defaults, and nothing beside them.

const API := "res://test/unit/api.txt"
const LATER := "res://test/unit/api_later.txt"


func test_every_class_is_what_the_api_says() -> void:
	var api := _read_api()
	var later := _read_later()
	assert_gt(api.size(), 8)
	for name: String in api:
		assert_true(ClassDB.class_exists(name), "%s is registered" % name)
		var written: Array = api[name].filter(
			func(line: String) -> bool: return not later.has(_member(name, line))
		)
		var real := _members_of(name)
		var missing := written.filter(func(line: String) -> bool: return not line in real)
		var unwritten := real.filter(func(line: String) -> bool: return not line in written)
		assert_eq("\n".join(missing), "", "%s lacks nothing" % name)
		assert_eq("\n".join(unwritten), "", "%s has nothing beside the API" % name)


func test_what_comes_later_is_part_of_the_api() -> void:
	var members := {}
	var api := _read_api()
	for name: String in api:
		for line: String in api[name]:
			members[_member(name, line)] = true
	var later := _read_later()
	for member: String in later:
		assert_has(members, member)
		assert_ne(later[member], "", "%s says what it waits for" % member)


func test_classes_are_reference_counted() -> void:
	for name: String in _read_api():
		assert_eq(ClassDB.get_parent_class(name), &"RefCounted", name)


## The members of each class, as lines.
func _read_api() -> Dictionary:
	var classes := {}
	var members := []
	for line in _lines(API):
		if line.begins_with("class "):
			members = []
			classes[line.trim_prefix("class ")] = members
		else:
			members.append(line.strip_edges())
	return classes


## What each member waits for that is not registered yet.
func _read_later() -> Dictionary:
	var later := {}
	for line in _lines(LATER):
		later[line.get_slice(": ", 0)] = line.get_slice(": ", 1)
	return later


func _lines(path: String) -> Array:
	var text := FileAccess.get_file_as_string(path)
	assert_ne(text, "", path)
	return Array(text.split("\n")).filter(
		func(line: String) -> bool: return line != "" and not line.begins_with("#")
	)


## `Class.member` of a line.
func _member(owner_class: String, line: String) -> String:
	var words := line.trim_prefix("static ").get_slice("(", 0).split(" ")
	return "%s.%s" % [owner_class, words[1]]


func _members_of(owner_class: String) -> Array:
	var members := []
	for info in ClassDB.class_get_signal_list(owner_class, true):
		members.append("signal %s(%s)" % [info.name, ", ".join(_arguments(info))])
	for info in ClassDB.class_get_method_list(owner_class, true):
		var prefix := "static " if info.flags & METHOD_FLAG_STATIC else ""
		var arguments := ", ".join(_arguments(info))
		var returned := _type(info.return)
		members.append("%sfunc %s(%s) -> %s" % [prefix, info.name, arguments, returned])
	for name in ClassDB.class_get_integer_constant_list(owner_class, true):
		var value := ClassDB.class_get_integer_constant(owner_class, name)
		members.append("const %s = %d" % [name, value])
	return members.filter(func(line: String) -> bool: return not " _" in line.get_slice("(", 0))


func _arguments(info: Dictionary) -> Array[String]:
	var arguments: Array[String] = []
	var first_default: int = info.args.size() - info.default_args.size()
	for at: int in info.args.size():
		var text := "%s: %s" % [info.args[at].name, _type(info.args[at])]
		if at >= first_default:
			text += " = %s" % var_to_str(info.default_args[at - first_default])
		arguments.append(text)
	return arguments


func _type(info: Dictionary) -> String:
	if info.class_name != &"":
		return info.class_name
	if info.type == TYPE_ARRAY and info.hint == PROPERTY_HINT_ARRAY_TYPE:
		return "Array[%s]" % info.hint_string
	if info.type == TYPE_NIL:
		return "Variant" if info.usage & PROPERTY_USAGE_NIL_IS_VARIANT else "void"
	return type_string(info.type)
