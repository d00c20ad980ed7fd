extends GutTest
## No test in here may count as passed, neither under GUT nor under the small
## runner: a runner that lets one through proves nothing.


func test_assert() -> void:
	assert_eq(1, 2)


func test_types_differ() -> void:
	assert_eq("1", 1)


func test_truth_is_not_guessed() -> void:
	assert_true(1)


func test_fail() -> void:
	assert_true(true)
	fail_test("on purpose")


func test_unexpected_push_error() -> void:
	assert_true(true)
	push_error("on purpose")


func test_wrong_error() -> void:
	push_error("on purpose")
	assert_push_error("something else")


func test_expected_error_that_does_not_come() -> void:
	assert_push_error("something")


func test_script_error() -> void:
	assert_true(true)
	var nothing: Variant = null
	nothing.call("on purpose")


func test_script_error_after_a_wait() -> void:
	assert_true(true)
	await wait_process_frames(1)
	var nothing: Variant = null
	nothing.call("on purpose")


func test_signal_of_an_unwatched_object() -> void:
	assert_signal_emitted(self, "tree_entered")


func test_signal_that_does_not_come() -> void:
	watch_signals(self)
	assert_signal_emitted(self, "renamed")


func test_one_bad_parameter(p: int = use_parameters([1, 2])) -> void:
	assert_eq(p, 1)


func test_pending() -> void:
	pending("on purpose")


func test_without_an_assert() -> void:
	pass
