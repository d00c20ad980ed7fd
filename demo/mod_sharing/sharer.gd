extends PanelContainer
## The game that shares: makes a mod and a torrent of it, seeds it, and opens a lobby
## where other games learn of it.

signal shared(lobby_port: int)
signal failed(reason: String)

const Tools := preload("res://demo/common/tools.gd")
const ModMaker := preload("res://demo/mod_sharing/mod_maker.gd")
const Lobby := preload("res://demo/mod_sharing/lobby.gd")

## Bytes a second that this game gives away, as a player's line would have it.
const RATE := 12 * Tools.MIB

var _handle: TorrentHandle = null


## The settings of the session that shares.
static func settings() -> Dictionary:
	return Tools.LOOPBACK.merged({"upload_rate_limit": RATE})


## Does it all; `folder` is this game's own. [signal shared] or [signal failed] ends it.
func share(session: TorrentSession, folder: String, lobby_port: int) -> void:
	%Share.disabled = true
	var mod := ModMaker.make(folder)
	if mod == "":
		failed.emit("the mod cannot be written to %s" % folder)
		return
	for name in DirAccess.get_files_at(mod):
		var size := FileAccess.get_size(mod.path_join(name))
		_say("made %s, %s" % [name, String.humanize_size(size)])

	var creator := TorrentCreator.new()
	creator.add_directory(mod)
	creator.set_comment("A mod of the godot-torrent demos")
	creator.generate()
	var data: PackedByteArray = await creator.wait_completed()
	if data.is_empty():
		failed.emit(creator.get_last_error().get_message())
		return
	_say("torrent of %d bytes, info-hash %s…" % [data.size(), creator.get_info_hash().left(12)])

	_handle = session.add_torrent_file(data, folder)
	if _handle == null:
		failed.emit(session.get_last_error().get_message())
		return
	var seeds: bool = await _handle.wait_finished()
	if not seeds:
		failed.emit(_handle.get_last_error().get_message())
		return
	var port := session.get_listening_ports()[0]
	_say("seeding at port %d" % port)
	session.torrents_updated.connect(_on_torrents_updated)

	var lobby := Lobby.new()
	add_child(lobby)
	var opened := lobby.open(lobby_port, {"port": port, "mods": {ModMaker.NAME: data}})
	if opened == 0:
		failed.emit("the lobby cannot listen on port %d" % lobby_port)
		return
	_say("lobby open at port %d" % opened)
	shared.emit(opened)


func _on_torrents_updated(_handles: Array) -> void:
	var status := _handle.get_status()
	%SharerTraffic.text = (
		"%s  ·  up %s  ·  %s sent"
		% [
			Tools.peers_text(status.get_num_peers()),
			Tools.rate_text(status.get_upload_payload_rate()),
			String.humanize_size(status.get_total_payload_upload()),
		]
	)


func _say(line: String) -> void:
	print("game A: ", line)
	%SharerSteps.add_text(line + "\n")
