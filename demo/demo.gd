extends Control
## What the demos share: lines that are printed and shown, and an end with an exit
## code. A demo overrides `_run` and `_clean_up`.

## Seconds after which a demo has failed.
var time_limit := 60.0

var _lines := PackedStringArray()
var _ended := false

@onready var _screen: Label = $Screen


func _ready() -> void:
	get_tree().create_timer(time_limit).timeout.connect(
		func() -> void: fail("it takes longer than %d seconds" % time_limit)
	)
	await _run()
	_end(0)


func _run() -> void:
	pass


func _clean_up() -> void:
	pass


func say(line: String) -> void:
	print(line)
	_lines.append(line)
	_show()


## Says why the demo failed and ends it with exit code 1.
func fail(reason: String) -> void:
	printerr("FAILED: " + reason)
	_lines.append("FAILED: " + reason)
	_show()
	_end(1)


## A line of a demo that checks something; false has ended the demo.
func check(good: bool, what: String) -> bool:
	if not good and not _ended:
		fail(what)
	return good


## Waits until a condition is true; false when the demo has ended before.
func until(condition: Callable) -> bool:
	while not _ended and not condition.call():
		await get_tree().process_frame
	return not _ended


## Deletes a folder of the demo's own and all that is in it.
func remove_tree(path: String) -> void:
	if not DirAccess.dir_exists_absolute(path):
		return
	for name in DirAccess.get_directories_at(path):
		remove_tree(path.path_join(name))
	for name in DirAccess.get_files_at(path):
		DirAccess.remove_absolute(path.path_join(name))
	DirAccess.remove_absolute(path)


func _end(status: int) -> void:
	if _ended:
		return
	_ended = true
	await _clean_up()
	# With a window, the result stays to be read until it is closed.
	if DisplayServer.get_name() == "headless" or status != 0:
		get_tree().quit(status)


func _show() -> void:
	_screen.text = "\n".join(_lines.slice(-30))
