extends "res://test/integration/torrent_test.gd"
## What tests share that run a game of one script in a process of its own: whatever
## happens to that, the tests go on.


func godot() -> String:
	var program := OS.get_environment("GODOT")
	return program if not program.is_empty() else OS.get_executable_path()


## What starts a game of one script, which gets the test's folder and more as arguments.
func game(script: String, more: Array[String] = []) -> PackedStringArray:
	var arguments := PackedStringArray(["--headless", "--path"])
	arguments.append(ProjectSettings.globalize_path("res://"))
	arguments.append_array(["-s", "res://test/integration/%s.gd" % script, "--"])
	arguments.append(ProjectSettings.globalize_path(folder))
	arguments.append_array(more)
	return arguments


## Runs such a game, which has to end well, and returns what it prints.
func run_game(script: String, more: Array[String] = []) -> String:
	var output := []
	var status := OS.execute(godot(), game(script, more), output, true)
	assert_eq(status, 0, "%s: %s" % [script, "".join(output)])
	return "".join(output)
