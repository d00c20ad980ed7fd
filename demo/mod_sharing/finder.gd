extends PanelContainer
## The game that wants mods: asks a lobby, downloads what it offers, loads the .pck and
## shows the mod's scene.

signal played
signal failed(reason: String)

const Tools := preload("res://demo/common/tools.gd")
const ModMaker := preload("res://demo/mod_sharing/mod_maker.gd")
const Lobby := preload("res://demo/mod_sharing/lobby.gd")

var _handle: TorrentHandle = null


## Does it all; `folder` is this game's own. [signal played] or [signal failed] ends it.
func find(session: TorrentSession, folder: String, lobby_port: int) -> void:
	%Find.disabled = true
	var offer := {}
	while offer.is_empty() and is_inside_tree():
		offer = await Lobby.ask(lobby_port, get_tree())
		if offer.is_empty():
			_say("nobody at port %d yet" % lobby_port)
			await get_tree().create_timer(1.0).timeout
	var problem := _read(offer)
	if problem != "":
		failed.emit(problem)
		return

	# Only mods of people one trusts: a .pck can hold scripts. Which torrent it is was
	# said by the lobby, and every byte is checked against that torrent.
	var data: PackedByteArray = offer.mods[ModMaker.NAME]
	_handle = session.add_torrent_file(data, folder)
	if _handle == null:
		failed.emit(session.get_last_error().get_message())
		return
	_handle.progress_changed.connect(_on_progress_changed)
	_handle.pieces_finished.connect(_on_pieces_finished)
	var begin := Time.get_ticks_msec()
	_handle.connect_peer("127.0.0.1", offer.port)
	var ok: bool = await _handle.wait_finished()
	if not ok:
		failed.emit(_handle.get_last_error().get_message())
		return
	_on_progress_changed(1.0)
	var status := _handle.get_status()
	_say(
		(
			"downloaded %s in %.2f s, every piece checked"
			% [
				String.humanize_size(status.get_total_payload_download()),
				(Time.get_ticks_msec() - begin) / 1000.0,
			]
		)
	)
	_play(folder.path_join(ModMaker.NAME).path_join(ModMaker.NAME + ".pck"))


## An empty text, or what is wrong with what the lobby said.
func _read(offer: Dictionary) -> String:
	if not (offer.get("port") is int and offer.get("mods") is Dictionary):
		return "the lobby speaks another language"
	for name: Variant in offer.mods:
		var data: Variant = offer.mods[name]
		var info := TorrentInfo.from_data(data) if data is PackedByteArray else null
		if info == null:
			return "the lobby offers a mod without a torrent"
		_say("offered: %s, %s" % [name, String.humanize_size(info.get_total_size())])
	return "" if offer.mods.has(ModMaker.NAME) else "the lobby does not offer %s" % ModMaker.NAME


func _play(pack: String) -> void:
	if not ProjectSettings.load_resource_pack(pack, false):
		failed.emit("%s cannot be loaded" % pack)
		return
	var scene: PackedScene = load(ModMaker.SCENE)
	if scene == null:
		failed.emit("the mod has no scene %s" % ModMaker.SCENE)
		return
	_say("loaded %s" % ModMaker.SCENE)
	%StageHint.hide()
	%Stage.add_child(scene.instantiate())
	played.emit()


func _on_progress_changed(progress: float) -> void:
	%Progress.value = progress
	%PieceMap.show_torrent(_handle)


func _on_pieces_finished(_indices: PackedInt32Array) -> void:
	%PieceMap.show_torrent(_handle)


func _say(line: String) -> void:
	print("game B: ", line)
	%FinderSteps.add_text(line + "\n")
