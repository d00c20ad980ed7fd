class_name GutTest
extends "asserts_events.gd"
## What a test script extends. Hooks, waits, parameters and freeing are here; the
## asserts are in the scripts it extends.

const ParameterFactory = preload("parameters.gd")

var _timed_out := false

# --- hooks ---


## Return true, or the reason, to leave a whole script out.
func should_skip_script() -> Variant:
	return false


func before_all() -> void:
	pass


func before_each() -> void:
	pass


func after_each() -> void:
	pass


func after_all() -> void:
	pass


# --- waits: `await` each of them ---


func wait_seconds(time: float, _msg := "") -> void:
	_timed_out = true
	await get_tree().create_timer(time).timeout


## Whole frames: one signal more than asked for, since the first one ends the
## frame that the test is in.
func wait_physics_frames(frames: int, _msg := "") -> void:
	_timed_out = true
	for i in maxi(frames, 1) + 1:
		await get_tree().physics_frame


func wait_process_frames(frames: int, _msg := "") -> void:
	_timed_out = true
	for i in maxi(frames, 1) + 1:
		await get_tree().process_frame


func wait_frames(frames: int, msg := "") -> void:
	await wait_physics_frames(frames, msg)


func wait_idle_frames(frames: int, msg := "") -> void:
	await wait_process_frames(frames, msg)


## True when the signal came within the time. Its object is watched from here on.
func wait_for_signal(sig: Signal, max_time: float, _msg := "") -> bool:
	watch_signals(sig.get_object())
	var heard := [false]
	var listener := func(..._arguments: Array) -> void: heard[0] = true
	sig.connect(listener)
	await _wait(func() -> bool: return heard[0], max_time, 0.0, get_tree().process_frame)
	# The signal's object may be gone by now, and its connections with it.
	if is_instance_valid(sig.get_object()) and sig.is_connected(listener):
		sig.disconnect(listener)
	# Everything else that listens hears it before the test goes on.
	await get_tree().process_frame
	return not _timed_out


## wait_until(condition, max_time[, seconds_between_calls][, message]): true when
## the condition returned true within the time.
func wait_until(callable: Callable, max_time: float, p3: Variant = "", _p4 := "") -> bool:
	var met := func() -> bool: return is_same(callable.call(), true)
	await _wait(met, max_time, _interval(p3), get_tree().physics_frame)
	return not _timed_out


## The other way round: waits for anything but true.
func wait_while(callable: Callable, max_time: float, p3: Variant = "", _p4 := "") -> bool:
	var met := func() -> bool: return not is_same(callable.call(), true)
	await _wait(met, max_time, _interval(p3), get_tree().physics_frame)
	return not _timed_out


func did_wait_timeout() -> bool:
	return _timed_out


func _interval(value: Variant) -> float:
	return 0.0 if value is String else float(value)


func _wait(met: Callable, max_time: float, interval: float, tick: Signal) -> void:
	var deadline := Time.get_ticks_msec() + int(max_time * 1000)
	var next_call := Time.get_ticks_msec() + int(interval * 1000)
	_timed_out = false
	while true:
		await tick
		var now := Time.get_ticks_msec()
		if now >= next_call:
			next_call = now + int(interval * 1000)
			if met.call():
				return
		if now >= deadline:
			_timed_out = true
			return


# --- parameters: func test_x(p = use_parameters([...])) ---


func use_parameters(values: Array) -> Variant:
	if gut.parameters == null:
		gut.parameters = ParameterFactory.new(values)
	return gut.parameters.next()


# --- freeing ---


func autofree(thing: Variant) -> Variant:
	if thing is Object:
		gut.free_later(thing)
	return thing


func autoqfree(thing: Variant) -> Variant:
	if thing is Object:
		gut.queue_free_later(thing)
	return thing


func add_child_autofree(node: Node, legible_unique_name := false) -> Node:
	add_child(node, legible_unique_name)
	return autofree(node)


func add_child_autoqfree(node: Node, legible_unique_name := false) -> Node:
	add_child(node, legible_unique_name)
	return autoqfree(node)
