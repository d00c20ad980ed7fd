extends "res://demo/common/window_demo.gd"
## One game shares a mod, another one finds it, downloads it and plays it. Both are in
## this window, or each is a program of its own:
##
##     ./build.sh demo --window mod_sharing -- --role=share --lobby=7700
##     ./build.sh demo --window mod_sharing -- --role=find --lobby=7700
##
## Without a window it all happens by itself, and the exit code says how it ended.

const Sharer := preload("res://demo/mod_sharing/sharer.gd")

const FOLDER := "user://mod_sharing"

## Seconds after which it has failed, where nobody watches.
const LIMIT := 300.0

var _lobby_port := 0
## This program's own, so that two of them do not share one.
var _folder := FOLDER.path_join(str(OS.get_process_id()))

@onready var _sharer := %Sharer
@onready var _finder := %Finder


func _ready() -> void:
	var role := Tools.argument("role", "both")
	_lobby_port = Tools.argument("lobby", "0").to_int()
	if not role in ["share", "find", "both"] or (role == "find" and _lobby_port == 0):
		fail("--role is share, find or both; to find, --lobby names the port of the other game")
		return
	_sharer.visible = role != "find"
	_finder.visible = role != "share"
	_sharer.shared.connect(_on_shared)
	_sharer.failed.connect(fail)
	_finder.failed.connect(fail)
	_finder.played.connect(_on_played)
	%Share.pressed.connect(share)
	%Find.pressed.connect(find)
	%Find.disabled = role == "both"
	if DisplayServer.get_name() == "headless":
		get_tree().create_timer(LIMIT).timeout.connect(fail.bind("it takes too long"))
		(find if role == "find" else share).call()


## The first game's part.
func share() -> void:
	var session := new_session(Sharer.settings())
	if session != null:
		_sharer.share(session, _folder.path_join("a"), _lobby_port)


## The second game's part.
func find() -> void:
	var session := new_session()
	if session != null:
		_finder.find(session, _folder.path_join("b"), _lobby_port)


func _on_shared(port: int) -> void:
	_lobby_port = port
	%Find.disabled = false
	if DisplayServer.get_name() == "headless" and _finder.visible:
		find()


func _on_played() -> void:
	print("OK: the mod plays")
	if DisplayServer.get_name() == "headless":
		close()


func _show_problem(reason: String) -> void:
	%FinderSteps.add_text("FAILED: %s\n" % reason)
	%SharerSteps.add_text("FAILED: %s\n" % reason)


func _clean_up() -> void:
	Tools.remove_tree(_folder)
