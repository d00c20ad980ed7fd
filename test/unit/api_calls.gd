extends RefCounted
## Finds the calls that test scripts make on objects of the library's classes. A call
## counts where it is written as `object.method(` and the script itself says of what
## class the object is: by the type of a variable, an argument or a function, or by what
## an earlier call returns. Names in texts and comments are no calls.

const TOKEN := (
	'"""[\\s\\S]*?"""|"(?:\\\\.|[^"\\\\])*"|\'(?:\\\\.|[^\'\\\\])*\'|#[^\\n]*'
	+ "|[A-Za-z_]\\w*|\\d[\\w.]*|:=|->|\\n|[^\\s\\w]"
)
const OPENING := {"(": ")", "[": "]", "{": "}"}
## What an array returns that is one of its items.
const ITEM_OF := ["back", "front", "pick_random", "pop_at", "pop_back", "pop_front"]

## `Class.method` of what is called, and `Class.member` of what is named otherwise.
var calls := {}
var names := {}

## What each class's methods return.
var _returns := {}
var _tokens: Array[String] = []
## Whether a token is the first of its line, by index.
var _leads: Array[bool] = []
## Types of functions and variables: of the scripts before, of this script, and of the
## function that is read.
var _functions := {}
var _members := {}
var _locals := {}


## `returns` maps classes to dictionaries of their methods and what these return.
func _init(returns: Dictionary) -> void:
	_returns = returns


## Reads a script. What its functions return and its variables are is known to all
## scripts that are read later, as to those that extend it.
func read(source: String) -> void:
	_split(source)
	for at in _tokens.size():
		if _is_function(at):
			var name := _token(at + 1)
			var end := _closing(at + 2)
			_functions[name] = _type_at(end + 2) if _token(end + 1) == "->" else ""
	_locals = _members
	for at in _tokens.size():
		_read_token(at)


## Whether a function with a name begins there.
func _is_function(at: int) -> bool:
	return _tokens[at] == "func" and _token(at + 1) != "("


func _read_token(at: int) -> void:
	match _tokens[at]:
		"func":
			if _is_function(at):
				_locals = _members.duplicate()
			_declare_arguments(at + (2 if _is_function(at) else 1))
		"var":
			_declare(at + 1)
		"for":
			_declare_item(at + 1)
		_:
			if _token(at - 1) != "." and _is_name(_tokens[at]):
				_follow(at)


func _split(source: String) -> void:
	_tokens.clear()
	_leads.clear()
	var leads := true
	for found in RegEx.create_from_string(TOKEN).search_all(source):
		var token := found.get_string()
		if token == "\n":
			# What is indented belongs to something above it.
			leads = true
		elif not token.begins_with("#"):
			_tokens.append(token)
			_leads.append(leads)
			leads = false


func _token(at: int) -> String:
	return _tokens[at] if at >= 0 and at < _tokens.size() else ""


func _is_name(token: String) -> bool:
	return token.is_valid_ascii_identifier()


## The index of what closes the bracket at an index.
func _closing(at: int) -> int:
	var open: Array[String] = []
	for i in range(at, _tokens.size()):
		if _tokens[i] in OPENING:
			open.append(OPENING[_tokens[i]])
		elif not open.is_empty() and _tokens[i] == open[-1]:
			open.pop_back()
		if open.is_empty():
			return i
	return _tokens.size()


## A type as it is written: `Class` or `Array[Class]`.
func _type_at(at: int) -> String:
	if _token(at) == "Array" and _token(at + 1) == "[":
		return "Array[%s]" % _token(at + 2)
	return _token(at)


func _declare_arguments(open: int) -> void:
	for at in range(open + 1, _closing(open)):
		if _token(at + 1) == ":" and _is_name(_tokens[at]) and _token(at - 1) in ["(", ","]:
			_locals[_tokens[at]] = _type_at(at + 2)


func _declare(at: int) -> void:
	var type := ""
	if _token(at + 1) == ":":
		type = _type_at(at + 2)
	elif _token(at + 1) == ":=":
		var begin := at + 2
		while _token(begin) in ["await", "("]:
			begin += 1
		type = _follow(begin)
	_locals[_token(at)] = type


func _declare_item(at: int) -> void:
	if _token(at + 1) == ":":
		_locals[_token(at)] = _type_at(at + 2)
	elif _token(at + 1) == "in":
		_locals[_token(at)] = _item_of(_follow(at + 2))


func _item_of(type: String) -> String:
	return type.trim_prefix("Array[").trim_suffix("]") if type.begins_with("Array[") else ""


## Goes along `a.b(…)[…].c`, notes the calls, and returns the type of its end.
func _follow(begin: int) -> String:
	var at := begin + 1
	var type: String = _locals.get(_token(begin), "")
	var is_class := _returns.has(_token(begin)) and not _locals.has(_token(begin))
	if is_class:
		type = _token(begin)
	elif _is_bracket(at, "("):
		type = _functions.get(_token(begin), "")
		at = _closing(at) + 1
	while at < _tokens.size():
		if _tokens[at] == "." and _is_name(_token(at + 1)):
			var member := _token(at + 1)
			var is_call := _is_bracket(at + 2, "(")
			type = _member_of(type, member, is_call, is_class)
			is_class = false
			at = _closing(at + 2) + 1 if is_call else at + 2
		elif _is_bracket(at, "["):
			type = _item_of(type)
			at = _closing(at) + 1
		else:
			break
	return type


## Whether a bracket is there that belongs to what is before it.
func _is_bracket(at: int, bracket: String) -> bool:
	return _token(at) == bracket and not _leads[at]


func _member_of(type: String, member: String, is_call: bool, is_class: bool) -> String:
	if _returns.has(type):
		var place := "%s.%s" % [type, member]
		if not is_call:
			names[place] = true
			return ""
		if is_class and member == "new":
			return type
		calls[place] = true
		return _returns[type].get(member, "")
	return _item_of(type) if is_call and member in ITEM_OF else ""
