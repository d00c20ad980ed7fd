extends SceneTree
## The command line: reads the options, runs the tests, ends with their verdict.

const Options = preload("options.gd")
const Runner = preload("runner.gd")


func _initialize() -> void:
	var options := Options.new()
	var problem := options.read(OS.get_cmdline_args() + OS.get_cmdline_user_args())
	if problem != "":
		printerr("test runner: ", problem)
		quit(1)
		return
	var runner := Runner.new()
	runner.name = "Gut"
	root.add_child(runner)
	# The first frame finishes setting up the tree that tests add nodes to.
	await process_frame
	await runner.run(options)
	var status := 0 if runner.is_success() else 1
	runner.queue_free()
	await process_frame
	quit(status)
