extends Control
## Draws the pieces of a torrent as a field of small squares: there, on their way,
## missing. With more pieces than squares, a square stands for several of them.

const THERE := Color(0.29, 0.639, 1.0)
const COMING := Color(1.0, 0.769, 0.318)
const MISSING := Color(0.173, 0.212, 0.275)
## Missing, and nobody who is connected has it.
const NOWHERE := Color(0.38, 0.216, 0.243)

const GAP := 2.0
const SMALLEST := 6.0
const LARGEST := 18.0

var _cells: PackedColorArray


## Takes up the state of a torrent, or nothing of null.
func show_torrent(handle: TorrentHandle) -> void:
	_cells = PackedColorArray()
	if handle != null and handle.is_valid():
		_cells = colors(
			handle.get_pieces(),
			handle.get_piece_availability(),
			handle.get_download_queue(),
			_most_cells()
		)
	queue_redraw()


## The colours of at most `most` squares. `pieces` has a byte for each piece,
## `availability` the number of peers that have it (or nothing), `queue` the pieces on
## their way.
static func colors(
	pieces: PackedByteArray, availability: Array, queue: Array, most: int
) -> PackedColorArray:
	var cells := PackedColorArray()
	if pieces.is_empty() or most < 1:
		return cells
	var on_their_way := {}
	for piece: Dictionary in queue:
		on_their_way[piece.piece_index] = true
	var pieces_in_cell := ceili(float(pieces.size()) / most)
	for first in range(0, pieces.size(), pieces_in_cell):
		var color := Color(0, 0, 0, 0)
		var end := mini(first + pieces_in_cell, pieces.size())
		for index in range(first, end):
			var is_nowhere: bool = index < availability.size() and availability[index] == 0
			if pieces[index] != 0:
				color += THERE
			elif on_their_way.has(index):
				color += COMING
			else:
				color += NOWHERE if is_nowhere else MISSING
		cells.append(color / (end - first))
	return cells


func _most_cells() -> int:
	return maxi(1, floori(size.x / (SMALLEST + GAP)) * floori(size.y / (SMALLEST + GAP)))


func _draw() -> void:
	if _cells.is_empty():
		return
	# The largest squares with which all of them fit.
	var edge := LARGEST
	while edge > SMALLEST and _capacity(edge) < _cells.size():
		edge -= 1.0
	var columns := maxi(1, floori((size.x + GAP) / (edge + GAP)))
	for index in _cells.size():
		var place := Vector2(index % columns, index / columns) * (edge + GAP)
		draw_rect(Rect2(place, Vector2(edge, edge)), _cells[index])


func _capacity(edge: float) -> int:
	return floori((size.x + GAP) / (edge + GAP)) * floori((size.y + GAP) / (edge + GAP))
