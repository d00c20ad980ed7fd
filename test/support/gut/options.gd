extends RefCounted
## What to run and how, from the command line (`-gname=value` or `-gname value`)
## and from a JSON file that `-gconfig` names.

const DEFAULT_CONFIG := "res://.gutconfig.json"

## Options of GUT's that change nothing in a runner without a window.
const WITHOUT_EFFECT: Array[String] = [
	"-gdisable_colors", "-ghide_orphans", "-gignore_pause", "-gexit", "-gexit_on_success"
]

var dirs: Array[String] = []
var tests: Array[String] = []
var include_subdirs := false
var prefix := "test_"
var suffix := ".gd"
## Only scripts with this in their file name.
var selected := ""
## Only tests with this in their name.
var unit_test_name := ""
var junit_xml_file := ""
var log_level := 1


## Returns what is wrong with the arguments, or nothing.
func read(arguments: PackedStringArray) -> String:
	var config := DEFAULT_CONFIG
	var own := _own_arguments(arguments)
	for argument: Array in own:
		if argument[0] == "-gconfig":
			config = argument[1]
	var problem := _read_config(config)
	for argument: Array in own:
		if problem == "":
			problem = _apply(argument[0], argument[1])
	if problem == "" and dirs.is_empty() and tests.is_empty():
		problem = "nothing to run: give -gdir or -gtest"
	return problem


## Pairs of name and value. The engine's own arguments are left out.
func _own_arguments(arguments: PackedStringArray) -> Array[Array]:
	var found: Array[Array] = []
	var index := 0
	while index < arguments.size():
		var argument := arguments[index]
		index += 1
		if not argument.begins_with("-g"):
			continue
		var at := argument.find("=")
		if at >= 0:
			found.append([argument.left(at), argument.substr(at + 1)])
		elif _takes_value(argument) and index < arguments.size():
			found.append([argument, arguments[index]])
			index += 1
		else:
			found.append([argument, ""])
	return found


func _takes_value(argument: String) -> bool:
	return argument != "-ginclude_subdirs" and argument not in WITHOUT_EFFECT


func _apply(option: String, value: String) -> String:
	match option:
		"-gdir":
			dirs.append_array(Array(value.split(",", false)))
		"-gtest":
			tests.append_array(Array(value.split(",", false)))
		"-ginclude_subdirs":
			include_subdirs = value != "false"
		"-gprefix":
			prefix = value
		"-gsuffix":
			suffix = value
		"-gselect":
			selected = value
		"-gunit_test_name":
			unit_test_name = value
		"-gjunit_xml_file":
			junit_xml_file = value
		"-glog":
			log_level = value.to_int()
		"-gconfig":
			pass
		_:
			if option not in WITHOUT_EFFECT:
				return "unknown option %s" % option
	return ""


func _read_config(path: String) -> String:
	if path == "" or (path == DEFAULT_CONFIG and not FileAccess.file_exists(path)):
		return ""
	var parsed: Variant = JSON.parse_string(FileAccess.get_file_as_string(path))
	if parsed is not Dictionary:
		return "%s is not a JSON object" % path
	var config: Dictionary = parsed
	dirs.append_array(Array(config.get("dirs", [])))
	tests.append_array(Array(config.get("tests", [])))
	include_subdirs = config.get("include_subdirs", include_subdirs)
	prefix = config.get("prefix", prefix)
	suffix = config.get("suffix", suffix)
	selected = config.get("selected", selected)
	unit_test_name = config.get("unit_test_name", unit_test_name)
	junit_xml_file = config.get("junit_xml_file", junit_xml_file)
	log_level = config.get("log_level", log_level)
	return ""
