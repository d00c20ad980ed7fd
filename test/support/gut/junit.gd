extends RefCounted
## Writes what a run found as a JUnit file.


static func write(path: String, suites: Array) -> void:
	var lines := PackedStringArray(['<?xml version="1.0" encoding="UTF-8"?>'])
	lines.append("<testsuites>")
	for suite: RefCounted in suites:
		_add_suite(lines, suite)
	lines.append("</testsuites>")
	var file := FileAccess.open(path, FileAccess.WRITE)
	if file == null:
		push_error("cannot write %s: %s" % [path, error_string(FileAccess.get_open_error())])
		return
	file.store_string("\n".join(lines) + "\n")


static func _add_suite(lines: PackedStringArray, suite: RefCounted) -> void:
	var suite_name: String = suite.name.trim_prefix("res://")
	var failures: int = suite.hooks.fails.size()
	var skipped := 0
	var seconds := 0.0
	for record: RefCounted in suite.records:
		failures += int(record.is_failing())
		skipped += int(record.status() == "pending")
		seconds += record.seconds
	lines.append(
		(
			'<testsuite name="%s" tests="%d" failures="%d" skipped="%d" time="%.3f">'
			% [suite_name.xml_escape(true), suite.records.size(), failures, skipped, seconds]
		)
	)
	for record: RefCounted in suite.records:
		_add_test(lines, record, suite_name)
	lines.append("</testsuite>")


static func _add_test(lines: PackedStringArray, record: RefCounted, suite_name: String) -> void:
	(
		lines
		. append(
			(
				'<testcase name="%s" classname="%s" assertions="%d" status="%s" time="%.3f">'
				% [
					record.name,
					suite_name.xml_escape(true),
					record.assert_count(),
					record.status(),
					record.seconds,
				]
			)
		)
	)
	if record.is_failing():
		var text: String = "\n".join(record.fails)
		lines.append('<failure message="failed">%s</failure>' % text.xml_escape())
	elif not record.pendings.is_empty():
		var text: String = "\n".join(record.pendings)
		lines.append('<skipped message="pending">%s</skipped>' % text.xml_escape())
	lines.append("</testcase>")
