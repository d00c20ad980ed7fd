extends GutTest
## AlertManager: a switch for each category. Each turns its own bits on and off and
## leaves the others.

const PROGRESS := AlertManager.CATEGORY_PIECE_PROGRESS | AlertManager.CATEGORY_FILE_PROGRESS

var _manager: AlertManager = null


func before_each() -> void:
	_manager = AlertManager.new()


func test_errors() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_error_alerts(on), AlertManager.CATEGORY_ERROR
	)


func test_status() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_status_alerts(on), AlertManager.CATEGORY_STATUS
	)


func test_peers() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_peer_alerts(on), AlertManager.CATEGORY_PEER
	)


func test_connections() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_connect_alerts(on), AlertManager.CATEGORY_CONNECT
	)


func test_storage() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_storage_alerts(on), AlertManager.CATEGORY_STORAGE
	)


func test_trackers() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_tracker_alerts(on), AlertManager.CATEGORY_TRACKER
	)


func test_blocked_addresses() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_ip_block_alerts(on), AlertManager.CATEGORY_IP_BLOCK
	)


func test_performance() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_performance_alerts(on),
		AlertManager.CATEGORY_PERFORMANCE_WARNING
	)


func test_statistics() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_stats_alerts(on), AlertManager.CATEGORY_STATS
	)


func test_uploads() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_upload_alerts(on), AlertManager.CATEGORY_UPLOAD
	)


func test_pieces() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_piece_progress_alerts(on),
		AlertManager.CATEGORY_PIECE_PROGRESS
	)


func test_files() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_file_progress_alerts(on),
		AlertManager.CATEGORY_FILE_PROGRESS
	)


func test_pieces_and_files() -> void:
	assert_turns(func(on: bool) -> void: _manager.enable_progress_alerts(on), PROGRESS)


func test_blocks() -> void:
	assert_turns(
		func(on: bool) -> void: _manager.enable_block_progress_alerts(on),
		AlertManager.CATEGORY_BLOCK_PROGRESS
	)


func assert_turns(turn: Callable, bits: int) -> void:
	assert_true(_manager.set_alert_mask(0))
	turn.call(true)
	assert_eq(_manager.get_alert_mask(), bits)
	turn.call(true)
	assert_eq(_manager.get_alert_mask(), bits, "twice is as good as once")
	turn.call(false)
	assert_eq(_manager.get_alert_mask(), 0)
	assert_true(_manager.set_alert_mask(AlertManager.CATEGORY_ALL))
	turn.call(false)
	assert_eq(_manager.get_alert_mask(), AlertManager.CATEGORY_ALL & ~bits)
