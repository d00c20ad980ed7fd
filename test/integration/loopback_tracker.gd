extends Node
## A tracker (BEP 3, 48) on this machine: it tells everybody of everybody who has asked,
## and remembers the announces.

var announces := 0
## What each announce said, by name: event, port, left, ….
var heard: Array[Dictionary] = []
var scrapes := 0
## Whether it answers with an error, and which.
var failure := ""
var warning := ""
## Whether it takes requests and does not answer them, until it is told to again.
var is_silent := false
## Whether it falls silent with its next answer.
var is_last_answer := false
## The address that it sees everybody at, as its four bytes.
var external_ip := PackedByteArray()

var _server := TCPServer.new()
var _connections: Array[StreamPeerTCP] = []
var _requests: Dictionary = {}
## Ports of peers, by info-hash as it is in requests, and whether each has everything.
var _peers: Dictionary = {}


## Its announce URL.
func open() -> String:
	var error := _server.listen(0, "127.0.0.1")
	assert(error == OK, "the tracker cannot listen")
	return "http://127.0.0.1:%d/announce" % _server.get_local_port()


## Requests that it owes an answer, from the path on.
func unanswered() -> Array:
	var whole := _requests.values().filter(func(it: String) -> bool: return it.contains("\r\n\r\n"))
	return whole.map(func(it: String) -> String: return it.get_slice(" ", 1))


## The events that a port has announced, in order; an empty text for one without.
func events_of(port: int) -> Array:
	var own := heard.filter(func(it: Dictionary) -> bool: return it.port == str(port))
	return own.map(func(it: Dictionary) -> String: return it.get("event", ""))


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
		if text.contains("\r\n\r\n") and not is_silent:
			_answer(connection, text.get_slice(" ", 1))


func _forget(connection: StreamPeerTCP) -> void:
	_connections.erase(connection)
	_requests.erase(connection)


func _answer(connection: StreamPeerTCP, target: String) -> void:
	var parameters := {}
	for part in target.get_slice("?", 1).split("&"):
		parameters[part.get_slice("=", 0)] = part.get_slice("=", 1)
	var is_scrape := target.begins_with("/scrape")
	var body := _scraped(parameters) if is_scrape else _announced(parameters)
	var head := "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % body.size()
	connection.put_data(head.to_ascii_buffer() + body)
	_requests[connection] = ""
	is_silent = is_last_answer


func _announced(parameters: Dictionary) -> PackedByteArray:
	announces += 1
	heard.append(parameters)
	if failure != "":
		return ("d14:failure reason%d:%se" % [failure.length(), failure]).to_ascii_buffer()
	var own: int = str(parameters.get("port", "0")).to_int()
	var peers: Dictionary = _peers.get_or_add(parameters.get("info_hash", ""), {})
	var compact := PackedByteArray()
	for port: int in peers:
		if port != own:
			compact.append_array([127, 0, 0, 1, port >> 8, port & 255])
	if parameters.get("event") == "stopped":
		peers.erase(own)
	else:
		peers[own] = parameters.get("left") == "0"
	var body := "d".to_ascii_buffer()
	if not external_ip.is_empty():
		body.append_array(("11:external ip%d:" % external_ip.size()).to_ascii_buffer())
		body.append_array(external_ip)
	body.append_array(("8:intervali1800e5:peers%d:" % compact.size()).to_ascii_buffer())
	body.append_array(compact)
	if warning != "":
		var text := "15:warning message%d:%s" % [warning.length(), warning]
		body.append_array(text.to_ascii_buffer())
	body.append_array("e".to_ascii_buffer())
	return body


func _scraped(parameters: Dictionary) -> PackedByteArray:
	scrapes += 1
	var hash: String = parameters.get("info_hash", "")
	var peers: Dictionary = _peers.get(hash, {})
	var complete := peers.values().count(true)
	var body := "d5:filesd20:".to_ascii_buffer()
	body.append_array(_bytes_of(hash))
	var counts := "d8:completei%de10:downloadedi7e10:incompletei%deeee"
	body.append_array((counts % [complete, peers.size() - complete]).to_ascii_buffer())
	return body


## The bytes that a part of a URL stands for.
func _bytes_of(text: String) -> PackedByteArray:
	var bytes := PackedByteArray()
	var at := 0
	while at < text.length():
		if text[at] == "%":
			bytes.append(text.substr(at + 1, 2).hex_to_int())
			at += 3
		else:
			bytes.append(text.unicode_at(at))
			at += 1
	return bytes
