extends Node
## A tracker (BEP 3) on this machine: it tells everybody of everybody who has asked.

var announces := 0

var _server := TCPServer.new()
var _connections: Array[StreamPeerTCP] = []
var _requests: Dictionary = {}
var _peers: Dictionary = {}


## Its announce URL.
func open() -> String:
	var error := _server.listen(0, "127.0.0.1")
	assert(error == OK, "the tracker cannot listen")
	return "http://127.0.0.1:%d/announce" % _server.get_local_port()


func _process(_delta: float) -> void:
	while _server.is_connection_available():
		_connections.append(_server.take_connection())
	for connection in _connections.duplicate():
		connection.poll()
		if connection.get_status() != StreamPeerTCP.STATUS_CONNECTED:
			_forget(connection)
			continue
		var read: Array = connection.get_partial_data(8192)
		var text: String = _requests.get(connection, "")
		text += (read[1] as PackedByteArray).get_string_from_ascii()
		_requests[connection] = text
		if text.contains("\r\n\r\n"):
			_answer(connection, text.get_slice(" ", 1))


func _forget(connection: StreamPeerTCP) -> void:
	_connections.erase(connection)
	_requests.erase(connection)


func _answer(connection: StreamPeerTCP, target: String) -> void:
	var parameters := {}
	for part in target.get_slice("?", 1).split("&"):
		parameters[part.get_slice("=", 0)] = part.get_slice("=", 1)
	var hash: String = parameters.get("info_hash", "")
	var own: int = str(parameters.get("port", "0")).to_int()
	var peers: Array = _peers.get_or_add(hash, [])
	var compact := PackedByteArray()
	for port: int in peers:
		if port != own:
			compact.append_array([127, 0, 0, 1, port >> 8, port & 255])
	if parameters.get("event") == "stopped":
		peers.erase(own)
	elif not own in peers:
		peers.append(own)
	announces += 1
	var body := ("d8:intervali1800e5:peers%d:" % compact.size()).to_ascii_buffer()
	body.append_array(compact)
	body.append_array("e".to_ascii_buffer())
	var head := "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % body.size()
	connection.put_data(head.to_ascii_buffer() + body)
	_requests[connection] = ""
