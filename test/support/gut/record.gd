extends RefCounted
## What happened in one test.

var name := ""
var passes: Array[String] = []
var fails: Array[String] = []
var pendings: Array[String] = []
var seconds := 0.0


func _init(test_name: String) -> void:
	name = test_name


func assert_count() -> int:
	return passes.size() + fails.size()


func is_passing() -> bool:
	return status() == "pass"


func is_failing() -> bool:
	return not fails.is_empty()


## A test that looks at nothing proves nothing, so it is not a pass.
func status() -> String:
	if not fails.is_empty():
		return "fail"
	if not pendings.is_empty():
		return "pending"
	return "no asserts" if passes.is_empty() else "pass"
