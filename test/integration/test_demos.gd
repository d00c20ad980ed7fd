extends "res://test/integration/torrent_test.gd"
## Demos as programs of their own, without a window: their exit codes, their output, and
## two of them together.

var _programs: Array[Dictionary] = []


func after_each() -> void:
	for program in _programs:
		if OS.is_process_running(program.pid):
			OS.kill(program.pid)
	_programs.clear()
	await super()


func command() -> String:
	var godot := OS.get_environment("GODOT")
	return godot if not godot.is_empty() else OS.get_executable_path()


func arguments_of(demo: String, arguments: Array[String]) -> PackedStringArray:
	var all := PackedStringArray(["--headless", "--no-header", "--path"])
	all.append(ProjectSettings.globalize_path("res://"))
	all.append_array(["res://demo/%s.tscn" % demo, "--"])
	all.append_array(arguments)
	return all


## Runs a demo to its end: its exit code and what it printed.
func run(demo: String, arguments: Array[String] = []) -> Dictionary:
	var output := []
	var status := OS.execute(command(), arguments_of(demo, arguments), output, true)
	return {"status": status, "output": "".join(output)}


## Starts a demo whose input and output are at hand.
func start(demo: String, arguments: Array[String]) -> Dictionary:
	var program := OS.execute_with_pipe(command(), arguments_of(demo, arguments), false)
	assert_true(program.has("pid"), "%s starts" % demo)
	program.output = ""
	program.bytes = PackedByteArray()
	_programs.append(program)
	return program


## Waits until a program has printed a line with a text. What has come of the next line may
## end anywhere, in the middle of a letter too.
func wait_for_output(program: Dictionary, text: String) -> bool:
	var has_come := func() -> bool:
		program.bytes.append_array(program.stdio.get_buffer(4096))
		var whole: PackedByteArray = program.bytes.slice(0, program.bytes.rfind(10) + 1)
		program.output = whole.get_string_from_utf8()
		return text in program.output
	var came: bool = await wait_until(has_come, LIMIT)
	assert_true(came, "'%s' in: %s" % [text, program.output])
	return came


func wait_for_end(program: Dictionary) -> void:
	var has_ended := func() -> bool: return not OS.is_process_running(program.pid)
	assert_true(await wait_until(has_ended, LIMIT), "it ends")
	assert_eq(OS.get_process_exit_code(program.pid), 0, program.output)


func test_they_end_well(
	demo: Array = use_parameters(
		[
			["demo_advanced", "OK: every phase ran"],
			["mod_sharing", "OK: the mod plays"],
			["test_basic", "session: stopped"],
		]
	)
) -> void:
	var end := run(demo[0])
	assert_eq(end.status, 0, end.output)
	assert_string_contains(end.output, demo[1])


func test_they_fail_loudly(
	demo: Array = use_parameters(
		[
			["loopback_transfer", "--size=7", "unknown argument"],
			["mod_sharing", "--role=find", "--lobby"],
			["seed_server", "--folder=/no such folder", "there is no folder"],
		]
	)
) -> void:
	var end := run(demo[0], [demo[1]])
	assert_eq(end.status, 1, end.output)
	assert_string_contains(end.output, "FAILED: ")
	assert_string_contains(end.output, demo[2])


func test_two_games_share_a_mod() -> void:
	var sharing := start("mod_sharing", ["--role=share"])
	if not await wait_for_output(sharing, "lobby open at port "):
		return
	var port: String = sharing.output.get_slice("lobby open at port ", 1).get_slice("\n", 0)
	var end := run("mod_sharing", ["--role=find", "--lobby=" + port.strip_edges()])
	assert_eq(end.status, 0, end.output)
	assert_string_contains(end.output, "OK: the mod plays")


func test_the_seed_server_seeds_and_stops_in_order() -> void:
	write_file(folder + "/files/a.bin", content(300_000))
	write_file(folder + "/files/pack/b.bin", content(100_000))
	var server := start(
		"seed_server",
		[
			"--folder=" + ProjectSettings.globalize_path(folder + "/files"),
			"--torrents=" + ProjectSettings.globalize_path(folder + "/torrents"),
			"--address=127.0.0.1",
		]
	)
	if not await wait_for_output(server, "seeding 2 of 2 torrents"):
		return
	var port: int = server.output.get_slice("listening on port ", 1).get_slice(",", 0).to_int()
	var data := FileAccess.get_file_as_bytes(folder + "/torrents/a.bin.torrent")
	var handle := start_session().add_torrent_file(data, folder + "/save")
	assert_true(handle.connect_peer("127.0.0.1", port))
	await finished(handle)
	assert_eq(sha256(folder + "/save/a.bin"), sha256(folder + "/files/a.bin"))
	await wait_for_output(server, "KiB sent")

	server.stdio.store_string("no command\nstop\n")
	server.stdio.flush()
	await wait_for_output(server, "stopped")
	await wait_for_end(server)
