extends "res://test/integration/torrent_test.gd"
## What the tests that look at scenes share: a picture of its own size for a scene, and
## a judgement on whether anything is to be seen in it.

const SIZE := Vector2i(1280, 720)
## The picture is looked at in so many fields across and down.
const FIELDS := Vector2i(8, 6)
## Pixels from one that is looked at to the next.
const STEP := 3
## An empty page with a frame or two has no more.
const MOST_COLORS_OF_NOTHING := 24

var _viewport: SubViewport = null


## Opens a scene in a picture of its own.
func open(path: String, size := SIZE) -> Control:
	_viewport = SubViewport.new()
	_viewport.size = size
	_viewport.render_target_update_mode = SubViewport.UPDATE_ALWAYS
	add_child_autofree(_viewport)
	var scene: Control = load(path).instantiate()
	_viewport.add_child(scene)
	return scene


## Closes the scene that was opened.
func close(scene: Control) -> void:
	scene.get_parent().remove_child(scene)
	scene.queue_free()
	# What it started ends before the next test looks at the clock.
	await wait_process_frames(2)


## The scene as it is drawn now. Kept for people where GODOT_TORRENT_SCREENSHOTS names
## a folder.
func shoot(name: String) -> Image:
	# The first one may have begun before the last change.
	for i in 2:
		await RenderingServer.frame_post_draw
	var image := _viewport.get_texture().get_image()
	var folder := OS.get_environment("GODOT_TORRENT_SCREENSHOTS")
	if folder != "":
		assert_eq(image.save_png(folder.path_join(name + ".png")), OK, "saves the picture")
	return image


## How many colours a picture has, and in what share of its fields something is to be
## seen.
func judge(image: Image) -> Dictionary:
	var colors := {}
	var lively := 0
	var field := image.get_size() / FIELDS
	for row in FIELDS.y:
		for column in FIELDS.x:
			var here := {}
			for y in range(row * field.y, (row + 1) * field.y, STEP):
				for x in range(column * field.x, (column + 1) * field.x, STEP):
					here[image.get_pixel(x, y).to_rgba32()] = true
			# An edge between two areas is nothing to look at.
			lively += int(here.size() > 4)
			colors.merge(here)
	return {"colors": colors.size(), "share": float(lively) / (FIELDS.x * FIELDS.y)}


## Something is to be seen: enough colours, in enough places.
func assert_shows(image: Image, share := 0.3) -> void:
	var verdict := judge(image)
	assert_gt(verdict.colors, MOST_COLORS_OF_NOTHING)
	assert_gte(verdict.share, share, "the share of the picture that shows something")


func press(button: Button) -> void:
	assert_false(button.disabled, "'%s' can be pressed" % button.text)
	button.pressed.emit()
