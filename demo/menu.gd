extends Control
## The first scene: a choice of demos. `-- --demo=NAME` chooses one at once, which is
## how an exported game is told.

const Tools := preload("res://demo/common/tools.gd")

const DEMOS := {
	"download_manager": "Downloads with progress, peers, priorities and a map of the pieces.",
	"mod_sharing": "One game shares a mod, another one fetches it and plays it.",
	"seed_server": "A box that seeds a folder, with or without a window.",
	"loopback_transfer": "A file goes from one session to another and is compared.",
	"test_basic": "The first steps: a session, a torrent, its status.",
	"demo_advanced": "A tour through the library; each line is measured.",
}

@onready var _grid: GridContainer = %Grid


func _ready() -> void:
	var chosen := Tools.argument("demo")
	if chosen != "":
		_start.call_deferred(chosen)
		return
	for demo: String in DEMOS:
		_add_card(demo)


func _add_card(demo: String) -> void:
	var card := PanelContainer.new()
	card.theme_type_variation = &"Card"
	card.size_flags_horizontal = SIZE_EXPAND_FILL
	card.size_flags_vertical = SIZE_EXPAND_FILL
	var rows := VBoxContainer.new()
	rows.alignment = BoxContainer.ALIGNMENT_CENTER
	rows.add_theme_constant_override(&"separation", 10)
	var heading := Label.new()
	heading.theme_type_variation = &"Heading"
	heading.text = demo.capitalize()
	var text := Label.new()
	text.text = DEMOS[demo]
	text.autowrap_mode = TextServer.AUTOWRAP_WORD_SMART
	var button := Button.new()
	button.text = "Open"
	button.size_flags_horizontal = SIZE_SHRINK_BEGIN
	button.pressed.connect(_start.bind(demo))
	for part: Control in [heading, text, button]:
		rows.add_child(part)
	card.add_child(rows)
	_grid.add_child(card)


func _start(demo: String) -> void:
	if not DEMOS.has(demo):
		printerr("There is no demo '%s'. There are: %s" % [demo, ", ".join(DEMOS.keys())])
		get_tree().quit(1)
		return
	get_tree().change_scene_to_file("res://demo/%s.tscn" % demo)
