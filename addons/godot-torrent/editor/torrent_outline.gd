@tool
extends RefCounted
## What the dock shows of a torrent: texts and a tree of files, without any control.

## Rows that a person can still look through. A torrent can have many more files.
const MOST_ROWS := 5000


## What there is to say about a torrent: pairs of a title and a text.
static func facts(info: TorrentInfo) -> Array[PackedStringArray]:
	var rows: Array[PackedStringArray] = [
		PackedStringArray(["Name", info.get_name()]),
		PackedStringArray(["Size", size_text(info.get_total_size())]),
		PackedStringArray(["Info-hash", info.get_info_hash()]),
		PackedStringArray(
			["Pieces", "%d of %s" % [info.get_piece_count(), size_text(info.get_piece_size())]]
		),
		PackedStringArray(["Files", str(info.get_file_count())]),
		PackedStringArray(["Private", "yes" if info.is_private() else "no"]),
	]
	if info.get_creation_date() > 0:
		var date := Time.get_datetime_string_from_unix_time(info.get_creation_date(), true)
		rows.append(PackedStringArray(["Made", date + " UTC"]))
	for pair: Array in [
		["Made by", info.get_creator()],
		["Comment", info.get_comment()],
		["Source", info.get_source()],
	]:
		if pair[1] != "":
			rows.append(PackedStringArray(pair))
	for tracker in info.get_trackers():
		rows.append(PackedStringArray(["Tracker (tier %d)" % tracker.tier, tracker.url]))
	for web_seed in info.get_web_seeds():
		rows.append(PackedStringArray(["Web seed", web_seed.url]))
	return rows


## The files as a tree: {name, size, children: Array}, where a folder's size is that of
## everything in it. Its `left_out` counts the files beyond `most` rows.
static func tree(info: TorrentInfo, most := MOST_ROWS) -> Dictionary:
	var root := {"name": info.get_name(), "size": info.get_total_size(), "children": []}
	root.left_out = 0
	var folders := {"": root}
	var rows := 0
	for file in info.get_files():
		if file.pad:
			continue
		if rows >= most:
			root.left_out += 1
			continue
		var parts: PackedStringArray = file.path.split("/")
		# With several files, the first part is the name of the torrent itself.
		if parts.size() > 1:
			parts = parts.slice(1)
		var folder := ""
		for i in parts.size() - 1:
			var parent: Dictionary = folders[folder]
			folder += parts[i] + "/"
			if not folders.has(folder):
				folders[folder] = {"name": parts[i], "size": 0, "children": []}
				parent.children.append(folders[folder])
				rows += 1
			folders[folder].size += file.size
		folders[folder].children.append(
			{"name": parts[parts.size() - 1], "size": file.size, "children": []}
		)
		rows += 1
	return root


## Bytes as people read them, and exactly.
static func size_text(bytes: int) -> String:
	if bytes < 1024:
		return "%d B" % bytes
	return "%s (%d B)" % [String.humanize_size(bytes), bytes]
