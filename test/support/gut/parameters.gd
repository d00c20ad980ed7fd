extends RefCounted
## The values that a parameterised test is called with, one call each.

var current: Variant = null

var _values: Array
var _next := 0


func _init(values: Array) -> void:
	_values = values


func next() -> Variant:
	current = _values[_next]
	_next += 1
	return current


func is_done() -> bool:
	return _next >= _values.size()


## Dictionaries with the names as keys, one for each row; what a row lacks is null.
static func named_parameters(names: Array, rows: Array) -> Array:
	return rows.map(_name_row.bind(names))


static func _name_row(row: Variant, names: Array) -> Dictionary:
	var values: Array = row if row is Array else [row]
	var named := {}
	for index in names.size():
		named[names[index]] = values[index] if index < values.size() else null
	return named
