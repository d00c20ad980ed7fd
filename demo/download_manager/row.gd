extends PanelContainer
## One torrent in the list.

signal chosen(handle: TorrentHandle)
signal removal_asked(handle: TorrentHandle)

const Tools := preload("res://demo/common/tools.gd")

var handle: TorrentHandle = null


func _ready() -> void:
	%Pause.pressed.connect(_on_pause_pressed)
	%Remove.pressed.connect(func() -> void: removal_asked.emit(handle))
	refresh()


func _gui_input(event: InputEvent) -> void:
	if event is InputEventMouseButton and event.pressed:
		chosen.emit(handle)


func refresh() -> void:
	var status := handle.get_status()
	# A magnet link may name nothing but a hash.
	%Name.text = handle.get_name() if handle.get_name() != "" else handle.get_info_hash()
	%Progress.value = status.get_progress()
	%Pause.text = "Resume" if status.is_paused() else "Pause"
	var facts := PackedStringArray(["paused" if status.is_paused() else status.get_state_string()])
	if status.get_error() != "":
		facts = [status.get_error()]
	(
		facts
		. append(
			(
				"%s of %s"
				% [
					String.humanize_size(status.get_total_wanted_done()),
					String.humanize_size(status.get_total_wanted()),
				]
			)
		)
	)
	if not status.is_paused():
		facts.append("down " + Tools.rate_text(status.get_download_payload_rate()))
		facts.append("up " + Tools.rate_text(status.get_upload_payload_rate()))
		facts.append(Tools.peers_text(status.get_num_peers()))
		if not status.is_finished():
			facts.append(Tools.time_text(status.get_eta()) + " left")
	%Facts.text = "  ·  ".join(facts)


func set_chosen(is_chosen: bool) -> void:
	theme_type_variation = &"ChosenCard" if is_chosen else &"Card"


func _on_pause_pressed() -> void:
	if handle.get_status().is_paused():
		handle.resume()
	else:
		handle.pause()
