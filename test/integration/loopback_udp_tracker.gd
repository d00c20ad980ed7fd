extends Node
## A UDP tracker (BEP 15) on this machine: it tells everybody of everybody who has asked.

const CONNECT := 0
const ANNOUNCE := 1
const SCRAPE := 2
const FAILURE := 3
## What begins a conversation.
const PROTOCOL := 0x41727101980
const STOPPED := 3

var connects := 0
var announces := 0
var scrapes := 0
## Whether it answers with an error, and which.
var failure := ""

var _socket := PacketPeerUDP.new()
var _peers: Dictionary = {}


## Its announce URL.
func open() -> String:
	var error := _socket.bind(0, "127.0.0.1")
	assert(error == OK, "the tracker cannot listen")
	return "udp://127.0.0.1:%d/announce" % _socket.get_local_port()


func _process(_delta: float) -> void:
	while _socket.get_available_packet_count() > 0:
		var request := StreamPeerBuffer.new()
		request.big_endian = true
		request.data_array = _socket.get_packet()
		_socket.set_dest_address(_socket.get_packet_ip(), _socket.get_packet_port())
		_socket.put_packet(_answer(request))


func _answer(request: StreamPeerBuffer) -> PackedByteArray:
	var connection := request.get_u64()
	var action := request.get_u32()
	var reply := StreamPeerBuffer.new()
	reply.big_endian = true
	reply.put_u32(FAILURE if failure != "" else action)
	reply.put_u32(request.get_u32())
	if failure != "":
		reply.put_data(failure.to_ascii_buffer())
	elif action == CONNECT and connection == PROTOCOL:
		connects += 1
		reply.put_u64(connects)
	elif action == ANNOUNCE:
		_announced(request, reply)
	elif action == SCRAPE:
		scrapes += 1
		for number: int in [1, 7, 2]:
			reply.put_u32(number)
	return reply.data_array


func _announced(request: StreamPeerBuffer, reply: StreamPeerBuffer) -> void:
	announces += 1
	var hash: PackedByteArray = request.get_data(20)[1]
	request.seek(80)
	var event := request.get_u32()
	request.seek(96)
	var own := request.get_u16()
	var peers: Array = _peers.get_or_add(hash, [])
	reply.put_u32(1800)
	reply.put_u32(peers.size())
	reply.put_u32(0)
	for port: int in peers:
		if port != own:
			reply.put_data(PackedByteArray([127, 0, 0, 1]))
			reply.put_u16(port)
	if event == STOPPED:
		peers.erase(own)
	elif not own in peers:
		peers.append(own)
