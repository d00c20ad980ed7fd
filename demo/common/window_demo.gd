extends Control
## What the demos with a window to use share: sessions that end before the game does,
## and a way to say what went wrong.

const Tools := preload("res://demo/common/tools.gd")

var _sessions: Array[TorrentSession] = []
var _closing := false


func _enter_tree() -> void:
	get_tree().auto_accept_quit = false


func _exit_tree() -> void:
	get_tree().auto_accept_quit = true
	for session in _sessions:
		session.stop_session()


func _notification(what: int) -> void:
	if what == NOTIFICATION_WM_CLOSE_REQUEST:
		close()


## Stops everything in order and ends the game.
func close(status := 0) -> void:
	if _closing:
		return
	_closing = true
	await Tools.stop(_sessions)
	_clean_up()
	get_tree().quit(status)


## What a demo leaves behind on disk, to be removed.
func _clean_up() -> void:
	pass


## A running session that ends with the demo, or null.
func new_session(settings := Tools.LOOPBACK) -> TorrentSession:
	var session := TorrentSession.new()
	if not session.start_session_with_settings(settings):
		fail(session.get_last_error().get_message())
		return null
	session.listen_failed.connect(fail)
	_sessions.append(session)
	return session


## Shows what went wrong; without a window it ends the game.
func fail(reason: String) -> void:
	printerr("FAILED: " + reason)
	_show_problem(reason)
	if DisplayServer.get_name() == "headless":
		close(1)


func _show_problem(_reason: String) -> void:
	pass
