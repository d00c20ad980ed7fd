extends RefCounted
## Counts the signals of watched objects and keeps their arguments. It holds on
## to what it watches until the test is over.

## object → { signal name → [arguments of each emission] }
var _watched := {}
## object → { signal name → the callable that is connected }
var _listeners := {}


func watch(object: Object) -> void:
	if object in _watched:
		return
	_watched[object] = {}
	_listeners[object] = {}
	for description in object.get_signal_list():
		var signal_name: String = description.name
		var emissions: Array = []
		var listener := func(...arguments: Array) -> void: emissions.append(arguments)
		_watched[object][signal_name] = emissions
		_listeners[object][signal_name] = listener
		object.connect(signal_name, listener)


func is_watching(object: Variant) -> bool:
	return object in _watched


## Null when the object is not watched or has no such signal.
func emissions_of(object: Variant, signal_name: String) -> Variant:
	if object not in _watched:
		return null
	return _watched[object].get(signal_name)


func emitted_names(object: Variant) -> PackedStringArray:
	var names := PackedStringArray()
	for signal_name: String in _watched.get(object, {}):
		if not _watched[object][signal_name].is_empty():
			names.append(signal_name)
	return names


func clear() -> void:
	for object: Variant in _listeners:
		if not is_instance_valid(object):
			continue
		for signal_name: String in _listeners[object]:
			object.disconnect(signal_name, _listeners[object][signal_name])
	_watched.clear()
	_listeners.clear()
