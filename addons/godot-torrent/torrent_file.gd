@tool
class_name TorrentFile
extends "torrent_resource.gd"
## A .torrent file of the project, as the editor imports it.
##
## It keeps the file's bytes, so that a game can carry a torrent in its .pck:
##
## [codeblock]
## var torrent: TorrentFile = load("res://mods/big_mod.torrent")
## session.add_torrent_file(torrent.data, "user://mods")
## [/codeblock]
##
## The other properties say what is in those bytes, in the inspector too. They
## cannot be changed. The bytes are read when one of them is first asked for, so
## that loading costs nothing but the bytes, in a thread too.
