extends Control
## What the demos that check something share: lines that are printed and shown, and an
## end with an exit code. A demo overrides `_run` and `_clean_up`.

const Tools := preload("res://demo/common/tools.gd")

const GOOD := Color(0.435, 0.824, 0.545)
const BAD := Color(1.0, 0.443, 0.427)
const HEADING := Color(0.49, 0.729, 1.0)

## Seconds after which a demo has failed.
var time_limit := 300.0

var _ended := false

@onready var _screen: RichTextLabel = %Screen
@onready var _state: Label = %State


func _ready() -> void:
	%Title.text = String(name).capitalize()
	_state.text = "running"
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
	_show(line, GOOD if line.begins_with("OK") else Color.TRANSPARENT)


## The title of what comes next.
func say_heading(line: String) -> void:
	print("\n" + line)
	_screen.newline()
	_show(line, HEADING)


## Says why the demo failed and ends it with exit code 1.
func fail(reason: String) -> void:
	printerr("FAILED: " + reason)
	_show("FAILED: " + reason, BAD)
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


func _end(status: int) -> void:
	if _ended:
		return
	_ended = true
	await _clean_up()
	_state.text = "ended well" if status == 0 else "failed"
	_state.add_theme_color_override(&"font_color", GOOD if status == 0 else BAD)
	# With a window, the result stays to be read until it is closed.
	if DisplayServer.get_name() == "headless" or status != 0:
		get_tree().quit(status)


func _show(line: String, color: Color) -> void:
	if color != Color.TRANSPARENT:
		_screen.push_color(color)
	_screen.add_text(line)
	if color != Color.TRANSPARENT:
		_screen.pop()
	_screen.newline()
