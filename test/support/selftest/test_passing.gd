extends GutTest
## Every test in here passes, under GUT and under the small runner.

signal pinged(number: int, text: String)
signal never

var _calls := 0


func before_each() -> void:
	_calls += 1


func test_equality() -> void:
	assert_eq(1, 1)
	assert_eq(1, 1.0)
	assert_eq("a", &"a")
	assert_eq([1, 2], [1, 2])
	assert_ne({"a": 1}, {"a": 2})
	assert_eq_deep({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]})
	assert_ne_deep([1, [2]], [1, [3]])
	assert_same(self, self)
	assert_not_same([], [])
	assert_almost_eq(1.0, 1.05, 0.1)
	assert_almost_ne(1.0, 1.5, 0.1)
	assert_true(true)
	assert_false(false)
	assert_null(null)
	assert_not_null(self)


func test_order() -> void:
	assert_gt(2, 1)
	assert_lt(1, 2)
	assert_gte(2, 2)
	assert_lte(2, 2)
	assert_between(2, 1, 3)
	assert_not_between(4, 1, 3)


func test_content() -> void:
	assert_has([1, 2], 2)
	assert_has({"key": 1}, "key")
	assert_does_not_have([1, 2], 3)
	assert_string_contains("hello", "ell")
	assert_string_contains("hello", "ELL", false)
	assert_string_starts_with("hello", "he")
	assert_string_ends_with("hello", "lo")


func test_types_and_files() -> void:
	assert_is(self, GutTest)
	assert_is(self, Node)
	assert_typeof(1, TYPE_INT)
	assert_not_typeof(1, TYPE_FLOAT)
	assert_has_method(self, "test_types_and_files")
	assert_has_signal(self, "pinged")
	assert_file_exists("res://project.godot")
	assert_file_not_empty("res://project.godot")
	assert_file_does_not_exist("res://nowhere")


func test_signals() -> void:
	watch_signals(self)
	pinged.emit(1, "x")
	pinged.emit(2, "y")
	assert_signal_emitted(self, "pinged")
	assert_signal_emitted(pinged)
	assert_signal_not_emitted(self, "never")
	assert_signal_not_emitted(never)
	assert_signal_emit_count(self, "pinged", 2)
	assert_signal_emit_count(pinged, 2)
	assert_signal_emitted_with_parameters(self, "pinged", [2, "y"])
	assert_signal_emitted_with_parameters(pinged, [1, "x"], 0)
	assert_eq(get_signal_parameters(pinged), [2, "y"])
	assert_eq(get_signal_parameters(self, "pinged", 0), [1, "x"])
	assert_null(get_signal_parameters(never))
	assert_eq(get_signal_emit_count(pinged), 2)


func test_signals_are_forgotten_between_tests() -> void:
	watch_signals(self)
	assert_signal_not_emitted(pinged)


func test_connections() -> void:
	pinged.connect(_on_pinged)
	assert_connected(pinged, _on_pinged)
	assert_connected(self, self, "pinged", "_on_pinged")
	pinged.disconnect(_on_pinged)
	assert_not_connected(pinged, _on_pinged)


func test_expected_errors() -> void:
	push_error("Something BAD")
	assert_push_error("bad")
	push_error("one")
	push_error("two")
	assert_push_error_count(3)
	get_node("does/not/exist")
	assert_engine_error("not found")
	push_error("handled by hand")
	for error: GutTrackedError in get_errors():
		error.handled = true
	push_warning("a warning fails no test")


func test_waits() -> void:
	var started := Time.get_ticks_msec()
	# A timer counts the whole frame that it begins in.
	await wait_process_frames(1)
	await wait_seconds(0.2)
	assert_gte(Time.get_ticks_msec() - started, 150)
	await wait_physics_frames(2)
	await wait_process_frames(2)
	assert_true(await wait_until(func() -> bool: return true, 5))
	assert_false(await wait_until(func() -> bool: return false, 0.2, 0.05))
	assert_true(did_wait_timeout())
	assert_true(await wait_while(func() -> bool: return false, 5, "a message"))


func test_wait_for_signal() -> void:
	get_tree().create_timer(0.1).timeout.connect(pinged.emit.bind(7, "z"))
	assert_true(await wait_for_signal(pinged, 5))
	assert_signal_emitted_with_parameters(pinged, [7, "z"])
	assert_false(await wait_for_signal(never, 0.2))


func test_parameters(p: Array = use_parameters([[1, 2], [2, 4], [3, 6]])) -> void:
	assert_eq(p[0] * 2, p[1])


func test_named_parameters(
	p: Dictionary = use_parameters(ParameterFactory.named_parameters(["a", "b"], [[1, 1], [2, 2]]))
) -> void:
	assert_eq(p.a, p.b)


func test_freeing() -> void:
	var node: Node = add_child_autofree(Node.new())
	add_child_autoqfree(Node.new())
	autofree(Node.new())
	assert_true(node.is_inside_tree())
	assert_not_freed(node)
	var gone := Node.new()
	gone.free()
	assert_freed(gone)


func test_hooks_ran_for_every_call() -> void:
	# Thirteen tests before this one, of which two ran three times and twice.
	assert_eq(_calls, 17)


func _on_pinged(_number: int, _text: String) -> void:
	pass


class TestInnerClass:
	extends GutTest

	func test_inside() -> void:
		pass_test("inner classes are found")
