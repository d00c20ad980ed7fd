extends Node
## A peer on this machine that says it has all of a torrent and does what a test tells it:
## it remembers what it is asked for, and sends only what it is told to send.

const HANDSHAKE := 68
const BITFIELD := 5
const UNCHOKE := 1
const REQUEST := 6
const PIECE := 7

## What it was asked for, in order: piece, begin and length.
var requests: Array[Vector3i] = []
## How many connections it still closes as soon as they come.
var refusals := 0
## All bytes of the torrent, for a peer that sends what it is asked for at once.
var payload := PackedByteArray()

var _server := TCPServer.new()
var _connection: StreamPeerTCP = null
var _received := PackedByteArray()
var _is_greeted := false
var _info_hash := ""
var _pieces := 0
var _piece_size := 0


## Its port.
func open(info: TorrentInfo, address := "127.0.0.1") -> int:
	_info_hash = info.get_info_hash()
	_pieces = info.get_num_pieces()
	_piece_size = info.get_piece_size()
	var error := _server.listen(0, address)
	assert(error == OK, "the peer cannot listen")
	return _server.get_local_port()


## Sends a block of these bytes, or its beginning alone: `part` bytes of it.
func send_block(request: Vector3i, bytes: PackedByteArray, part := -1) -> void:
	assert(bytes.size() == request.z)
	var message := _numbers([9 + request.z]) + PackedByteArray([PIECE])
	message += _numbers([request.x, request.y])
	send(message + (bytes if part < 0 else bytes.slice(0, part)))


## Sends bytes as they are.
func send(bytes: PackedByteArray) -> void:
	var error := _connection.put_data(bytes)
	assert(error == OK, "the peer cannot send")


func _process(_delta: float) -> void:
	while _server.is_connection_available():
		_connection = _server.take_connection()
		_connection.set_no_delay(true)
		_received.clear()
		_is_greeted = false
		if refusals > 0:
			refusals -= 1
			_connection.disconnect_from_host()
			_connection = null
	if _connection == null:
		return
	_connection.poll()
	if _connection.get_status() != StreamPeerTCP.STATUS_CONNECTED:
		_connection = null
		return
	var read: Array = _connection.get_partial_data(65536)
	_received.append_array(read[1])
	if not _is_greeted and _received.size() >= HANDSHAKE:
		_received = _received.slice(HANDSHAKE)
		_is_greeted = true
		_greet()
	while _is_greeted and _take_message():
		pass


func _greet() -> void:
	var bits := PackedByteArray()
	bits.resize(ceili(_pieces / 8.0))
	for piece in _pieces:
		bits[piece / 8] |= 0x80 >> piece % 8
	var hello := PackedByteArray([19]) + "BitTorrent protocol".to_ascii_buffer()
	hello.resize(28)
	hello += _info_hash.hex_decode()
	hello += ("-SC0001-%012d" % (get_instance_id() % 1_000_000_000_000)).to_ascii_buffer()
	hello += _numbers([1 + bits.size()]) + PackedByteArray([BITFIELD]) + bits
	send(hello + _numbers([1]) + PackedByteArray([UNCHOKE]))


## Whether a whole message was there.
func _take_message() -> bool:
	if _received.size() < 4:
		return false
	var size := _number_at(0)
	if _received.size() < 4 + size:
		return false
	if size == 13 and _received[4] == REQUEST:
		requests.append(Vector3i(_number_at(5), _number_at(9), _number_at(13)))
		if not payload.is_empty():
			_serve(requests[-1])
	_received = _received.slice(4 + size)
	return true


func _serve(request: Vector3i) -> void:
	var begin := request.x * _piece_size + request.y
	send_block(request, payload.slice(begin, begin + request.z))


func _number_at(at: int) -> int:
	var number := 0
	for byte in _received.slice(at, at + 4):
		number = number << 8 | byte
	return number


func _numbers(numbers: Array[int]) -> PackedByteArray:
	var bytes := PackedByteArray()
	for number in numbers:
		bytes.append_array(
			[number >> 24 & 255, number >> 16 & 255, number >> 8 & 255, number & 255]
		)
	return bytes
