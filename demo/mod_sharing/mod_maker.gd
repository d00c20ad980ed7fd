extends RefCounted
## Makes the mod that the demo shares: a .pck with a scene, its script and some data,
## and a text beside it.

const Tools := preload("res://demo/common/tools.gd")

const NAME := "northern_lights"
## Where the mod's scene is, once its .pck is loaded.
const SCENE := "res://mods/northern_lights/main.tscn"
## Random data that gives the transfer something to do.
const DATA_SIZE := 24 * Tools.MIB

const SCENE_TEXT := """[gd_scene load_steps=2 format=3]

[ext_resource type="Script" path="res://mods/northern_lights/lights.gd" id="1"]

[node name="NorthernLights" type="Control"]
custom_minimum_size = Vector2(0, 160)
script = ExtResource("1")
"""

const SCRIPT_TEXT := """extends Control
## Bands of light that move, drawn by a mod that came as a torrent.

var _time := 0.0


func _process(delta: float) -> void:
	_time += delta
	queue_redraw()


func _draw() -> void:
	draw_rect(Rect2(Vector2.ZERO, size), Color(0.02, 0.04, 0.1))
	for star in 60:
		var place := Vector2(fposmod(star * 0.6180339, 1.0), fposmod(star * 0.7548776, 1.0))
		draw_circle(place * size, 1.0, Color(1, 1, 1, 0.6))
	for band in 5:
		var color := Color.from_hsv(0.36 + 0.06 * band, 0.75, 0.95, 0.11)
		for x in range(0, int(size.x), 4):
			var wave := sin(x * 0.011 + band * 1.3 + _time) + sin(x * 0.023 - _time * 0.7)
			var top := size.y * (0.32 + 0.07 * band) + wave * size.y * 0.09
			draw_rect(Rect2(x, top - size.y * 0.25, 4, size.y * 0.32), color)
"""


## Writes the mod as a folder below `folder`, and returns that folder's path, or an
## empty text where that failed.
static func make(folder: String) -> String:
	var mod := folder.path_join(NAME)
	var source := folder.path_join("source")
	var files := {
		SCENE: SCENE_TEXT.to_utf8_buffer(),
		SCENE.get_base_dir() + "/lights.gd": SCRIPT_TEXT.to_utf8_buffer(),
		SCENE.get_base_dir() + "/data.bin": Crypto.new().generate_random_bytes(DATA_SIZE),
	}
	DirAccess.make_dir_recursive_absolute(mod)
	var packer := PCKPacker.new()
	if packer.pck_start(mod.path_join(NAME + ".pck")) != OK:
		return ""
	for path: String in files:
		var written := source.path_join(path.get_file())
		if not Tools.write_file(written, files[path]) or packer.add_file(path, written) != OK:
			return ""
	if packer.flush() != OK:
		return ""
	Tools.remove_tree(source)
	var text := "Northern Lights: a mod of the godot-torrent demos.\n"
	return mod if Tools.write_file(mod.path_join("read_me.txt"), text.to_utf8_buffer()) else ""
