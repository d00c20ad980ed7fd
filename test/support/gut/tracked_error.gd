class_name GutTrackedError
extends RefCounted
## One error or warning that came up during a test.

var function := ""
var file := ""
var line := -1
## What was said; the engine's own macros put the failed condition here and the
## explanation in `rationale`.
var code := ""
var rationale := ""
## A Logger.ErrorType.
var error_type := -1
## An error that a test expected does not make it fail.
var handled := false


func is_push_error() -> bool:
	return function == "push_error"


func is_push_warning() -> bool:
	return function == "push_warning"


func is_engine_error() -> bool:
	return not is_push_error() and not is_push_warning()


func contains_text(text: String) -> bool:
	return text.to_lower() in code.to_lower() or text.to_lower() in rationale.to_lower()


func to_s() -> String:
	var text := code if rationale == "" else "%s: %s" % [code, rationale]
	return "%s (%s, %s:%d)" % [text, function, file, line]
