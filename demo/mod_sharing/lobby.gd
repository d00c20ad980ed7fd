extends Node
## How one game tells another which mods it shares: whoever connects is sent one
## packet with the list and the port of the session. It stands for the connection that
## a multiplayer game has anyway.

var _server := TCPServer.new()
var _offer := {}


## Opens the lobby on this machine; 0 is any free port. The port, or 0 when it cannot.
func open(port: int, offer: Dictionary) -> int:
	_offer = offer
	if _server.listen(port, "127.0.0.1") != OK:
		return 0
	return _server.get_local_port()


func _process(_delta: float) -> void:
	while _server.is_connection_available():
		var packets := PacketPeerStream.new()
		packets.stream_peer = _server.take_connection()
		packets.output_buffer_max_size = 1024 * 1024
		packets.put_var(_offer)
		_stay(packets)


## Keeps a connection until its other end has read the packet and hung up.
func _stay(packets: PacketPeerStream) -> void:
	var connection: StreamPeerTCP = packets.stream_peer
	while is_inside_tree() and connection.get_status() == StreamPeerTCP.STATUS_CONNECTED:
		await get_tree().process_frame
		connection.poll()


## Asks the lobby at a port of this machine; an empty Dictionary when nobody answers.
## What comes is somebody else's word: it has to be checked.
static func ask(port: int, tree: SceneTree, seconds := 5.0) -> Dictionary:
	var connection := StreamPeerTCP.new()
	if connection.connect_to_host("127.0.0.1", port) != OK:
		return {}
	var packets := PacketPeerStream.new()
	packets.input_buffer_max_size = 1024 * 1024
	packets.stream_peer = connection
	var limit := Time.get_ticks_msec() + int(seconds * 1000.0)
	while Time.get_ticks_msec() < limit:
		connection.poll()
		if connection.get_status() == StreamPeerTCP.STATUS_ERROR:
			return {}
		if (
			connection.get_status() == StreamPeerTCP.STATUS_CONNECTED
			and packets.get_available_packet_count() > 0
		):
			var offer: Variant = packets.get_var()
			connection.disconnect_from_host()
			return offer if offer is Dictionary else {}
		await tree.process_frame
	return {}
