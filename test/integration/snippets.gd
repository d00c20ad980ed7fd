extends RefCounted
## The GDScript in README.md and docs: finds it, and makes scripts of it that can run
## in a test.

const BEGIN := "```gdscript"
const END := "```"

## What the fragments take for granted.
const FRAME := """extends Node

const Fixtures := preload("res://test/integration/snippets.gd")

var session: TorrentSession
var handle: TorrentHandle
var data: PackedByteArray
var resume_data: PackedByteArray
var link: String
var ip: String
var port: int
var bar := ProgressBar.new()
var label := Label.new()


func show_message(text: String) -> void:
	print(text)


func _notification(what: int) -> void:
	if what == NOTIFICATION_PREDELETE:
		bar.free()
		label.free()


"""

## On this machine only, at ports that the system chooses.
const LOOPBACK := {
	"listen_interfaces": "127.0.0.1:0",
	"status_update_interval": 20,
}

## The sessions that snippets have made.
static var sessions: Array[TorrentSession] = []
## The torrents of which one of them has told that they are complete, by info-hash.
static var told := {}

## The page, from the root of the repository on.
var page := ""
## The line of the page that the snippet begins in.
var line := 0
var code := ""


## What `TorrentSession.new()` becomes in a test.
static func new_session() -> TorrentSession:
	var session := TorrentSession.new()
	session.apply_settings(LOOPBACK)
	session.torrent_finished.connect(
		func(handle: TorrentHandle) -> void: told[handle.get_info_hash()] = true
	)
	sessions.append(session)
	return session


## Every snippet of every page.
static func all() -> Array[RefCounted]:
	var found: Array[RefCounted] = []
	for path in pages():
		found.append_array(of_page(path))
	return found


## README.md and the pages below docs, from the root of the repository on.
static func pages() -> Array[String]:
	var found: Array[String] = ["README.md"]
	var folders: Array[String] = ["docs"]
	while not folders.is_empty():
		var folder: String = folders.pop_front()
		for name in DirAccess.get_directories_at(root().path_join(folder)):
			folders.append(folder.path_join(name))
		for name in DirAccess.get_files_at(root().path_join(folder)):
			if name.get_extension() == "md":
				found.append(folder.path_join(name))
	return found


## The snippets of one page.
static func of_page(path: String) -> Array[RefCounted]:
	var found: Array[RefCounted] = []
	var snippet: RefCounted = null
	var number := 0
	for text in FileAccess.get_file_as_string(root().path_join(path)).split("\n"):
		number += 1
		if snippet == null:
			if text.strip_edges() == BEGIN:
				snippet = new()
				snippet.page = path
				snippet.line = number + 1
		elif text.strip_edges() == END:
			found.append(snippet)
			snippet = null
		else:
			snippet.code += text + "\n"
	assert(snippet == null, "%s: a snippet has no end" % path)
	return found


## The root of the repository: tests are linked into the project from there.
static func root() -> String:
	var project := ProjectSettings.globalize_path("res://")
	var target := DirAccess.open("res://").read_link("test")
	if target == "":
		return project
	if target.is_relative_path():
		target = project.path_join(target)
	return target.simplify_path().get_base_dir()


func place() -> String:
	return "%s:%d" % [page, line]


## Whether it is a script as a game would have it, not some lines of one.
func is_script() -> bool:
	return code.begins_with("extends ")


## The source of a script that runs the snippet, in `_run` if it is a fragment.
## `replaced` are patterns of what must not leave the test, and what comes there.
func source(replaced: Dictionary) -> String:
	var body := _with_tabs(code)
	for pattern: String in replaced:
		body = RegEx.create_from_string(pattern).sub(body, replaced[pattern], true)
	if is_script():
		return body + '\nconst Fixtures := preload("res://test/integration/snippets.gd")\n'
	if not functions().is_empty():
		var frame := FRAME
		for member in _members():
			var declared := RegEx.create_from_string("(?m)^var %s\\b.*$" % member)
			frame = declared.sub(frame, "")
		return frame + body
	return "%sfunc _run() -> void:\n%s" % [FRAME, body.indent("\t")]


## The first letters of a line are spaces in the in-editor help, tabs elsewhere.
func _with_tabs(text: String) -> String:
	var lines: PackedStringArray = []
	for old in text.split("\n"):
		var tabs := ""
		while old.begins_with("    "):
			old = old.substr(4)
			tabs += "\t"
		lines.append(tabs + old)
	return "\n".join(lines)


## The functions that it declares.
func functions() -> PackedStringArray:
	var names: PackedStringArray = []
	for found in RegEx.create_from_string("(?m)^func (\\w+)").search_all(code):
		names.append(found.get_string(1))
	return names


func _members() -> PackedStringArray:
	var names: PackedStringArray = []
	for found in RegEx.create_from_string("(?m)^var (\\w+)").search_all(code):
		names.append(found.get_string(1))
	return names
